import RawWire

/// Section 3.7: requests from the server, as the client sees them.
extension Case<ClientBench> {
    static let section3Requests: [Case] = notAgreed + answered + answeredAtEnds

    private static let notAgreed: [Case] =
        [RawFrame.request(1, "x"), .cancel(1)].flatMap { frame -> [Case] in
            [
                Case("3.7", "3.7-1", "A \(frame.type) of the server in 1.0 is a PROTOCOL_ERROR") { bench in
                    try bench.expectDrop(for: frame.bytes)
                },
                Case("3.7", "3.7-1", "A \(frame.type) of the server to a HELLO without ANSWERS is a PROTOCOL_ERROR") {
                    bench in
                    let (peer, hello) = try bench.open(.long, "hello", welcome: .welcome(minor: 1))
                    guard hello.answers == nil else { throw Skip("the client answers requests of the server") }
                    try bench.takeRequest(on: peer)
                    try bench.send(frame, on: peer)
                    try bench.expectDrop(of: peer, .protocolError)
                },
                Case("3.7", "3.7-1", "A \(frame.type) of the server on a short connection is a PROTOCOL_ERROR") {
                    bench in
                    let (peer, _, _) = try bench.openBusy(.short, welcome: .welcome(minor: 1))
                    try bench.send(frame, on: peer)
                    try bench.expectDrop(of: peer, .protocolError)
                },
            ]
        } + [
            Case("3.7", "3.7-2", "A client whose server speaks 1.0 sends no RESPONSE and no FAILURE") { bench in
                let (peer, _, _) = try bench.openBusy()
                try bench.send(.request(1, "x"), on: peer)
                try bench.expectClose(of: peer, .protocolError) {
                    $0.type == .response || $0.type == .failure ? "expected CLOSE, got \($0)" : nil
                }
            },
            Case("3.7", "4.12-10", "ANSWERS in HELLO has a max_in_flight of at least 1") { bench in
                let (_, hello, _) = try bench.openAnswering()
                bench.expect(hello.answers?.maxInFlight ?? 0 > 0, "1 or more", got: "0")
            },
        ]

    private static let answered: [Case] = [
        Case("3.7", "3.6-3", "A request of the server has exactly one ending") { bench in
            let (peer, _, _) = try bench.openAnswering()
            for id in [1, 2, 9, 4_294_967_295] as [UInt32] {
                try bench.send(.request(id, "x"), on: peer)
                _ = try bench.ending(of: id, on: peer)
            }
            try bench.expectAlive(on: peer, "its answers are")
        },
        Case("3.7", "3.7-3", "A request of the server with the id of one of the client's is another request") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.ask("mine")
            let mine = try bench.takeRequest(on: peer)
            try bench.send(.request(mine.id, "x"), on: peer)
            _ = try bench.ending(of: mine.id, on: peer)
            try bench.send(.response(mine.id, mine.payload), on: peer)
            try bench.expectAlive(on: peer, "each has its ending")
        },
        Case("3.7", "3.7-3", "The client goes on with its own ids, whatever the server has used") { bench in
            let (peer, _, last) = try bench.openAnswering()
            try bench.send(.request(70_000, "x"), on: peer)
            _ = try bench.ending(of: 70_000, on: peer)
            try bench.ask("mine")
            let mine = try bench.takeRequest(on: peer)
            bench.expect((last + 1..<70_000).contains(mine.id), "an id of its own count", got: "\(mine)")
        },
        Case("3.7", "3.5-2", "A request of the server in chunks of one byte, with an empty last one, is one") { bench in
            let (peer, _, _) = try bench.openAnswering()
            for letter in ["a", "b", "c"] { try bench.send(.request(1, letter, more: true), on: peer) }
            try bench.send(.request(1, ""), on: peer)
            _ = try bench.ending(of: 1, on: peer)
            try bench.expectAlive(on: peer, "it is answered")
        },
        Case("3.7", "3.7-5", "A PING behind a request of the server is answered") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.send(.request(1, "x"), .ping(7), on: peer)
            var (hasPong, hasEnding) = (false, false)
            while !hasPong || !hasEnding {
                let frame = try bench.next(on: peer)
                if frame == .pong(7) { hasPong = true }
                if [.response, .failure].contains(frame.type), !frame.hasMore { hasEnding = true }
                guard frame.type != .close else { throw Unexpected("expected PONG and an ending, got \(frame)") }
            }
        },
        wrong("3.6-1", "with the id of the one before", [.request(4, "x"), .request(4, "y")]),
        wrong("3.6-1", "with an id below the one before", [.request(4, "x"), .request(3, "y")]),
        wrong("3.5-3", "between the chunks of another", [.request(1, "x", more: true), .request(2, "y")]),
        wrong("3.3-2", "with the id 0", [.request(0, "x")]),
        wrong("4.8-1", "of which only a CANCEL comes", [.cancel(1)]),
        wrong("4.8-4", "that goes on behind its CANCEL", [.request(1, "x", more: true), .cancel(1), .request(1, "y")]),
        Case("3.7", "4.8-2", "CANCEL of a request of the server that is not whole gets FAILURE(CANCELLED)") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.send(.request(1, "x", more: true), .cancel(1), on: peer)
            let ending = try bench.ending(of: 1, on: peer)
            bench.expect(ending.notice?.code == .cancelled, "FAILURE(CANCELLED)", got: "\(ending)")
            try bench.send(.request(2, "x"), on: peer)
            _ = try bench.ending(of: 2, on: peer)
        },
        Case("3.7", "4.8-3", "CANCEL of a request of the server that has its ending has no effect") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.send(.request(2, "x"), on: peer)
            _ = try bench.ending(of: 2, on: peer)
            try bench.send(.cancel(2), .cancel(1), on: peer)
            try bench.expectAlive(on: peer, "they cross without a fault of anyone")
        },
        Case("3.7", "3.6-8", "A request of the server over max_queued of ANSWERS gets FAILURE(REFUSED)") { bench in
            let (peer, hello, _) = try bench.openAnswering()
            let most = hello.answers?.maxQueued ?? 0
            guard most < min(hello.maxMessage, 8 << 20) else { throw Skip("max_queued is \(most)") }
            var rest = Int(most) + 1
            while rest > 0 {
                let count = min(rest, Int(min(hello.maxFrame, 16384)))
                rest -= count
                try peer.send(.request(1, [UInt8](repeating: 0x78, count: count), more: rest > 0))
            }
            let ending = try bench.ending(of: 1, on: peer)
            bench.expect(ending.notice?.code == .refused, "FAILURE(REFUSED)", got: "\(ending)")
            try bench.send(.request(2, "x"), on: peer)
            _ = try bench.ending(of: 2, on: peer)
        },
    ]

    /// Requests of the server that break a rule. Those before the last may be answered.
    private static func wrong(_ requirement: String, _ sentence: String, _ frames: [RawFrame]) -> Case {
        Case("3.7", requirement, "A request of the server \(sentence) is a PROTOCOL_ERROR") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.send(frames.flatMap(\.bytes), on: peer)
            try bench.expectClose(of: peer, .protocolError)
        }
    }

    private static let answeredAtEnds: [Case] = [
        Case("3.7", "3.7-7", "Behind GOAWAY the ending of the server's request comes before CLOSE", level: .should) {
            bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.send(.request(1, "x"), .goAway(.shuttingDown), on: peer)
            _ = try bench.ending(of: 1, on: peer)
            try bench.expectClose(of: peer, .normal)
        },
        Case("3.7", "3.7-6", "A request of the server behind its own GOAWAY is no violation") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.ask("mine")
            let mine = try bench.takeRequest(on: peer)
            try bench.send(.goAway(.shuttingDown), .request(1, "x"), on: peer)
            try bench.send(.response(mine.id, mine.payload), on: peer)
            try bench.expectClose(of: peer, .normal)
        },
        Case("3.7", "4.11-4", "last_id in the client's CLOSE is the id of the request that it has answered") { bench in
            let (peer, _, _) = try bench.openAnswering()
            try bench.send(.request(7, "x"), on: peer)
            let ending = try bench.ending(of: 7, on: peer)
            bench.closeInput()
            let close = try bench.expectClose(of: peer, .normal)
            let least: UInt32 = ending.type == .response ? 7 : 0
            bench.expect((least...7).contains(close?.lastID ?? 0), "\(least) to 7", got: "\(close as Any)")
        },
        Case("3.7", "4.11-4", "last_id is 0 where the server has asked nothing, whatever the client has") { bench in
            let (peer, _, _) = try bench.openAnswering()
            bench.closeInput()
            let close = try bench.expectClose(of: peer, .normal)
            bench.expect(close?.lastID == 0, "0", got: "\(close as Any)")
        },
    ]
}

extension ClientBench {
    /// An open connection of a client that answers requests of the server. Its own request "hello" is answered.
    func openAnswering() throws -> (peer: RawPeer, hello: HelloFields, id: UInt32) {
        let opened = try openIdle(welcome: .welcome(minor: 1))
        guard opened.hello.answers != nil else { throw Skip("the client answers no requests of the server") }
        return opened
    }

    /// The ending of the server's request `id`: a response, whole, or FAILURE. Others of the client's frames may come before.
    func ending(of id: UInt32, on peer: RawPeer) throws -> RawFrame {
        var ending: RawFrame?
        while true {
            let frame = try next(on: peer)
            guard frame.id == id, frame.type == .response || frame.type == .failure else {
                guard frame.type != .close else { throw Unexpected("expected the ending of \(id), got \(frame)") }
                continue
            }
            if ending == nil || frame.type == .failure { ending = frame } else { ending?.payload += frame.payload }
            if !frame.hasMore, let ending { return ending }
        }
    }
}
