import RawWire

extension Case<ClientBench> {
    /// Sections 7.1 and 7.2: CLOSE, and streams that end without one.
    static let section7Close: [Case] =
        [
            Case("7.1", "7.1-1", "A client that is done says CLOSE(NORMAL), and nothing behind it") { bench in
                let (peer, _, _) = try bench.openIdle()
                bench.closeInput()
                try bench.expectClose(of: peer, .normal)
            },
            Case("7.1", "7.1-1", "A client that is done before WELCOME ends with CLOSE, or stays until it is greeted") {
                bench in
                try bench.start(.long, "hello", closing: true)
                let peer = try bench.accept()
                _ = try bench.greet(peer, .welcome())
                let request = try bench.takeRequest(on: peer)
                try bench.send(.response(request.id, [1]), on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            Case("7.1", "7.1-2", "The client's stream ends behind its CLOSE, while the server's is open") { bench in
                let (peer, _, _) = try bench.openIdle()
                bench.closeInput()
                _ = try bench.wait(for: .close, on: peer, within: .seconds(2))
                let closedAt = SuspendingClock.now
                try peer.takeEnd(within: .seconds(2))
                bench.expect(closedAt.age < .milliseconds(500), "the end of the stream at once", got: "\(closedAt.age)")
            },
            Case("7.1", "7.1-3", "After its CLOSE a client reads on for 1 s, where the server says nothing") { bench in
                try bench.expectLinger { peer in
                    bench.closeInput()
                    _ = peer
                }
            },
            Case("7.1", "7.1-3", "After a drop a client reads on for 1 s, so that no reset destroys its CLOSE") {
                bench in
                try bench.expectLinger { peer in try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, on: peer) }
            },
            Case("7.1", "7.1-3", "A refusal of the greeting can be read too: the client reads on for 1 s") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send([0], on: peer)
                try bench.expectClose(of: peer, .badPreface)
                let closedAt = SuspendingClock.now
                while closedAt.age < .milliseconds(700) {
                    guard (try? peer.send([1, 2, 3])) != nil else {
                        return bench.fail("expected the client to read for 1 s, it closed after \(closedAt.age)")
                    }
                    try bench.pause(.milliseconds(20))
                }
            },
            Case("7.1", "7.1-4", "No deadline counts any more when CLOSE is sent") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(pingEvery: 50, deadAfter: 100))
                bench.closeInput()
                try bench.expectClose(of: peer, .normal)
            },
            Case("7.1", "7.1-5", "What is behind CLOSE is not taken for frames") { bench in
                let (peer, _, id) = try bench.openBusy()
                // In one write: behind a chopped CLOSE the client may be gone.
                try peer.send(RawFrame.close(lastID: id).bytes + [UInt8](repeating: 0xFF, count: 100))
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.1", "7.1-5", "A PING behind CLOSE is not answered") { bench in
                let (peer, _, id) = try bench.openBusy()
                try peer.send(.close(lastID: id), .ping(5))
                try bench.expectClose(of: peer, .normal) { $0.type == .pong ? "expected CLOSE, got \($0)" : nil }
            },
            Case("7.1", "7.1-6", "CLOSE with a request unanswered is answered with CLOSE(NORMAL)") { bench in
                let (peer, _, _) = try bench.openBusy()
                try bench.send(.close(.shuttingDown, lastID: 0), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.1", "7.1-6", "CLOSE is answered at once") { bench in
                let deadAfter: UInt32 = 1000
                let (peer, _, id) = try bench.openIdle(welcome: bench.welcome(deadAfter: deadAfter))
                try bench.expectBetween("CLOSE", .zero, bench.times.latest(.zero, of: deadAfter), samples: 1) {
                    try bench.send(.close(lastID: id), on: peer)
                    let sentAt = SuspendingClock.now
                    return max(.zero, try bench.timeOfClose(.normal, on: peer, since: sentAt, within: .seconds(2)))
                }
            },
            Case("7.1", "7.1-6", "CLOSE while the client drains is answered with CLOSE(NORMAL)") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.goAway(.shuttingDown), .close(.shuttingDown, lastID: id), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.1", "7.1-6", "CLOSE between the chunks of a response is answered with CLOSE(NORMAL)") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1], more: true), .close(.internalError, lastID: id), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.1", "7.1-6", "CLOSE right behind WELCOME is answered with CLOSE(NORMAL)") { bench in
                try bench.expectRefusal(
                    of: RawFrame.preface + RawFrame.welcome().bytes + RawFrame.close().bytes, .normal)
            },
            Case("7.1", "7.1-8", "A client that has said CLOSE answers CLOSE with nothing") { bench in
                let (peer, _, id) = try bench.openIdle()
                bench.closeInput()
                _ = try bench.wait(for: .close, on: peer, within: .seconds(2))
                try bench.send(.close(lastID: id), on: peer)
                try peer.takeEnd(within: .seconds(2))
            },
            Case("7.1", "7.1-8", "CLOSEs that cross: a drop is not followed by the answer to a CLOSE") { bench in
                let (peer, _, id) = try bench.openIdle()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, .close(lastID: id), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
        ]
        + [RawCode.busy, .shuttingDown, .unauthorized, .unsupportedVersion, .unsupportedOption, .normal].map { code in
            Case("7.1", "7.1-6", "CLOSE(\(code)) in place of WELCOME is answered with CLOSE(NORMAL)") { bench in
                let close = RawFrame.close(code, retryAfter: 60_000, "no")
                try bench.expectRefusal(of: RawFrame.preface + close.bytes, .normal)
            }
        }
        + (0...20).map { (number: UInt16) in
            Case("7.1", "7.1-6", "CLOSE(\(RawCode(number: number))) is answered with CLOSE(NORMAL)") { bench in
                let (peer, _, id) = try bench.openIdle()
                try bench.send(.close(RawCode(number: number), lastID: id, retryAfter: 60_000, "bye"), on: peer)
                try bench.expectAnsweredClose(of: peer)
            }
        } + endings

    /// What the server has sent when its stream ends.
    private static let openings: [(String, [RawFrame]?, [UInt8])] = [
        ("before its first byte", nil, []),
        ("within its preface", nil, [0x4C, 0x49, 0x46]),
        ("behind its preface", nil, RawFrame.preface),
        ("within WELCOME", nil, RawFrame.preface + RawFrame.welcome().bytes.prefix(30)),
        ("with a request unanswered", [], []),
        ("within a header", [], [0, 0, 0]),
        ("within a payload", [], Array(RawFrame.message([1, 2, 3]).bytes.dropLast())),
        ("between the chunks of a message", [.message([1], more: true)], []),
        ("while the client drains", [.goAway(.shuttingDown)], []),
    ]

    private static let endings: [Case] = openings.flatMap { when, frames, bytes in
        [false, true].map { isReset in
            Case(
                "7.2", isReset ? "7.2-6" : "7.2-5",
                isReset
                    ? "A reset \(when) is survived"
                    : "An end of the server's stream \(when) makes the client close the connection"
            ) { bench in
                let peer: RawPeer
                if let frames {
                    peer = try bench.openBusy().peer
                    try bench.send(frames.flatMap(\.bytes), on: peer)
                } else {
                    try bench.start(.long, "hello")
                    peer = try bench.accept()
                    try peer.takePreface()
                    _ = try peer.take(.hello)
                }
                try bench.send(bytes, on: peer)
                if isReset {
                    peer.reset()
                    // What is left to see is a crash, which the end of the case looks for.
                    try bench.pause(.milliseconds(50))
                } else {
                    peer.shutdownWriting()
                    try bench.expectLost(on: peer)
                }
            }
        }
    }
}

extension ClientBench {
    /// 7.1-3: after the client's CLOSE, which `cause` brings about, bytes can be sent for 1 s to 1 s + slack.
    fileprivate func expectLinger(_ cause: (RawPeer) throws -> Void) throws {
        let deadAfter: UInt32 = 1000
        try expectBetween(
            "the socket closed after CLOSE", .seconds(1),
            times.latest(.seconds(1), of: deadAfter) + .milliseconds(40), samples: 2
        ) {
            let (peer, _, _) = try openIdle(welcome: welcome(deadAfter: deadAfter))
            let before = SuspendingClock.now
            try cause(peer)
            // The client has counted from an instant before its CLOSE came, and after its cause.
            _ = try wait(for: .close, on: peer, within: .seconds(2), answering: true)
            try peer.takeEnd(within: .seconds(2))
            // A byte to a closed socket is answered with a reset; the one behind it can't be sent.
            while before.age < .seconds(4), (try? peer.send([0])) != nil { try pause(.milliseconds(10)) }
            return before.age
        }
    }
}
