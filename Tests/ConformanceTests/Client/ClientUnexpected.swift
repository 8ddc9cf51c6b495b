import Testing
import RawWire

/// A fault of a server, and the code with which the client has to answer it.
struct ServerFault: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let code: RawCode
    /// What the server says, from the first byte that is wrong or leads to it, and not a byte more than is needed.
    let bytes: [UInt8]
    var mode = "long"

    /// Whole frames, of which the last is wrong.
    init(_ row: String, _ code: RawCode, _ frames: RawFrame...) {
        self.init(row, code, bytes: frames.flatMap(\.bytes))
    }

    /// Whole frames, of which the last is wrong in a way that has no code of its own.
    init(_ row: String, _ frames: RawFrame...) {
        self.init(row, .protocolError, bytes: frames.flatMap(\.bytes))
    }

    init(_ row: String, _ code: RawCode, bytes: [UInt8], mode: String = "long") {
        (testDescription, self.code, self.bytes, self.mode) = (row, code, bytes, mode)
    }

    /// A frame whose header alone is wrong: nothing of its payload is sent.
    static func header(
        _ row: String, code: RawCode = .protocolError, _ frame: RawFrame, length: Int? = nil, after: RawFrame...,
        mode: String = "long"
    ) -> ServerFault {
        let header = frame.with { $0.claimedLength = length.map(UInt32.init) ?? UInt32($0.payload.count) }
        return ServerFault(row, code, bytes: after.flatMap(\.bytes) + header.bytes.prefix(12), mode: mode)
    }
}

extension Live.Client {
    /// Protocol.md, section 9, where the server is at fault: a raw server commits each fault in whole and byte by byte.
    @Suite("Client: section 9, handling the unexpected") struct ClientUnexpected {
        static let prefaces: [ServerFault] = [
            ServerFault(
                "P1 HTTP in place of the preface", .badPreface, bytes: Array("HTTP/1.1 400 Bad Request\r\n".utf8)),
            ServerFault("P1 one byte that differs", .badPreface, bytes: [0x58]),
            ServerFault("P1 only the last byte differs", .badPreface, bytes: Array("LIFELINX".utf8)),
            ServerFault("P1 small letters", .badPreface, bytes: Array("l".utf8)),
            ServerFault("P1 TLS", .badPreface, bytes: [0x16, 0x03, 0x01]),
        ]

        static let greetings: [ServerFault] = [
            .header("H1 reserved bytes", .welcome().with { $0.reserved = 1 }),
            .header("H2 an unknown flag", .welcome().with { $0.flags = 0x40 }),
            .header("H3 an unknown type", .unknown(0x0C, flags: 0)),
            .header("H4 MORE on WELCOME", .welcome().with { $0.flags = RawFrame.more }),
            .header("H5 HELLO from a server", .hello()),
            .header("H7 PING before WELCOME", .ping(1)),
            .header("H7 an IGNORABLE frame before WELCOME", .unknown(0xEE, flags: 0x80)),
            .header("H9 WELCOME with an id", .welcome().with { $0.id = 1 }),
            .header("H10 WELCOME too long", code: .frameTooLarge, .welcome(), length: 1025),
            .header("H10 a length of 4 GiB", code: .frameTooLarge, .welcome(), length: Int(UInt32.max)),
            .header("H11 WELCOME too short", .welcome(), length: 35),
            ServerFault("G1 major 2", .unsupportedVersion, .welcome(major: 2, minor: 9, flags: 7)),
            ServerFault("G1 major 0", .unsupportedVersion, .welcome(major: 0)),
            ServerFault("G3 a minor above HELLO's", .welcome(minor: 2)),
            ServerFault("G4 a flag", .welcome(flags: 0x8000)),
            ServerFault("G5 max_frame 255", .welcome(maxFrame: 255)),
            ServerFault("G8 dead_after 99", .welcome(pingEvery: 20, deadAfter: 99)),
            ServerFault("G9 ping_every 19", .welcome(pingEvery: 19, deadAfter: 1000)),
            ServerFault("G9 ping_every over half", .welcome(pingEvery: 501, deadAfter: 1001)),
            ServerFault("G10 max_in_flight 0", .welcome(maxInFlight: 0)),
            ServerFault("G12 three bytes left over", .welcome(options: [0, 3, 0])),
            ServerFault("G12 an option beyond the end", .welcome(options: RawFrame.option(9, [1], length: 2))),
            ServerFault("G13 AGENT twice", .welcome(options: RawFrame.option(3, []) + RawFrame.option(3, []))),
            ServerFault("G15 AGENT is not UTF-8", .welcome(options: RawFrame.option(3, [0xFF]))),
            ServerFault(
                "G16 an option that must be understood", .unsupportedOption,
                .welcome(options: RawFrame.option(0x8001, []))),
            ServerFault("G19 dead_after above what was asked", .welcome(deadAfter: 60_001)),
            ServerFault("F1 CLOSE with zero not 0", .close().with { $0.payload[7] = 1 }),
            ServerFault("F2 CLOSE whose text is not UTF-8", .close().with { $0.payload += [0xC3] }),
        ]

        static let opens: [ServerFault] = [
            .header("H1 reserved bytes", .pong(1).with { $0.reserved = 0x100 }),
            .header("H2 an unknown flag", .ping(1).with { $0.flags = 0x02 }),
            .header("H3 an unknown type", .unknown(0, flags: 0)),
            .header("H4 MORE on PING", .ping(1).with { $0.flags = RawFrame.more }),
            .header("H4 MORE on an unknown type", .unknown(0xEE, flags: 0x81)),
            .header("H5 REQUEST from a server", .request(1)),
            .header("H5 CANCEL from a server", .cancel(1)),
            .header("H5 HELLO from a server", .hello()),
            .header("H8 a second WELCOME", .welcome()),
            .header("H9 RESPONSE with id 0", .response(0, [1])),
            .header("H9 FAILURE with id 0", .failure(0, .busy)),
            .header("H9 PING with an id", .ping(1).with { $0.id = 1 }),
            .header("H9 MESSAGE with an id", .message([1]).with { $0.id = 1 }),
            .header("H9 CLOSE with an id", .close().with { $0.id = 1 }),
            .header("H10 RESPONSE over max_frame", code: .frameTooLarge, .response(1, []), length: 16385),
            .header("H10 MESSAGE over max_frame", code: .frameTooLarge, .message([]), length: Int(UInt32.max)),
            .header(
                "H10 a skipped frame over max_frame", code: .frameTooLarge, .unknown(0xEE, flags: 0x80), length: 16385),
            .header("H10 PING of 9 bytes", code: .frameTooLarge, .ping(1), length: 9),
            .header("H10 FAILURE of 521 bytes", code: .frameTooLarge, .failure(1, .busy), length: 521),
            .header("H10 GOAWAY of 525 bytes", code: .frameTooLarge, .goAway(), length: 525),
            .header("H10 CLOSE of 525 bytes", code: .frameTooLarge, .close(), length: 525),
            .header("H11 PONG of 19 bytes", .pong(1), length: 19),
            .header("H11 FAILURE of 7 bytes", .failure(1, .busy), length: 7),
            .header("H11 CLOSE of 11 bytes", .close(), length: 11),
            .header("H12 an empty chunk with MORE", .response(1, [], more: true)),
            .header(
                "H13 MESSAGE between the chunks of a response", .message([1]), after: .response(1, [1], more: true)),
            .header(
                "H13 RESPONSE between the chunks of a message", .response(1, [1]), after: .message([1], more: true)),
            .header("H13 a chunk with another id", .response(2, [1]), after: .response(1, [1], more: true)),
            .header("R2 RESPONSE for an id never sent", .response(2, [1])),
            ServerFault("R2 FAILURE for an id never sent", .failure(9, .busy)),
            .header("R3 RESPONSE after its ending", .response(1, [1]), after: .response(1, [1])),
            ServerFault("R3 FAILURE after the response", .response(1, [1]), .failure(1, .busy)),
            .header("R3 RESPONSE after FAILURE", .response(1, [1]), after: .failure(1, .handlerFailed)),
            .header("S3 MESSAGE in a short connection", .message([1]), mode: "short"),
            ServerFault("F1 FAILURE with zero not 0", .failure(1, .busy).with { $0.payload[2] = 1 }),
            ServerFault("F1 GOAWAY with zero not 0", .goAway().with { $0.payload[3] = 1 }),
            ServerFault(
                "F2 FAILURE whose text is not UTF-8", .failure(1, .busy).with { $0.payload += [0xED, 0xA0, 0x80] }),
            ServerFault("F2 GOAWAY whose text is not UTF-8", .goAway().with { $0.payload += [0x80] }),
            ServerFault("F4 PONG for no PING", .pong(.max)),
            ServerFault("F10 CLOSE with last_id above all", .close(lastID: 2)),
        ]

        @Test("A fault in place of the preface", arguments: prefaces, Chop.allCases)
        func preface(_ fault: ServerFault, _ chop: Chop) throws {
            try judge(fault, chop) { _ in }
        }

        @Test("A fault in place of WELCOME", arguments: greetings, Chop.allCases)
        func greeting(_ fault: ServerFault, _ chop: Chop) throws {
            try judge(fault, chop) { try $0.send(RawFrame.preface) }
        }

        @Test("A fault on an open connection", arguments: opens, Chop.allCases)
        func open(_ fault: ServerFault, _ chop: Chop) throws {
            try judge(fault, chop) {
                try $0.send(RawFrame.preface + RawFrame.welcome().bytes)
                #expect(try $0.takeRequest().id == 1)
            }
        }

        private func judge(_ fault: ServerFault, _ chop: Chop, prepare: (RawPeer) throws -> Void) throws {
            // One request is unanswered, and the next would follow its answer: a fault ends the connection all the same.
            let messages = fault.mode == "long" ? ["one", "two"] : ["one"]
            let listener = try RawListener()
            let client = try startClient(
                ["--mode", fault.mode, "--dead-after", "60", "--retries", "0"]
                    + (fault.mode == "long" ? ["--in-flight", "1"] : []) + messages,
                port: listener.address.port ?? 0)
            try tellingErrors(of: client) {
                let peer = try listener.accept()
                try peer.takeHello()
                try prepare(peer)
                try peer.send(fault.bytes, chop: chop)
                // Well before any timeout: the fault is judged when it is there, a header before its payload (9-2).
                let close = try peer.takeDrop(fault.code, within: .seconds(2))
                if fault.code == .unsupportedOption {
                    #expect(String(decoding: close.text, as: UTF8.self).contains("8001") || close.text.contains(0x32))
                }
                try client.expectStatus(76)
                #expect(try listener.acceptIfAny(within: .zero) == nil, "8: it connects again after \(fault.code)")
            }
        }

        @Test("R4 RESPONSE for a request whose last chunk is not sent is a violation")
        func early() throws {
            let message = try TemporaryFile([UInt8](repeating: 7, count: 32_000_000))
            try withClient("--binary", "--retries", "0", input: .file(message.path)) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxMessage: .max, maxQueued: .max))
                #expect(try peer.next(.request).hasMore)
                try peer.send(.response(1, [1]))
                try peer.takeDrop(.protocolError)
                try client.expectStatus(76)
            }
        }

        @Test("9-2 Of two faults in one header the first of the table decides")
        func order() throws {
            let both = RawFrame.unknown(0xEE, flags: 0x80).with { $0.reserved = 1 }
            let faults = [
                ServerFault.header("H1 before H10", both, length: 1 << 20),
                .header("H9 before H10", .response(0, []), length: 1 << 20),
                .header("H8 before H10", .welcome(), length: 1 << 20),
                .header("H10 before R2", code: .frameTooLarge, .response(9, []), length: 1 << 20),
            ]
            for fault in faults {
                try judge(fault, .whole) {
                    try $0.send(RawFrame.preface + RawFrame.welcome().bytes)
                    _ = try $0.takeRequest()
                }
            }
        }

        @Test("H15, 3.5-5 A message over max_message is refused at the header of the chunk that goes over")
        func messageTooLarge() throws {
            try withClient("--retries", "0", "x") { listener, client in
                let peer = try listener.accept()
                let most = Int(try peer.greet().maxMessage)
                #expect(try peer.takeRequest().id == 1)
                var left = most
                while left > 0 {
                    let chunk = [UInt8](repeating: 1, count: min(left, 16384))
                    try peer.send(.response(1, chunk, more: true))
                    left -= chunk.count
                }
                try peer.send(Array(RawFrame.response(1, [1]).bytes.prefix(12)))
                try peer.takeDrop(.messageTooLarge)
                try client.expectStatus(76)
            }
        }
    }
}
