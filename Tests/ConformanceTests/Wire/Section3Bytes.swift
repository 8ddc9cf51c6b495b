import RawWire
import Testing

extension Live.Wire {
    /// What the log says of clients that break a rule; what they get is judged by the command `conformance`.
    @Suite("Section 3: bytes") struct Bytes {}
}

extension Live.Wire.Bytes {
    private static let preface = RawFrame.preface

    /// A breach of each code and each stage, where no HELLO has been taken.
    private static let ungreeted = [
        Breach("3.2-3", "no preface", [0x00], code: .badPreface),
        Breach("3.3-6", "PING in place of HELLO", preface + RawFrame.ping(1).bytes),
        Breach("3.3-3", "HELLO of 1025 bytes", preface + claiming(1025, RawFrame.hello()), code: .frameTooLarge),
        Breach("4.1-2", "major 2", preface + RawFrame.hello(major: 2).bytes, code: .unsupportedVersion),
        Breach("4.1-4", "max_frame 255", preface + RawFrame.hello(maxFrame: 255).bytes),
        Breach(
            "4.12-5", "the tag 0x8000", preface + RawFrame.hello(options: RawFrame.option(0x8000, [])).bytes,
            code: .unsupportedOption),
    ]

    /// The same on an open connection. Where max_message is under max_frame, one frame can be over it.
    private static let greeted = [
        Breach("3.3-2", "PING with an id", RawFrame.ping(1).with { $0.id = 1 }),
        Breach("3.3-3", "PING of 9 bytes", claiming(9, RawFrame.ping(1)), code: .frameTooLarge),
        Breach("3.4-3", "an unknown type", RawFrame.unknown(0x0C, flags: 0)),
        Breach("5.4-5", "PONG though nothing was asked", RawFrame.pong(1)),
        Breach("4.11-4", "CLOSE with a last_id", RawFrame.close(lastID: 1)),
        Breach("3.5-5", "a request over max_message", claiming(1001, RawFrame.request(1)), code: .messageTooLarge),
        Breach("3.5-5", "a MESSAGE over max_message", claiming(1001, RawFrame.message([])), code: .messageTooLarge),
        Breach(
            "3.5-5", "a chunk that takes its message over max_message",
            RawFrame.request(1, [UInt8](repeating: 1, count: 999), more: true).bytes + claiming(2, RawFrame.request(1)),
            code: .messageTooLarge),
    ]

    private static func claiming(_ length: UInt32, _ frame: RawFrame) -> [UInt8] {
        Array(frame.with { $0.claimedLength = length }.bytes.prefix(RawFrame.headerLength))
    }

    @Test("A drop is logged with its code and its peer, and CLOSE says what was wrong", arguments: Chop.allCases)
    func drops(_ chop: Chop) throws {
        try withServer("--max-message", "1000") { server in
            for breach in Self.ungreeted { try breach.expectDrop(of: server.connect(), by: server, chop) }
            for breach in Self.greeted { try breach.expectDrop(of: server.open(), greeted: true, by: server, chop) }
            let message = Breach("7.3-1", "MESSAGE in a short connection", RawFrame.message([1]))
            try message.expectDrop(of: server.open(.short), greeted: true, by: server, chop)
        }
    }

    @Test("9-3, 7.5-3 Nothing behind a frame that breaks a rule is counted as a request")
    func nothingBehind() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.unknown(0x77, flags: 0), .request(1), .ping(7), .message([1]))
            #expect(try peer.take(.close).notice?.lastID == 0)
            try peer.takeEnd()
            try server.log.line(with: "closed", "requests=0")
        }
    }

    @Test("3.2-5 A peer that speaks another protocol is named in the text and in the log, others in hexadecimal")
    func recognised() throws {
        let openings: [([UInt8], String)] = [
            (Array("GET / HTTP/1.1\r\n".utf8), "HTTP"), (Array("POST /a HTTP/1.1\r\n".utf8), "HTTP"),
            ([0x16, 0x03, 0x01, 0x02], "TLS"), (Array("SSH-2.0-x\r\n".utf8), "SSH"),
            ([0xDE, 0xAD, 0xBE, 0xEF], "de ad be ef"),
        ]
        try withServer { server in
            for (opening, name) in openings {
                let peer = try server.connect()
                try peer.send(opening)
                try peer.takePreface()
                #expect(try peer.takeClose().words.contains(name))
                try server.log.line(with: "closed", "BAD_PREFACE", "peer=127.0.0.1:\(peer.localPort) ", name)
            }
        }
    }
}
