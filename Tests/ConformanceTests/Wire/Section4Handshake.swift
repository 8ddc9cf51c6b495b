import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 4.1, 4.2 and 4.12: HELLO, WELCOME and their options.
    @Suite("Section 4: the handshake") struct Handshake {}
}

extension Live.Wire.Handshake {
    private static let name64 = String(repeating: "n", count: 64)

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

    @Test("4.2-2 The lower minor version is answered", arguments: [0, 1, 255] as [UInt8])
    func minor(_ minor: UInt8) throws {
        try withServer { server in
            let welcome = try server.greeted(.hello(minor: minor)).welcome
            #expect(welcome.minor == 0)
        }
    }

    /// What a HELLO may hold.
    static let fine: [(String, RawFrame)] = [
        ("4.1-4 max_frame 256", .hello(maxFrame: 256)),
        ("10 the greatest limits", .hello(maxFrame: .max, maxMessage: .max)),
        ("4.12 TOKEN, NAME and AGENT", .hello(options: token(256) + name(name64) + agent("test/1"))),
        ("4.12 empty options", .hello(options: token(0) + name("") + agent(""))),
        ("4.12-6 an unknown tag, also twice", .hello(options: option(0x7FFF, [1, 2]) + option(0x7FFF, []))),
        ("4.12-6 the tag 0", .hello(options: option(0, [9]))),
        ("3.1-3 NAME in Greek", .hello(options: name("Ελένη"))),
        ("10 HELLO of 1024 bytes", .hello(options: option(0x0101, [UInt8](repeating: 0, count: 1000)))),
    ]

    private static func option(_ tag: UInt16, _ value: [UInt8]) -> [UInt8] { RawFrame.option(tag, value) }
    private static func token(_ count: Int) -> [UInt8] { option(1, [UInt8](repeating: 0xFF, count: count)) }
    private static func name(_ name: String) -> [UInt8] { RawFrame.name(name) }
    private static func agent(_ name: String) -> [UInt8] { option(3, Array(name.utf8)) }

    @Test("HELLO is accepted as long as it keeps the rules", arguments: fine, Chop.allCases)
    func accepted(_ hello: (String, RawFrame), _ chop: Chop) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface + hello.1.bytes, chop: chop)
            try peer.takePreface()
            #expect(try peer.takeFrame().type == .welcome, "\(hello.0)")
        }
    }

    static let refused = [
        Breach("4.1-2", "major 0", RawFrame.hello(major: 0), code: .unsupportedVersion),
        Breach("4.1-2", "major 2", RawFrame.hello(major: 2), code: .unsupportedVersion),
        Breach(
            "4.1-1", "major before flags, max_frame and options",
            RawFrame.hello(major: 9, flags: 0xFFFF, maxFrame: 0, options: [1]), code: .unsupportedVersion),
        Breach("4.1-3", "the flag 0x0002", RawFrame.hello(flags: 2)),
        Breach("4.1-3", "the flag 0x8000 beside SHORT", RawFrame.hello(flags: 0x8001)),
        Breach("4.1-1", "flags before options", RawFrame.hello(flags: 2, options: option(0x8000, []))),
        Breach("4.1-4", "max_frame 255", RawFrame.hello(maxFrame: 255)),
        Breach("4.1-4", "max_frame 0", RawFrame.hello(maxFrame: 0)),
        Breach("4.1-1", "max_frame before options", RawFrame.hello(maxFrame: 1, options: option(0x8000, []))),
        Breach("4.12-1", "an option cut off", RawFrame.hello(options: [0, 2, 0])),
        Breach("4.12-1", "one byte left over", RawFrame.hello(options: name("a") + [0])),
        Breach("4.12-1", "an option that reaches beyond the end", RawFrame.hello(options: [0, 2, 0, 5, 0x61])),
        Breach("4.12-1", "an unknown option beyond the end", RawFrame.hello(options: [0x70, 0, 0xFF, 0xFF])),
        Breach("4.12-2", "TOKEN twice", RawFrame.hello(options: token(1) + token(1))),
        Breach("4.12-2", "NAME twice", RawFrame.hello(options: name("a") + name("a"))),
        Breach("4.12-2", "AGENT twice", RawFrame.hello(options: agent("a") + agent("b"))),
        Breach("4.12-3", "TOKEN of 257 bytes", RawFrame.hello(options: token(257))),
        Breach("4.12-4", "NAME of 65 bytes", RawFrame.hello(options: name(name64 + "n"))),
        Breach("3.1-3", "NAME that is not UTF-8", RawFrame.hello(options: option(2, [0x61, 0xFF]))),
        Breach(
            "3.1-3", "NAME that holds half a surrogate pair", RawFrame.hello(options: option(2, [0xED, 0xA0, 0x80]))),
        Breach("3.1-3", "NAME in more bytes than it needs", RawFrame.hello(options: option(2, [0xC0, 0xAF]))),
        Breach("3.1-3", "AGENT that is not UTF-8", RawFrame.hello(options: option(3, [0xC3]))),
        Breach("4.12-5", "the tag 0x8000", RawFrame.hello(options: option(0x8000, [])), code: .unsupportedOption),
        Breach("4.12-5", "the tag 0xFFFF", RawFrame.hello(options: option(0xFFFF, [1])), code: .unsupportedOption),
        Breach(
            "9-1", "options are judged as they stand: the unknown one first",
            RawFrame.hello(options: option(0x8001, []) + name(name64 + "n")), code: .unsupportedOption),
    ]

    @Test("HELLO that breaks a rule is answered with CLOSE in place of WELCOME", arguments: refused, Chop.allCases)
    func refused(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface, chop: chop)
            try breach.expectDrop(of: peer, by: server, chop)
        }
    }

    @Test("4.12-5 The text of CLOSE names the option that is not known")
    func namedTag() throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface + RawFrame.hello(options: RawFrame.option(0x8ABC, [])).bytes)
            try peer.takePreface()
            let text = String(decoding: try peer.takeClose().text, as: UTF8.self).lowercased()
            #expect(text.contains("8abc") || text.contains("\(0x8ABC)"))
        }
    }

    @Test("4.12-8 A server that asks for no TOKEN takes no notice of one", arguments: [0, 1, 256])
    func tokenIsIgnored(_ count: Int) throws {
        try withServer { server in
            _ = try server.open(.hello(options: RawFrame.option(1, [UInt8](repeating: 0x20, count: count))))
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

    @Test("2.1 A request right behind HELLO is answered behind WELCOME", arguments: Chop.allCases)
    func earlyRequest(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes, chop: chop)
            try peer.takePreface()
            #expect(try peer.takeFrame().type == .welcome)
            #expect(try peer.takeFrame() == .response(1, Array("hello".utf8)))
        }
    }
}
