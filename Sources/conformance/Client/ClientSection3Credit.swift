import RawWire

/// Section 3.8: credit for messages, in both directions, as a client keeps to it.
extension Case<ClientBench> {
    static let section3Credit: [Case] = offers + frames + granting + sending

    private static let offer = RawFrame.credit(from: 1 << 20)

    private static let offers: [Case] =
        [
            Case("3.8", "3.8-3", "CREDIT in a WELCOME of 1.0 is a PROTOCOL_ERROR") { bench in
                try bench.expectRefusal(of: RawFrame.preface + RawFrame.welcome(options: offer).bytes, .protocolError)
            },
            Case("3.8", "3.8-3", "CREDIT in the WELCOME of a short connection is a PROTOCOL_ERROR") { bench in
                try bench.start(.short, "hello")
                let peer = try bench.accept()
                _ = try bench.greet(peer, .welcome(minor: 1, options: offer))
                try bench.expectClose(of: peer, .protocolError)
            },
            Case("3.8", "3.8-3", "CREDIT in WELCOME is a PROTOCOL_ERROR where HELLO has none") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                let hello = try bench.greet(peer, .welcome(minor: 1, options: offer))
                guard hello.credit == nil else { throw Skip("the client offers credit") }
                try bench.expectClose(of: peer, .protocolError)
            },
            Case("3.8", "4.12-2", "CREDIT twice in WELCOME is a PROTOCOL_ERROR") { bench in
                try bench.expectRefusal(
                    of: RawFrame.preface + RawFrame.welcome(minor: 1, options: offer + offer).bytes, .protocolError)
            },
            Case("3.8", "4.12-7", "ANSWERS in WELCOME is skipped, also twice and with no bytes") { bench in
                let answers = RawFrame.option(5, []) + RawFrame.option(5, [1, 2, 3])
                try bench.expectAccepted(.welcome(minor: 1, options: answers), "ANSWERS means nothing there")
            },
            Case("3.8", "4.12-9", "A HELLO with CREDIT or ANSWERS has 8 bytes of each") { bench in
                // HELLO is judged wherever it comes.
                _ = try bench.openIdle(welcome: .welcome(minor: 1))
            },
        ]
        + [0, 7, 9, 100].map { count in
            Case("3.8", "4.12-9", "CREDIT of \(count) bytes in WELCOME is a PROTOCOL_ERROR") { bench in
                let credit = RawFrame.option(4, [UInt8](repeating: 0, count: count))
                try bench.expectRefusal(
                    of: RawFrame.preface + RawFrame.welcome(minor: 1, options: credit).bytes, .protocolError)
            }
        }

    private static let frames: [Case] =
        [
            Case("3.8", "3.4-3", "The frame CREDIT is of an unknown type where it is not in force") { bench in
                let (peer, _, _) = try bench.openBusy(welcome: .welcome(minor: 1))
                try bench.send(.credit(limit: 9, handled: 0), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.8", "3.4-4", "The frame CREDIT with IGNORABLE is skipped where it is not in force") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(minor: 1))
                try bench.send(
                    RawFrame.credit(limit: 9, handled: 0).with {
                        $0.flags = RawFrame.ignorable
                        $0.payload.removeLast()
                    }, on: peer)
                try bench.expectAlive(on: peer, "it is skipped")
            },
            Case("3.8", "3.8-7", "A CREDIT that says less than the one before is no violation") { bench in
                let (peer, _) = try bench.openCredit()
                try bench.send(.credit(limit: 9, handled: 0), .credit(limit: 3, handled: 0), on: peer)
                try bench.send(.credit(limit: .max, handled: .max), .credit(limit: 0, handled: 0), on: peer)
                try bench.expectAlive(on: peer, "CREDITs may come late")
            },
        ]
        + [
            ("with MORE", "3.4-2", RawFrame.credit(limit: 9, handled: 0).with { $0.flags = RawFrame.more }),
            ("with an id", "3.3-2", RawFrame.credit(limit: 9, handled: 0).with { $0.id = 1 }),
            ("of 15 bytes", "3.3-3", RawFrame.credit(limit: 9, handled: 0).with { $0.payload.removeLast() }),
        ].map { (what: String, requirement: String, frame: RawFrame) in
            Case("3.8", requirement, "A CREDIT \(what) is a PROTOCOL_ERROR") { bench in
                let (peer, _) = try bench.openCredit()
                try bench.send(frame, on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            }
        } + [
            Case("3.8", "3.3-3", "A CREDIT of 17 bytes is a FRAME_TOO_LARGE") { bench in
                let (peer, _) = try bench.openCredit()
                try bench.send(RawFrame.credit(limit: 9, handled: 0).with { $0.payload.append(0) }, on: peer)
                try bench.expectDrop(of: peer, .frameTooLarge)
            }
        ]

    /// What a client says of the messages that come to it.
    private static let granting: [Case] = [
        Case("3.8", "3.8-4", "A server that may begin no further message gets CREDIT when all are handled") { bench in
            let (peer, hello) = try bench.openCredit()
            var sender = MessageSender(limit: hello.credit ?? 0, longest: hello.longestFrame)
            for _ in 0..<3 {
                try bench.send(try sender.fill(), on: peer)
                while !sender.mayBegin { sender.take(try bench.takeCredit(on: peer)) }
            }
            try bench.expectAlive(on: peer, "it keeps up")
        },
        Case("3.8", "3.8-5", "CREDIT comes when half of what was offered is handled", level: .should) { bench in
            let (peer, hello) = try bench.openCredit()
            let limit = hello.credit ?? 0
            var sender = MessageSender(limit: limit, longest: hello.longestFrame)
            try bench.send(try sender.fill(upTo: limit / 2 + limit / 4), on: peer)
            let credit = try bench.takeCredit(on: peer)
            bench.expect(credit.limit > limit, "a limit above \(limit)", got: "\(credit)")
        },
        Case("3.8", "3.8-6", "CREDIT counts the messages that are handled: also those in chunks, and without a byte") {
            bench in
            let (peer, _) = try bench.openCredit()
            try bench.send(.message("a"), .message("b", more: true), .message("c"), .message(""), on: peer)
            try bench.expectHandled(3, on: peer)
        },
        Case("3.8", "3.8-8", "CREDIT comes ahead of a PONG where more is handled than was told", level: .should) {
            bench in
            let (peer, _) = try bench.openCredit()
            try bench.send(.message("a"), on: peer)
            try bench.expectHandled(1, on: peer)
        },
        Case(
            "3.8", "3.8-9", "A client that is done tells with CREDIT, ahead of CLOSE, how many messages it has handled"
        ) {
            bench in
            let (peer, _) = try bench.openCredit()
            for _ in 0..<20 { try bench.send(.message("note"), on: peer) }
            try bench.send(.ping(1), on: peer)
            var handled = try bench.handled(upTo: .pong, on: peer)
            bench.closeInput()
            try bench.expectClose(of: peer, .normal) { frame in
                handled = max(handled, frame.credit?.handled ?? 0)
                return nil
            }
            bench.expect(handled == 20, "20 handled", got: "\(handled)")
        },
    ]

    /// What a client keeps to that sends messages.
    private static let sending: [Case] = [
        Case("3.8", "3.8-1", "The client begins no message at the limit of the server, and goes on when that is raised")
        {
            bench in
            let (peer, _) = try bench.openSending(limit: 30, lines: 4)
            // The first costs 17, and the second begins below 30.
            for _ in 0..<2 { try bench.takeMessage(on: peer) }
            try bench.expectNoMessage(on: peer)
            try bench.send(.credit(limit: 35, handled: 2), on: peer)
            try bench.takeMessage(on: peer)
            try bench.expectNoMessage(on: peer)
            try bench.send(.credit(limit: 52, handled: 1), .credit(limit: 10, handled: 0), on: peer)
            try bench.takeMessage(on: peer)
        },
        Case("3.8", "3.8-1", "With the limit 0 the client sends no message, and its heartbeat goes on") { bench in
            let (peer, _) = try bench.openSending(limit: 0, lines: 2)
            try bench.expectNoMessage(on: peer)
            try bench.send(.ping(9), on: peer)
            let frame = try bench.next(on: peer)
            bench.expect(frame == .pong(9), "PONG 9", got: "\(frame)")
            try bench.send(.credit(limit: 1000, handled: 0), on: peer)
            for _ in 0..<2 { try bench.takeMessage(on: peer) }
        },
        Case("3.8", "3.8-7", "CREDITs that are late change nothing: the highest limit holds") { bench in
            let (peer, _) = try bench.openSending(limit: 1000, lines: 0)
            try bench.send(.credit(limit: 1, handled: 0), .credit(limit: 0, handled: 0), on: peer)
            try bench.send(.ping(9), on: peer)
            while try bench.next(on: peer) != .pong(9) {}
            for _ in 0..<3 { try bench.ask("hello") }
            for _ in 0..<3 { try bench.takeMessage(on: peer) }
        },
        Case("3.8", "3.8-1", "A thousand messages come, and none where the credit does not allow it") { bench in
            let (peer, _) = try bench.openSending(limit: 500, lines: 1000)
            var spent: UInt64 = 0
            for index in 1...1000 as ClosedRange<UInt64> {
                spent += RawFrame.cost(of: try bench.takeMessage(on: peer).payload.count)
                if index % 10 == 0 { try bench.send(.credit(limit: spent + 500, handled: index), on: peer) }
            }
        },
        Case(
            "3.8", "3.8-10", "GOAWAY comes behind the last message, and the client waits for CLOSE while it beats",
            level: .should
        ) { bench in
            let (peer, _) = try bench.openSending(limit: 1000, lines: 3)
            for _ in 0..<3 { try bench.takeMessage(on: peer) }
            bench.closeInput()
            let frame = try bench.next(on: peer)
            bench.expect(frame.type == .goAway, "GOAWAY", got: "\(frame)")
            // It waits, whatever the time: a PONG and a PING show that it is there.
            try bench.send(.ping(9), on: peer)
            while let frame = try peer.nextFrame(within: .milliseconds(300)) {
                bench.expect(frame.type != .close, "no CLOSE before the server's", got: "\(frame)")
                if frame.type == .ping { try peer.send(.pong(to: frame)) }
            }
            bench.expect(peer.ending == nil, "the connection open", got: "\(peer.ending as Any)")
            try bench.send(.credit(limit: 1000, handled: 3), .close(), on: peer)
            try bench.expectAnsweredClose(of: peer)
        },
        Case("3.8", "3.8-10", "Messages that still wait for credit come before GOAWAY", level: .should) { bench in
            let (peer, _) = try bench.openSending(limit: 10, lines: 3)
            try bench.takeMessage(on: peer)
            bench.closeInput()
            try bench.expectNoMessage(on: peer)
            try bench.send(.credit(limit: 1000, handled: 1), on: peer)
            for _ in 0..<2 { try bench.takeMessage(on: peer) }
            let frame = try bench.next(on: peer)
            bench.expect(frame.type == .goAway, "GOAWAY", got: "\(frame)")
            try bench.send(.credit(limit: 1000, handled: 3), .close(), on: peer)
            try bench.expectAnsweredClose(of: peer)
        },
        Case("3.8", "7.1-1", "Where CREDIT is not in force the client says CLOSE behind its messages") { bench in
            let peer = try bench.openSending(.welcome(minor: 1), lines: 3).peer
            for _ in 0..<3 { try bench.takeMessage(on: peer) }
            bench.closeInput()
            try bench.expectClose(of: peer, .normal) {
                $0.type == .ping || $0.type == .goAway ? nil : "expected CLOSE, got \($0)"
            }
        },
    ]
}
