import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 4.1, 4.2 and 4.12: HELLO, WELCOME and their options.
    @Suite("Section 4: the handshake") struct Handshake {}
}

extension Live.Wire.Handshake {
    @Test("4.2-1, 4.2-4, 4.2-5 HELLO alone gets WELCOME at once, with the server's terms", arguments: Chop.allCases)
    func welcome(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface + RawFrame.hello().bytes, chop: chop)
            try peer.takePreface()
            let frame = try peer.takeFrame()
            let expected = RawFrame.welcome(
                pingEvery: 10000, deadAfter: 30000, maxFrame: 16384, maxMessage: 1 << 20, maxInFlight: 256,
                maxQueued: 4 << 20, connection: 1)
            #expect(frame == expected)
        }
    }

    @Test("10, 4.2-6 WELCOME says the limits that the command line sets")
    func limits() throws {
        try withServer(
            "--timeout", "2", "--max-frame", "4k", "--max-message", "64k", "--max-in-flight", "3", "--max-queued", "1m"
        ) { server in
            let welcome = try server.greeted().welcome
            #expect(welcome.deadAfter == 2000 && welcome.pingEvery == 666)
            #expect(welcome.maxFrame == 4096 && welcome.maxMessage == 65536)
            #expect(welcome.maxInFlight == 3 && welcome.maxQueued == 1 << 20)
        }
    }

    @Test("4.2 Connections are numbered from 1, as in the log")
    func numbers() throws {
        try withServer { server in
            for number: UInt64 in 1...3 {
                let (peer, welcome) = try server.greeted()
                #expect(welcome.connection == number)
                try peer.send(.close())
                try peer.takeClose()
                try server.log.line(with: "closed", "connection=\(number) ", "127.0.0.1:\(peer.localPort)")
            }
        }
    }

    @Test("11-2 A TOKEN does not appear in the log")
    func tokenIsSecret() throws {
        try withServer("--log-level", "debug") { server in
            let peer = try server.open(.hello(options: RawFrame.option(1, Array("s3cr3t".utf8))))
            try peer.send(.close())
            try peer.takeClose()
            try server.log.line(with: "closed")
            #expect(!server.log.textSoFar.contains("s3cr3t"))
        }
    }
}
