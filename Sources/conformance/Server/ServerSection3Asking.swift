import RawWire

/// Section 3.7: requests from the server.
extension Case<ServerBench> {
    static let serverRequests = numbered("3.7", notAgreed, agreed, asked, askedAtEnds)

    /// Endings of the client where nothing is agreed on.
    private static let notAgreed: [Case] = [
        ("in 1.0", RawFrame.hello(options: RawFrame.answers())), ("without ANSWERS", .hello(minor: 1)),
        ("on a short connection", .hello(minor: 1, flags: 1, options: RawFrame.answers())),
    ].flatMap { when, hello -> [Case] in
        [
            .drop("3.7-2", "RESPONSE \(when)", RawFrame.response(1, "x").bytes, .protocolError, hello),
            .drop("3.7-2", "FAILURE \(when)", RawFrame.failure(1, .handlerFailed).bytes, .protocolError, hello),
            .of("3.7-1", "The server asks nothing \(when), though its handler would") { bench in
                let ask = try bench.words(\.askWith, "--ask-with")
                let (peer, _) = try bench.open(hello)
                try bench.send(.request(1, ask + "x"), on: peer)
                // A REQUEST is judged wherever it comes.
                _ = try bench.ending(of: 1, on: peer)
            },
        ]
    }

    /// What the server has to judge without having asked anything.
    private static let agreed: [Case] = [
        ("RESPONSE with an id that the server has not sent", "3.6-5", RawFrame.response(1, "x").bytes),
        ("The header alone of such a RESPONSE", "3.6-5", RawFrame.header(.response, length: 9, id: 1)),
        ("FAILURE with an id that the server has not sent", "3.6-5", RawFrame.failure(7, .refused).bytes),
        ("RESPONSE with the id 0", "3.3-2", RawFrame.header(.response, length: 0)),
        (
            "RESPONSE between the chunks of a request", "3.5-3",
            RawFrame.request(1, "x", more: true).bytes
                + RawFrame.response(1, "x").bytes
        ),
    ].map { sentence, requirement, bytes in
        .of(requirement, "\(sentence) is answered with CLOSE(PROTOCOL_ERROR), where the client answers requests") {
            bench in
            let peer = try bench.openAnswering().peer
            try bench.send(bytes, on: peer)
            try bench.expectDrop(of: peer, .protocolError)
        }
    }

    private static let asked: [Case] = [
        .of("3.7-3", "The server counts its own ids from 1 on, whatever the client has used") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 70_000, on: peer)
            bench.expect(request.id == 1, "REQUEST 1", got: "\(request)")
            try bench.answer(request, of: 70_000, on: peer)
        },
        .of("3.7-3", "A request of the server and one of the client with the same id are two requests") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("reboot", by: 1, on: peer)
            bench.expect(request.id == 1 && request.text == "reboot", "REQUEST 1 'reboot'", got: "\(request)")
            try bench.answer(request, of: 1, on: peer)
            try bench.expectServed(2, on: peer)
        },
        .of("3.7-3", "The second request of the server has an id above the first") { bench in
            let peer = try bench.openAnswering().peer
            let first = try bench.beAsked("a", by: 1, on: peer)
            try bench.answer(first, of: 1, on: peer)
            let second = try bench.beAsked("b", by: 2, on: peer)
            bench.expect(second.id > first.id, "an id above \(first.id)", got: "\(second)")
            try bench.answer(second, of: 2, on: peer)
        },
        .of("3.7-1", "An empty request of the server is one") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("", by: 1, on: peer)
            bench.expect(request.payload.isEmpty, "an empty request", got: "\(request)")
            try bench.answer(request, of: 1, on: peer)
        },
        .of("3.5-2", "A response of the client in chunks of one byte, with an empty last one, is whole") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 1, on: peer)
            for letter in ["a", "b", "c"] { try bench.send(.response(request.id, letter, more: true), on: peer) }
            try bench.send(.ping(1), .response(request.id, ""), on: peer)
            try bench.takePong(1, on: peer, allowing: [.response])
            try bench.expectServed(2, on: peer, other: 1)
        },
        .of("3.6-5", "A second ending of the client is answered with CLOSE(PROTOCOL_ERROR)") { bench in
            for second in [RawFrame.response(1, "x"), .failure(1, .handlerFailed)] {
                let peer = try bench.openAnswering().peer
                let request = try bench.beAsked("x", by: 1, on: peer)
                try bench.send(.response(request.id, "x"), second.with { $0.id = request.id }, on: peer)
                try bench.expectClose(of: peer, .protocolError)
            }
        },
        .of("4.9-2", "FAILURE of the client, also between the chunks of its response, is the ending") { bench in
            let peer = try bench.openAnswering().peer
            let first = try bench.beAsked("x", by: 1, on: peer)
            try bench.send(.failure(first.id, .handlerFailed, "no"), on: peer)
            _ = try bench.ending(of: 1, on: peer)
            let second = try bench.beAsked("y", by: 2, on: peer)
            try bench.send(.response(second.id, "half", more: true), .failure(second.id, .internalError), on: peer)
            _ = try bench.ending(of: 2, on: peer)
            try bench.expectServed(3, on: peer)
        },
        .of("3.6-8", "FAILURE(REFUSED) of the client ends nothing but the request") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 1, on: peer)
            try bench.send(.failure(request.id, .refused, retryAfter: 60_000), on: peer)
            try bench.expectServed(2, on: peer, other: 1)
        },
        .of("3.7-4", "The server asks one request at a time where ANSWERS has max_in_flight 1") { bench in
            let ask = try bench.words(\.askWith, "--ask-with")
            let peer = try bench.openAnswering(RawFrame.answers(maxInFlight: 1)).peer
            for id in 1...3 as ClosedRange<UInt32> { try bench.send(.request(id, ask + "\(id)"), on: peer) }
            for _ in 1...3 {
                // A second one at a time is judged where it comes.
                let request = try bench.takeRequest(on: peer, past: [.response, .failure])
                try bench.send(.ping(UInt64(request.id)), on: peer)
                try bench.takePong(UInt64(request.id), on: peer, allowing: [.response, .failure])
                try bench.send(.response(request.id, request.payload), on: peer)
            }
        },
        .of("3.7-4", "The server asks nothing longer than max_queued of ANSWERS") { bench in
            let ask = try bench.words(\.askWith, "--ask-with")
            let peer = try bench.openAnswering(RawFrame.answers(maxQueued: 10)).peer
            try bench.send(.request(1, ask + "eleven byte"), on: peer)
            _ = try bench.ending(of: 1, on: peer)
            let request = try bench.beAsked("ten bytes!", by: 2, on: peer)
            try bench.answer(request, of: 2, on: peer)
        },
        .of("7.7-3", "The server asks nothing longer than the client's max_message") { bench in
            let ask = try bench.words(\.askWith, "--ask-with")
            let peer = try bench.openAnswering(maxMessage: 10).peer
            try bench.send(.request(1, ask + "eleven byte"), on: peer)
            _ = try bench.ending(of: 1, on: peer)
            let request = try bench.beAsked("ten bytes!", by: 2, on: peer)
            try bench.send(.response(request.id, "ten bytes."), on: peer)
            let ending = try bench.ending(of: 2, on: peer)
            bench.expect(ending.type == .response, "RESPONSE 2", got: "\(ending)")
        },
        .of("3.7-8", "A request of the server that waits for its ending holds up no PONG") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 1, on: peer)
            try bench.send(.ping(1), on: peer)
            try bench.takePong(1, on: peer)
            try bench.answer(request, of: 1, on: peer)
        },
        .of("3.7-8", "A request of the server that waits for its ending holds up no answer") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 1, on: peer)
            try bench.send(.request(2), on: peer)
            let first = try peer.nextFrame(within: .milliseconds(500) + Times.machine)
            if let first {
                let isAnswer = first.type == .response && first.id == 2
                bench.expect(isAnswer, "RESPONSE 2", got: "\(first)")
                return try bench.answer(request, of: 1, on: peer)
            }
            try bench.answer(request, of: 1, on: peer)
            let second = try bench.ending(of: 2, on: peer)
            bench.expect(second.type == .response, "RESPONSE 2", got: "\(second)")
            throw Skip("the handler works on one request at a time")
        },
    ]

    private static let askedAtEnds: [Case] = [
        .of("3.7-6", "The server asks nothing any more after the client's GOAWAY") { bench in
            let ask = Array(try bench.words(\.askWith, "--ask-with").utf8)
            let peer = try bench.openAnswering().peer
            try bench.send(.request(1, Array(ask.prefix(1)), more: true), .goAway(), .ping(1), on: peer)
            try bench.takePong(1, on: peer)
            try bench.send(.request(1, ask.dropFirst() + [0x78]), on: peer)
            let frame = try bench.next(on: peer)
            bench.expect(frame.type != .request, "the ending of request 1, and no request", got: "\(frame)")
            try bench.expectClose(of: peer, .normal) { $0.type == .request ? "expected no request, got \($0)" : nil }
        },
        .of("7.4-5", "After GOAWAY the server waits for the ending of its own request before it sends CLOSE") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 1, on: peer)
            try bench.send(.goAway(), .ping(1), on: peer)
            try bench.takePong(1, on: peer)
            try bench.answer(request, of: 1, on: peer)
            try bench.expectClose(of: peer, .normal)
        },
        .of(
            "7.2-3", "After the end of the client's stream no ending of the client can come: its own requests are ended"
        ) {
            bench in
            let peer = try bench.openAnswering().peer
            _ = try bench.beAsked("x", by: 1, on: peer)
            peer.shutdownWriting()
            _ = try bench.ending(of: 1, on: peer)
            try bench.expectClose(of: peer, .normal)
        },
        .of("7.1-7", "CLOSE is answered at once, though the server waits for the ending of its own request") { bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 1, on: peer)
            try bench.send(.close(lastID: request.id), on: peer)
            try bench.expectClose(of: peer, .normal, within: .seconds(2))
        },
        .of("4.11-4", "A last_id of a request that the server has sent is no violation") { bench in
            for lastID in [0, 1] as [UInt32] {
                let peer = try bench.openAnswering().peer
                let request = try bench.beAsked("x", by: 1, on: peer)
                try bench.answer(request, of: 1, on: peer)
                try bench.send(.close(lastID: lastID * request.id), on: peer)
                try bench.expectClose(of: peer, .normal)
            }
        },
        .of("4.11-4", "A last_id above every id that the server has sent is answered with CLOSE(PROTOCOL_ERROR)") {
            bench in
            let peer = try bench.openAnswering().peer
            let request = try bench.beAsked("x", by: 5, on: peer)
            try bench.send(.close(lastID: request.id + 1), on: peer)
            try bench.expectClose(of: peer, .protocolError)
        },
    ]
}

extension ServerBench {
    /// The text that the command line gives for what a handler is to do.
    func words(_ text: KeyPath<Known, String?>, _ flag: String) throws -> String {
        guard let text = known[keyPath: text] else { throw Skip("without \(flag) nothing makes the server do it") }
        return text
    }

    /// A connection whose client answers requests of the server.
    func openAnswering(
        _ answers: [UInt8] = RawFrame.answers(), maxMessage: UInt32 = 1 << 20
    ) throws -> (peer: RawPeer, welcome: WelcomeFields) {
        let (peer, welcome) = try open(.hello(minor: 1, maxMessage: maxMessage, options: answers))
        guard welcome.minor >= 1 else { throw Skip("the server speaks 1.0") }
        return (peer, welcome)
    }

    /// Has the server's handler ask `text`, by the request `id`.
    func beAsked(_ text: String, by id: UInt32, on peer: RawPeer) throws -> RawFrame {
        try send(.request(id, try words(\.askWith, "--ask-with") + text), on: peer)
        return try takeRequest(on: peer)
    }

    /// A whole request of the server; what is `past` may come before it.
    func takeRequest(on peer: RawPeer, past: Set<RawFrame.Kind> = []) throws -> RawFrame {
        var request = try next(on: peer)
        while past.contains(request.type) { request = try next(on: peer) }
        return try whole(request: request) { try next(on: peer) }
    }

    /// Answers a request of the server, and takes the response to the request `id` that made the handler ask.
    func answer(_ request: RawFrame, of id: UInt32, on peer: RawPeer) throws {
        try send(.response(request.id, "answer to \(request.text)"), on: peer)
        let ending = try ending(of: id, on: peer)
        let isRight = ending.type == .response && ending.text.contains("answer to \(request.text)")
        expect(isRight, "RESPONSE \(id) with 'answer to \(request.text)'", got: "\(ending)")
    }

    /// Asks and is answered, whatever comes of the request `other` before.
    func expectServed(_ id: UInt32, on peer: RawPeer, other: UInt32) throws {
        try send(.request(id), on: peer)
        var frame = try next(on: peer)
        while frame.id == other { frame = try next(on: peer) }
        expect(frame.type == .response && frame.id == id, "RESPONSE \(id)", got: "\(frame)")
    }
}
