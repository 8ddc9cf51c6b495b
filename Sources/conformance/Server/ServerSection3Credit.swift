import RawWire

/// Section 3.8: credit for messages.
extension Case<ServerBench> {
    static let credits = numbered("3.8", offers, frames, granted, held, told)

    private static let offers: [Case] = [
        ("to a HELLO without it", RawFrame.hello(minor: 1)),
        ("to a HELLO of 1.0", .hello(options: RawFrame.credit(from: 1000))),
        ("on a short connection", .hello(minor: 1, flags: 1, options: RawFrame.credit(from: 1000))),
    ].flatMap { when, hello -> [Case] in
        [
            .of("3.8-3", "There is no CREDIT in WELCOME \(when)") { bench in
                let (peer, welcome) = try bench.open(hello)
                bench.expect(welcome.credit == nil, "no CREDIT", got: "\(welcome)")
                try bench.send(.close(), on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .drop(
                "3.4-3", "The frame CREDIT \(when)", RawFrame.credit(limit: 9, handled: 0).bytes, .protocolError, hello),
            .of("3.4-4", "The frame CREDIT \(when), with IGNORABLE, is skipped") { bench in
                let (peer, _) = try bench.open(hello)
                let credit = RawFrame.credit(limit: 9, handled: 0).with {
                    $0.flags = RawFrame.ignorable
                    $0.payload.removeLast()
                }
                try bench.send(credit, .request(1), on: peer)
                let ending = try bench.ending(of: 1, on: peer)
                bench.expect(ending.type == .response, "a response", got: "\(ending)")
            },
        ]
    }

    /// Headers and payloads of CREDIT, where it is in force.
    private static let frames: [Case] =
        [
            ("with MORE", "3.4-2", RawFrame.header(.credit, length: 16, flags: RawFrame.more), .protocolError),
            ("with an id", "3.3-2", RawFrame.header(.credit, length: 16, id: 1), .protocolError),
            ("of 17 bytes", "3.3-3", RawFrame.header(.credit, length: 17), .frameTooLarge),
            ("of 15 bytes", "3.3-3", RawFrame.header(.credit, length: 15), .protocolError),
        ].map { (what: String, requirement: String, bytes: [UInt8], code: RawCode) in
            .of(requirement, "CREDIT \(what) is answered with CLOSE(\(code))") { bench in
                let peer = try bench.openCredit().peer
                try bench.send(bytes, on: peer)
                try bench.expectDrop(of: peer, code)
            }
        } + [
            takes("3.8-7", "A CREDIT that says less than the one before, or the same,", [(50, 0), (20, 0), (50, 0)]),
            takes("3.8-7", "A CREDIT with more `handled` than messages were sent", [(0, 9), (.max, .max)]),
            .of("3.4-6", "CREDIT is treated alike with IGNORABLE") { bench in
                let peer = try bench.openCredit().peer
                let credit = RawFrame.credit(limit: 9, handled: 0).with { $0.flags = RawFrame.ignorable }
                try bench.send(credit.bytes + RawFrame.header(.credit, length: 17, flags: 0x80), on: peer)
                try bench.expectDrop(of: peer, .frameTooLarge)
            },
        ]

    private static func takes(_ requirement: String, _ sentence: String, _ credits: [(UInt64, UInt64)]) -> Case {
        .of(requirement, "\(sentence) is no violation") { bench in
            let peer = try bench.openCredit().peer
            try bench.send(credits.flatMap { RawFrame.credit(limit: $0.0, handled: $0.1).bytes }, on: peer)
            try bench.expectServed(1, on: peer)
        }
    }

    private static let granted: [Case] = [
        .of("3.8-4", "A client that may begin no further message gets CREDIT when all are handled") { bench in
            let (peer, _, offer) = try bench.openCredit()
            var sender = MessageSender(limit: offer.limit, longest: offer.longest)
            for _ in 0..<3 {
                try bench.send(try sender.fill(), on: peer)
                while !sender.mayBegin { sender.take(try bench.takeCredit(on: peer)) }
            }
            try bench.expectServed(1, on: peer, past: [.credit])
        },
        .of("3.8-5", "CREDIT comes when half of what was offered is handled", level: .should) { bench in
            let (peer, _, offer) = try bench.openCredit()
            var sender = MessageSender(limit: offer.limit, longest: offer.longest)
            try bench.send(try sender.fill(upTo: offer.limit / 2 + offer.limit / 4), on: peer)
            let credit = try bench.takeCredit(on: peer)
            bench.expect(credit.limit > offer.limit, "a limit above \(offer.limit)", got: "\(credit)")
        },
        .of("3.8-1", "A message that begins below the limit may end beyond it") { bench in
            let (peer, welcome, offer) = try bench.openCredit()
            var sender = MessageSender(limit: offer.limit, longest: offer.longest)
            // One message, where it may be longer than the limit: nothing is handled before its end.
            if sender.limit < 8 << 20, RawFrame.cost(of: Int(welcome.maxMessage)) > offer.limit {
                try peer.send(sender.message(min(Int(welcome.maxMessage), Int(offer.limit) + 1000)))
            } else {
                try bench.send(try sender.fill(upTo: offer.limit - 1), on: peer)
                try bench.send(sender.message(min(offer.longest, 1000)), on: peer)
            }
            try bench.expectServed(1, on: peer, past: [.credit])
        },
        .of("3.8-8", "CREDIT comes ahead of a PONG where more is handled than was told", level: .should) { bench in
            let peer = try bench.openCredit().peer
            try bench.send(.message("a"), .message("b"), .message([]), on: peer)
            try bench.expectHandled(3, on: peer)
        },
        .of("3.8-6", "A message in chunks is one message, and one of no byte is one") { bench in
            let peer = try bench.openCredit().peer
            try bench.send(.message("a", more: true), .message("b", more: true), .message(""), on: peer)
            try bench.expectHandled(1, on: peer)
            try bench.send(.message(""), .message(""), on: peer)
            try bench.expectHandled(3, on: peer)
        },
        .of("3.8-9", "The CLOSE that answers GOAWAY comes behind a CREDIT that counts all messages") { bench in
            let peer = try bench.openCredit().peer
            for _ in 0..<100 { try bench.send(.message("note"), on: peer) }
            try bench.send(.goAway(), on: peer)
            try bench.expectAllHandled(100, on: peer)
        },
        .of("3.8-9", "GOAWAY without a message is answered with CLOSE(NORMAL), and handled stays 0") { bench in
            let peer = try bench.openCredit().peer
            try bench.send(.goAway(), on: peer)
            try bench.expectClose(of: peer, .normal)
        },
    ]

    /// While the handler is busy.
    private static let held: [Case] = [
        .of("3.8-2", "A message at the limit is answered with CLOSE(PROTOCOL_ERROR)") { bench in
            let (peer, _, offer) = try bench.openCredit()
            var sender = try bench.hold(peer, offer)
            try bench.useUp(&sender, on: peer)
            try bench.send(.message("one more"), on: peer)
            try bench.expectClose(of: peer, .protocolError)
        },
        .of("3.8-2", "The header of a message at the limit is enough") { bench in
            let (peer, _, offer) = try bench.openCredit()
            var sender = try bench.hold(peer, offer)
            try bench.useUp(&sender, on: peer)
            try bench.send(RawFrame.header(.message, length: 1), on: peer)
            try bench.expectClose(of: peer, .protocolError)
        },
        .of("3.8-6", "A message that waits for the handler is not handled, nor is the one that it is busy with") {
            bench in
            let (peer, _, offer) = try bench.openCredit()
            _ = try bench.hold(peer, offer)
            try bench.send(.message("a"), .message("b"), .ping(1), on: peer)
            while let frame = try peer.nextFrame(), frame.pong == nil {
                let handled = frame.credit?.handled ?? 0
                bench.expect(handled == 0, "0 handled", got: "\(frame)")
            }
            try bench.expectHandled(3, on: peer)
        },
        .of("3.8-9", "The answer to GOAWAY waits until the handler has had all messages") { bench in
            let (peer, _, offer) = try bench.openCredit()
            _ = try bench.hold(peer, offer)
            try bench.send(.message("a"), .goAway(), .ping(1), on: peer)
            try bench.takePong(1, on: peer, allowing: [.credit])
            try bench.expectAllHandled(2, on: peer)
        },
        .of("7.1-6", "CLOSE is answered at once, though messages wait for the handler") { bench in
            try bench.expectBetween("CLOSE", .zero, .milliseconds(500)) {
                let (peer, _, offer) = try bench.openCredit()
                _ = try bench.hold(peer, offer)
                let start = try bench.sendTimed(RawFrame.close().bytes, on: peer)
                try bench.expectClose(of: peer, .normal)
                return start.age
            }
        },
        .of("5.4-2", "A PONG does not wait for the handler of messages") { bench in
            let (peer, _, offer) = try bench.openCredit()
            _ = try bench.hold(peer, offer)
            let start = try bench.sendTimed(RawFrame.ping(1).bytes, on: peer)
            try bench.takePong(1, on: peer, allowing: [.credit])
            bench.expect(start.age < .milliseconds(500), "the PONG at once", got: "after \(start.age)")
        },
    ]

    /// Messages of the server.
    private static let told: [Case] = [
        .of("3.8-1", "The server begins no message at the limit of the client, and goes on when that is raised") {
            bench in
            let peer = try bench.openCredit(limit: 30).peer
            try bench.beTold(["hello", "hello", "hello", "hello"], on: peer)
            // The first costs 17, and the second begins below 30.
            for _ in 0..<2 { _ = try bench.takeMessage(on: peer) }
            try bench.expectNoMessage(on: peer)
            try bench.send(.credit(limit: 35, handled: 2), on: peer)
            _ = try bench.takeMessage(on: peer)
            try bench.expectNoMessage(on: peer)
            // 3.8-7: what was told before holds.
            try bench.send(.credit(limit: 52, handled: 1), .credit(limit: 10, handled: 0), on: peer)
            _ = try bench.takeMessage(on: peer)
        },
        .of("3.8-1", "With the limit 0 the server sends no message, and PINGs and PONGs go on") { bench in
            let peer = try bench.openCredit(limit: 0).peer
            try bench.beTold(["hello"], on: peer)
            try bench.expectNoMessage(on: peer)
            try bench.send(.ping(1), on: peer)
            try bench.takePong(1, on: peer, allowing: [.response])
            try bench.send(.credit(limit: 1, handled: 0), on: peer)
            let message = try bench.takeMessage(on: peer)
            bench.expect(message.text == "hello", "'hello'", got: "\(message)")
        },
        .of("3.8-7", "CREDITs that are late change nothing: the highest limit holds") { bench in
            let peer = try bench.openCredit(limit: 1000).peer
            try bench.send(.credit(limit: 1, handled: 0), .credit(limit: 0, handled: 0), on: peer)
            try bench.beTold(["one", "two"], on: peer)
            for text in ["one", "two"] {
                let message = try bench.takeMessage(on: peer)
                bench.expect(message.text == text, "'\(text)'", got: "\(message)")
            }
        },
    ]
}
