import RawWire

/// Sections 8 and 9: codes and texts, the order of checks, garbage; and the conversations of the appendices.
extension Case<ServerBench> {
    static let section9: [Case] = codes + order + garbage + appendices

    private static let codes = numbered(
        "8",
        [
            ("PROTOCOL_ERROR", RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(0).bytes),
            ("BAD_PREFACE", [0xFF]), ("UNSUPPORTED_VERSION", RawFrame.preface + RawFrame.hello(major: 2).bytes),
            (
                "FRAME_TOO_LARGE",
                RawFrame.preface + RawFrame.hello().bytes + RawFrame.header(.ping, length: 9)
            ),
            ("UNSUPPORTED_OPTION", greeting(RawFrame.option(0x8000, []))),
            (
                "TOO_MANY_PINGS",
                RawFrame.preface + RawFrame.hello(pingEvery: .max).bytes
                    + (1...30).flatMap { RawFrame.ping($0).bytes }
            ),
        ].map { (code: String, bytes: [UInt8]) in
            .of("8-2", "CLOSE(\(code)) has a text that says what came", level: .should) { bench in
                let peer = try bench.connect()
                try bench.send(bytes, on: peer)
                try peer.takePreface()
                let close = try peer.takeClose()
                bench.expect(
                    "\(close.code)" == code && !close.text.isEmpty, "CLOSE(\(code)) with a text", got: "\(close)")
                bench.expect(String(validating: close.text, as: UTF8.self) != nil, "UTF-8", got: hex(close.text))
            }
        },
        [
            told(.messageTooLarge) { bench in
                let (peer, welcome) = try bench.open()
                guard welcome.maxMessage < 4 << 20 else { throw Skip("max_message is \(welcome.maxMessage)") }
                try bench.ask(1, count: .max, welcome, open: true, on: peer)
                try bench.send(RawFrame.header(.request, length: 1, id: 1), on: peer)
                return peer
            },
            told(.silent) { bench in try bench.open(bench.hello()).peer },
            told(.frameTimeout) { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                try bench.trickle(Array(RawFrame.ping(1).bytes.dropLast()), over: welcome.deadline * 0.95, on: peer)
                return peer
            },
            told(.slowReader) { bench in
                let stuck = try bench.stuck(bench.hello())
                bench.beat(stuck.peer, for: stuck.welcome.deadline * 1.4, every: stuck.welcome.deadline / 8)
                return stuck.peer
            },
            told(.handshakeTimeout) { bench in
                try bench.needHandshakeTimeout()
                let peer = try bench.connect()
                try peer.takePreface(within: bench.known.wholeHandshakeTimeout * 1.2 + .seconds(1))
                return peer
            },
        ])

    /// The CLOSE with `code` that ends the connection of `breach` has a text.
    private static func told(_ code: RawCode, _ breach: @escaping @Sendable (ServerBench) throws -> RawPeer) -> Case {
        .of("8-2", "CLOSE(\(code)) has a text that says what came", level: .should) { bench in
            let peer = try breach(bench)
            let close = try peer.takeClose()
            bench.expect(close.code == code && !close.text.isEmpty, "CLOSE(\(code)) with a text", got: "\(close)")
        }
    }

    private static func open(_ frames: RawFrame...) -> [RawFrame] { frames }

    private static let order = numbered(
        "9",
        [
            .drop(
                "9-2", "Of reserved bits and a length too large the first decides: it",
                RawFrame(type: .ping, reserved: 1, claimedLength: 9).bytes),
            .drop(
                "9-2", "Of a flag that is none and a length too large the first decides: it",
                RawFrame(type: .ping, flags: 2, claimedLength: 9).bytes),
            .drop(
                "9-2", "Of an unknown type without IGNORABLE and a length too large the first decides: it",
                RawFrame(type: .init(number: 0x77), claimedLength: .max).bytes),
            .drop(
                "9-2", "Of MORE on PING and a length too large the first decides: it",
                RawFrame(type: .ping, flags: 1, claimedLength: 9).bytes),
            .drop(
                "9-2", "Of MORE on an unknown type and a length too large the first decides: it",
                RawFrame(type: .init(number: 0x77), flags: 0x81, claimedLength: .max).bytes),
            .drop(
                "9-2", "Of a type that is the server's and a length too large the first decides: it",
                RawFrame(type: .response, id: 1, claimedLength: .max).bytes),
            .refuse(
                "9-2", "Of a first frame that is not HELLO and a length too large the first decides: it",
                RawFrame.preface + RawFrame(type: .ping, claimedLength: .max).bytes),
            .drop(
                "9-2", "Of a second HELLO and a length too large the first decides: it",
                RawFrame(type: .hello, claimedLength: .max).bytes),
            .drop(
                "9-2", "Of an id where none may be and a length too large the first decides: it",
                RawFrame(type: .ping, id: 1, claimedLength: .max).bytes),
            .drop(
                "9-2", "Of the id 0 in REQUEST and a length too large the first decides: it",
                RawFrame(type: .request, claimedLength: .max).bytes),
            .refuse(
                "9-2", "Of an id in HELLO and a length too large the first decides: it",
                RawFrame.preface + RawFrame(type: .hello, id: 1, claimedLength: .max).bytes),
            .of("9-2", "Of a length too large and an id that was used the first decides: FRAME_TOO_LARGE") { bench in
                let (peer, welcome) = try bench.open()
                guard welcome.maxFrame < .max else { throw Skip("the server accepts frames of any length") }
                try bench.expectServed(5, on: peer)
                try bench.send(RawFrame.header(.request, length: .max, id: 5), on: peer)
                try bench.expectDrop(of: peer, .frameTooLarge)
            },
            .of("9-2", "Of a length too large and a message that is open the first decides: FRAME_TOO_LARGE") { bench in
                let (peer, welcome) = try bench.open()
                guard welcome.maxFrame < .max else { throw Skip("the server accepts frames of any length") }
                try bench.send(
                    RawFrame.request(1, "a", more: true).bytes + RawFrame.header(.message, length: .max), on: peer)
                try bench.expectDrop(of: peer, .frameTooLarge)
            },
            .of("9-3", "Nothing behind a frame that breaks a rule is acted on: no PONG, no response") { bench in
                let (peer, _) = try bench.open()
                let breach = RawFrame.ping(1).with { $0.reserved = 1 }.bytes
                try bench.send(breach + RawFrame.ping(2).bytes + RawFrame.request(1).bytes, on: peer)
                let close = try bench.expectDrop(of: peer, .protocolError)
                bench.expect(close?.lastID == 0, "last_id 0", got: "\(close as Any)")
            },
            .of("9-3", "A request behind HELLO that breaks a rule is not acted on") { bench in
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.hello(flags: 4).bytes + RawFrame.request(1).bytes, on: peer)
                try peer.takePreface()
                let close = try bench.expectDrop(of: peer, .protocolError)
                bench.expect(close?.lastID == 0, "last_id 0", got: "\(close as Any)")
            },
        ])

    private static let garbage = numbered(
        "9.1",
        RawGarbage.allCases.flatMap { kind in
            (1...4).map { seed in
                .of(
                    ["9-1", "7.1-1", "9-3", "8-1"][seed - 1],
                    "\(kind.rawValue), 25 times from the seed \(seed): each connection ends with a CLOSE whose code is 20 at most"
                ) { bench in
                    try bench.expectEnd(of: kind, seed: UInt64(seed))
                }
            }
        },
        [
            .of("9-1", "Garbage that is reset while it is on its way ends nothing but itself") { bench in
                var random = Seeded(7)
                for kind in RawGarbage.allCases {
                    for _ in 0..<10 {
                        let peer = try bench.connect()
                        try? bench.send(kind.bytes(&random), on: peer)
                        peer.reset()
                    }
                }
            },
            .of("9-1", "A conversation comes to the same end wherever it is cut in two") { bench in
                var random = Seeded(11)
                let bytes = random.conversation()
                for cut in [3, 8, 9, 19, 20, 40, 41, 60, 80, bytes.count - 1] {
                    let peer = try bench.connect()
                    try bench.send(Array(bytes.prefix(cut)), on: peer)
                    bench.pause(.milliseconds(2))
                    try bench.send(Array(bytes.dropFirst(cut)), on: peer)
                    _ = try bench.takeWelcome(on: peer)
                    try bench.expectClose(of: peer, .normal)
                }
            },
        ])

    private static let appendices = numbered(
        "A",
        [
            .of("7.3-3", "The short connection of appendix A goes as it stands there") { bench in
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes, on: peer)
                _ = try bench.takeWelcome(on: peer)
                var rest: [RawFrame] = []
                while rest.last?.type != .close { rest.append(try bench.next(on: peer)) }
                let right: [RawFrame] = [.response(1, Array("hello".utf8)), .close(lastID: 1)]
                bench.expect(rest == right, "\(right)", got: "\(rest)")
                try peer.takeEnd()
            },
            .of("7.1-6", "The long connection of appendix B goes as it stands there") { bench in
                let (peer, _) = try bench.open(.hello(options: RawFrame.name("till-7")))
                try bench.send(.ping(1), on: peer)
                let pong = try bench.next(on: peer)
                bench.expect(pong == .pong(1), "PONG 1, no load", got: "\(pong)")
                try bench.expectServed(1, on: peer)
                try bench.send(
                    .message(Array("note".utf8)), .request(2, "hel", more: true), .request(2, "lo"), on: peer)
                bench.expect(try bench.ending(of: 2, on: peer).text == "hello", "'hello'", got: "another")
                try bench.send(.request(3, ""), on: peer)
                bench.expect(try bench.ending(of: 3, on: peer) == .response(3, []), "an empty response", got: "another")
                try bench.send(.close(), on: peer)
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 3 && close?.retryAfter == 0, "last_id 3", got: "\(close as Any)")
            },
        ])
}
