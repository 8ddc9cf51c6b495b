import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 4.3 to 4.11: what the frames after the handshake carry.
    @Suite("Section 4: frames") struct Frames {}
}

extension Live.Wire.Frames {
    private static let notUTF8: [UInt8] = [0x61, 0xFF, 0x62]

    static let breaches = [
        Breach("4.9-1", "CLOSE whose zero is not 0", RawFrame.close().with { $0.payload[7] = 1 }),
        Breach("4.9-1", "GOAWAY whose zero is not 0", RawFrame.goAway().with { $0.payload[2] = 1 }),
        Breach("3.1-3", "CLOSE with a text that is not UTF-8", RawFrame.close().with { $0.payload += notUTF8 }),
        Breach("3.1-3", "GOAWAY with a text that is not UTF-8", RawFrame.goAway().with { $0.payload += notUTF8 }),
        Breach("4.11-4", "CLOSE with a last_id", RawFrame.close(lastID: 1)),
        Breach("5.4-5", "PONG though nothing was asked", RawFrame.pong(1)),
    ]

    @Test(
        "9-1 A frame whose payload breaks a rule is answered with CLOSE(PROTOCOL_ERROR)", arguments: breaches,
        Chop.allCases
    )
    func breach(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in try breach.expectDrop(of: server.open(), greeted: true, by: server, chop) }
    }

    @Test("4.4 PING is answered with its nonce and no load", arguments: [0, 1, .max] as [UInt64], Chop.allCases)
    func pong(_ nonce: UInt64, _ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.ping(nonce), chop: chop)
            #expect(try peer.takeFrame() == .pong(nonce))
        }
    }

    @Test("F6 A PING whose nonce was used before is answered")
    func repeatedNonce() throws {
        try withServer { server in
            let peer = try server.open()
            for _ in 0..<3 {
                try peer.send(.ping(7))
                #expect(try peer.takeFrame() == .pong(7))
            }
        }
    }

    @Test("4.4-1 PONG tells the request that is being received", arguments: [1, 100] as [Int])
    func load(_ count: Int) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1, [UInt8](repeating: 1, count: count), more: true), .ping(1))
            let pong = try peer.takeFrame().pong
            #expect(pong?.queued == UInt32(count) && pong?.inFlight == 1)
            try peer.send(.request(1, ""))
            _ = try peer.take(.response)
            try peer.send(.ping(2))
            #expect(try peer.takeFrame() == .pong(2))
        }
    }

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

    @Test("4.8-3 CANCEL of a request that is answered, was cancelled, or of an id left out has no effect")
    func lateCancel() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1), .request(3, "a", more: true), .cancel(3))
            #expect(try peer.take(.response).id == 1)
            #expect(try peer.take(.failure).id == 3)
            try peer.send(.cancel(1), .cancel(3), .cancel(2), .ping(1))
            #expect(try peer.takeFrame().type == .pong)
        }
    }

    @Test("4.9-4 A code that is not defined is no violation", arguments: [21, 1000, .max] as [UInt16])
    func unknownCode(_ number: UInt16) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.close(Code(number: number), "news"))
            #expect(try peer.takeClose().code == .normal)
            try server.log.line(with: "closed", "\(number)")
        }
    }

    @Test("4.11 CLOSE with the longest text and with none is answered", arguments: [0, 1, 512], Chop.allCases)
    func closeText(_ count: Int, _ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.close(.normal, String(repeating: "x", count: count)), chop: chop)
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test("4.11-1, 4.11-2, 4.11-3 last_id is the highest id that the handler has been given")
    func lastID() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(3), .request(9), .request(12, "a", more: true))
            _ = (try peer.take(.response), try peer.take(.response))
            try peer.send(.close())
            #expect(try peer.takeClose().lastID == 9)
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
