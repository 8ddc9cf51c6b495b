import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 4.3 to 4.11: what the frames after the handshake carry.
    @Suite("Section 4: frames") struct Frames {}
}

extension Live.Wire.Frames {
    @Test("4.8-2 CANCEL of a request whose chunks are still coming gets FAILURE(CANCELLED)", arguments: Chop.allCases)
    func cancel(_ chop: Chop) throws {
        try withServer("--handler", "count") { server in
            let peer = try server.open()
            try peer.send(.request(1, "a", more: true), .cancel(1), .request(2), chop: chop)
            let failure = try peer.take(.failure)
            #expect(failure.id == 1 && failure.notice?.code == .cancelled && failure.notice?.zero == 0)
            // The handler has seen nothing of it: the next request is its first.
            #expect(try peer.takeFrame() == .response(2, Array("This is server send message:0".utf8)))
        }
    }

    @Test("4.9-4 A code that is not defined is no violation, and is in the log")
    func unknownCode() throws {
        try withServer { server in
            for number: UInt16 in [21, 1000, .max] {
                let peer = try server.open()
                try peer.send(.close(RawCode(number: number), "news"))
                #expect(try peer.takeClose().code == .normal)
                try server.log.line(with: "closed", "peer=127.0.0.1:\(peer.localPort) ", "\(number)")
            }
        }
    }

    @Test(
        "The built-in handlers: echo, ack, count",
        arguments: [
            ("echo", ["one", "two"]), ("ack", ["ok", "ok"]),
            ("count", ["This is server send message:0", "This is server send message:1"]),
        ])
    func handlers(_ handler: String, _ answers: [String]) throws {
        try withServer("--handler", handler) { server in
            for _ in 0..<2 {
                let peer = try server.open()
                try peer.send(.request(1, "one"), .request(2, "two"))
                #expect(try [peer.take(.response).text, peer.take(.response).text] == answers)
            }
        }
    }
}
