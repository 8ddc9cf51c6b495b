import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, section 3: what every frame has to keep to, and what becomes of a client that does not.
    @Suite("Section 3: bytes") struct Bytes {}
}

// MARK: The preface

extension Live.Wire.Bytes {
    static let prefaces = [
        Breach("3.2-3", "the first byte differs", [0x00], code: .badPreface),
        Breach("3.2-3", "the last byte differs", Array("LIFELINF".utf8), code: .badPreface),
        Breach("3.2-3", "the preface in small letters", Array("lifeline".utf8), code: .badPreface),
        Breach("3.2-4", "a HELLO without preface", RawFrame.hello(), code: .badPreface),
        Breach("3.2-5", "HTTP", Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), code: .badPreface),
        Breach("3.2-5", "HTTP/2", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), code: .badPreface),
        Breach("3.2-5", "TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03], code: .badPreface),
        Breach("3.2-5", "SSH", Array("SSH-2.0-OpenSSH_9.9\r\n".utf8), code: .badPreface),
    ]

    @Test(
        "3.2-2, 3.2-3, 3.3-7 What is not the preface gets the preface and CLOSE(BAD_PREFACE)", arguments: prefaces,
        Chop.allCases)
    func badPreface(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in try breach.expectDrop(of: server.connect(), by: server, chop) }
    }

    @Test("3.2-3 One wrong byte is enough: the server does not wait for more", arguments: 0..<8)
    func wrongByte(_ index: Int) throws {
        try withServer("--handshake-timeout", "60") { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface.prefix(index) + [RawFrame.preface[index] ^ 0x20])
            try peer.takePreface()
            #expect(try peer.takeClose().code == .badPreface)
        }
    }

    @Test(
        "3.2-5 A peer that speaks another protocol is named in the text and in the log",
        arguments: [
            ("GET / HTTP/1.1\r\n", "HTTP"), ("POST /a HTTP/1.1\r\n", "HTTP"), ("\u{16}\u{3}\u{1}\u{2}", "TLS"),
            ("SSH-2.0-x\r\n", "SSH"),
        ])
    func recognised(_ opening: String, _ name: String) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(Array(opening.utf8))
            try peer.takePreface()
            #expect(String(decoding: try peer.takeClose().text, as: UTF8.self).contains(name))
            try server.log.line(with: "closed", "BAD_PREFACE", name)
        }
    }

    @Test("3.2-5 What is no protocol that is known is shown in hexadecimal")
    func hexadecimal() throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send([0xDE, 0xAD, 0xBE, 0xEF])
            try peer.takePreface()
            let text = String(decoding: try peer.takeClose().text, as: UTF8.self).lowercased()
            #expect(text.contains("de ad be ef") || text.contains("deadbeef"))
        }
    }
}

// MARK: The header

extension Live.Wire.Bytes {
    static let garbage = [UInt8](repeating: 0xA5, count: 40)

    /// Headers that are wrong wherever they stand.
    static let headers = [
        Breach("3.3-1", "bytes 6 and 7 are not 0", RawFrame.ping(1).with { $0.reserved = 1 }),
        Breach("3.3-1", "byte 6 is not 0", RawFrame.ping(1).with { $0.reserved = 0x8000 }),
        Breach("3.3-2", "PING has an id", RawFrame.ping(1).with { $0.id = 1 }),
        Breach("3.3-2", "PONG has an id", RawFrame.pong(1).with { $0.id = 1 }),
        Breach("3.3-2", "MESSAGE has an id", RawFrame.message([1]).with { $0.id = 1 }),
        Breach("3.3-2", "GOAWAY has an id", RawFrame.goAway().with { $0.id = 1 }),
        Breach("3.3-2", "CLOSE has an id", RawFrame.close().with { $0.id = 1 }),
        Breach("3.3-2", "REQUEST has the id 0", RawFrame.request(0)),
        Breach("3.3-2", "CANCEL has the id 0", RawFrame.cancel(0)),
        Breach("3.3-3", "PING of 7 bytes", RawFrame.ping(1).with { $0.payload.removeLast() }),
        Breach("3.3-3", "PONG of 19 bytes", RawFrame.pong(1).with { $0.payload.removeLast() }),
        Breach("3.3-3", "GOAWAY of 11 bytes", RawFrame.goAway().with { $0.payload.removeLast() }),
        Breach("3.3-3", "CLOSE of 11 bytes", RawFrame.close().with { $0.payload.removeLast() }),
        Breach("3.3-3", "an empty CLOSE", RawFrame.close().with { $0.payload = [] }),
        Breach("3.3-5", "WELCOME from a client", RawFrame.welcome()),
        Breach("3.3-5", "RESPONSE from a client", RawFrame.response(1, [1])),
        Breach("3.3-5", "FAILURE from a client", RawFrame.failure(1, .internalError)),
        Breach("3.3-8", "HELLO a second time", RawFrame.hello()),
        Breach("3.4-1", "the flag 0x02", RawFrame.ping(1).with { $0.flags = 0x02 }),
        Breach("3.4-1", "the flag 0x40 beside IGNORABLE", RawFrame.unknown(0x77, flags: 0xC0)),
        Breach("3.4-2", "MORE on PING", RawFrame.ping(1).with { $0.flags = RawFrame.more }),
        Breach("3.4-2", "MORE on CANCEL", RawFrame.cancel(1).with { $0.flags = RawFrame.more }),
        Breach("3.4-2", "MORE on CLOSE", RawFrame.close().with { $0.flags = RawFrame.more }),
        Breach("3.4-2", "MORE on an unknown type that is IGNORABLE", RawFrame.unknown(0x77, flags: 0x81, [1])),
        Breach("3.4-3", "an unknown type", RawFrame.unknown(0x0C, flags: 0)),
        Breach("3.4-3", "the type 0", RawFrame.unknown(0, flags: 0)),
        Breach("3.4-3", "the type 255", RawFrame.unknown(0xFF, flags: 0)),
    ]

    /// Lengths over the most; no byte of the payload is sent.
    static let lengths = [
        Breach("3.3-3", "PING of 9 bytes", claiming(9, RawFrame.ping(1)), code: .frameTooLarge),
        Breach("3.3-3", "PONG of 21 bytes", claiming(21, RawFrame.pong(1)), code: .frameTooLarge),
        Breach("3.3-3", "CANCEL of 1 byte", claiming(1, RawFrame.cancel(1)), code: .frameTooLarge),
        Breach("3.3-3", "GOAWAY of 525 bytes", claiming(525, RawFrame.goAway()), code: .frameTooLarge),
        Breach("3.3-3", "CLOSE of 525 bytes", claiming(525, RawFrame.close()), code: .frameTooLarge),
        Breach("3.3-9", "REQUEST over max_frame", claiming(16385, RawFrame.request(1)), code: .frameTooLarge),
        Breach("3.3-9", "MESSAGE over max_frame", claiming(16385, RawFrame.message([1])), code: .frameTooLarge),
        Breach(
            "3.3-9", "an unknown type over max_frame", claiming(16385, RawFrame.unknown(0x77, flags: 0x80)),
            code: .frameTooLarge),
        Breach("3.3-4", "REQUEST of 4 GiB", claiming(.max, RawFrame.request(1)), code: .frameTooLarge),
    ]

    private static func claiming(_ length: UInt32, _ frame: RawFrame) -> [UInt8] {
        Array(frame.with { $0.claimedLength = length }.bytes.prefix(RawFrame.headerLength))
    }

    @Test(
        "9-1, 8-2 A header that breaks a rule is answered with CLOSE(PROTOCOL_ERROR) and a text", arguments: headers,
        Chop.allCases)
    func header(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in
            try breach.expectDrop(of: server.open(), greeted: true, by: server, chop)
        }
    }

    @Test("3.3-4 A length over the most is refused at the header", arguments: lengths, Chop.allCases)
    func length(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in
            try breach.expectDrop(of: server.open(), greeted: true, by: server, chop)
        }
    }

    @Test(
        "9-2 Of several faults in a header the first in the order of the table decides the code",
        arguments: [
            Breach(
                "H1", "a reserved byte before an unknown flag",
                RawFrame.unknown(0x77, flags: 0x02).with {
                    $0.reserved = 1; $0.claimedLength = .max
                }),
            Breach(
                "H3", "an unknown type before its length",
                RawFrame.unknown(0x77, flags: 0).with { $0.claimedLength = .max }),
            Breach(
                "H4", "MORE where it may not be before the length",
                RawFrame.ping(1).with {
                    $0.flags = 1; $0.claimedLength = .max
                }),
            Breach("H5", "the wrong side before the length", RawFrame.response(1, []).with { $0.claimedLength = .max }),
            Breach("H8", "a second HELLO before its length", RawFrame.hello().with { $0.claimedLength = .max }),
            Breach("H9", "a wrong id before the length", RawFrame.request(0).with { $0.claimedLength = .max }),
            Breach(
                "H10", "a length before the order of ids",
                Array(RawFrame.cancel(9).with { $0.claimedLength = 7 }.bytes), code: .frameTooLarge),
        ])
    func order(_ breach: Breach) throws {
        try withServer { server in
            try breach.expectDrop(of: server.open(), greeted: true, by: server, .whole)
        }
    }

    @Test("9-3, 7.5-3 Nothing behind a frame that breaks a rule is acted on")
    func nothingBehind() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.unknown(0x77, flags: 0), .request(1), .ping(7), .message([1]))
            #expect(try peer.take(.close).notice?.lastID == 0)
            try peer.takeEnd()
            try server.log.line(with: "closed", "requests=0")
        }
    }

    @Test("7.5-1 A request before the fault is in last_id, whether or not its answer still came")
    func lastIDOfDrop() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1), .unknown(0x77, flags: 0), .request(2))
            let close = try peer.takeClose()
            #expect(close.code == .protocolError && close.lastID == 1)
        }
    }

    static let firstFrames: [Breach] = [
        Breach("3.3-6", "PING first", RawFrame.ping(1)),
        Breach("3.3-6", "PONG first", RawFrame.pong(1)),
        Breach("3.3-6", "REQUEST first", RawFrame.request(1)),
        Breach("3.3-6", "MESSAGE first", RawFrame.message([1])),
        Breach("3.3-6", "CANCEL first", RawFrame.cancel(1)),
        Breach("3.3-6", "GOAWAY first", RawFrame.goAway()),
        Breach("3.3-6", "CLOSE first", RawFrame.close()),
        Breach("3.3-6", "WELCOME first", RawFrame.welcome()),
        Breach("3.4-5", "a frame to be skipped first", RawFrame.unknown(0x77, flags: 0x80, [1, 2])),
        Breach("3.3-3", "HELLO of 19 bytes", RawFrame.hello().with { $0.payload.removeLast() }),
        Breach("3.3-3", "HELLO of 1025 bytes", claiming(1025, RawFrame.hello()), code: .frameTooLarge),
        Breach("3.3-2", "HELLO with an id", RawFrame.hello().with { $0.id = 1 }),
        Breach("3.4-2", "HELLO with MORE", RawFrame.hello().with { $0.flags = 1 }),
    ]

    @Test("3.3-6 The first frame must be HELLO", arguments: firstFrames, Chop.allCases)
    func firstFrame(_ breach: Breach, _ chop: Chop) throws {
        try withServer { server in
            let peer = try server.connect()
            try peer.send(RawFrame.preface, chop: chop)
            try breach.expectDrop(of: peer, by: server, chop)
        }
    }
}
