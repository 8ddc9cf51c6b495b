import Glibc
import RawWire

extension Case<ClientBench> {
    /// Sections 7.3 to 7.7: short connections, GOAWAY, drops, and coming back.
    static let section7Short: [Case] =
        [
            Case("7.3", "7.3-1", "A short client sends one request, and nothing else") { bench in
                try bench.start(.short, "one", "two", "three")
                let peer = try bench.accept()
                _ = try bench.greet(peer, .welcome())
                let request = try bench.takeRequest(on: peer)
                bench.expect(request.text == "one", "the request", got: "\(request)")
                while let frame = try peer.nextFrame(within: .milliseconds(200)) {
                    let isAllowed = !frame.isKnown || [.ping, .pong, .cancel].contains(frame.type)
                    bench.expect(isAllowed, "no frame but heartbeats behind the request", got: "\(frame)")
                    if frame.type == .ping { try peer.send(.pong(to: frame)) }
                }
            },
            Case("7.3", "7.3-1", "A short request of 100000 bytes comes in chunks, and is whole") { bench in
                let (peer, _) = try bench.open(.short, String(repeating: "x", count: 100_000))
                let request = try bench.takeRequest(on: peer)
                bench.expect(request.payload.count == 100_000, "100000 bytes", got: "\(request)")
                try bench.send(.response(request.id, [1]), .close(lastID: request.id), on: peer)
                try bench.expectSilentEnd(of: peer)
            },
            Case("7.3", "7.3-2", "A MESSAGE on a short connection is a PROTOCOL_ERROR") { bench in
                let (peer, _, _) = try bench.openBusy(.short)
                try bench.send(.message([1]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("7.3", "7.1-1", "A violation on a short connection is answered with CLOSE") { bench in
                let (peer, _, id) = try bench.openBusy(.short)
                try bench.send(.response(id + 1, [1]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("7.3", "7.3-5", "A short client closes at once on CLOSE behind the response, and says none") { bench in
                let (peer, _, id) = try bench.openBusy(.short)
                try bench.send(.response(id, [1]), .close(lastID: id), on: peer)
                try bench.expectSilentEnd(of: peer)
            },
            Case("7.3", "7.3-5", "A short client closes at once on CLOSE behind FAILURE, and says none") { bench in
                let (peer, _, id) = try bench.openBusy(.short)
                try bench.send(.failure(id, .handlerFailed, "no"), .close(lastID: id), on: peer)
                try bench.expectSilentEnd(of: peer)
            },
            Case("7.3", "7.3-5", "A short client closes at once on CLOSE before the response, and says none") { bench in
                let (peer, _, _) = try bench.openBusy(.short)
                try bench.send(.close(.shuttingDown), on: peer)
                try bench.expectSilentEnd(of: peer)
            },
            Case("7.3", "7.3-5", "A short client closes at once on CLOSE in place of WELCOME, and says none") { bench in
                try bench.start(.short, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send(RawFrame.preface + RawFrame.close(.busy, retryAfter: 60_000).bytes, on: peer)
                try bench.expectSilentEnd(of: peer)
            },
            Case(
                "7.3", "7.3-5",
                "A short client closes on CLOSE within a slack and says none, also where the server's stream goes on"
            ) { bench in
                let deadAfter: UInt32 = 1000
                let (peer, _, id) = try bench.openBusy(.short, welcome: bench.welcome(deadAfter: deadAfter))
                try bench.send(.response(id, [1]), on: peer)
                try bench.expectBetween(
                    "the end of the stream", .zero, bench.times.latest(.zero, of: deadAfter), samples: 1
                ) {
                    let sentAt = SuspendingClock.now
                    try bench.send(.close(lastID: id), on: peer)
                    while peer.ending == nil {
                        try peer.read(until: .now + .seconds(1))
                        guard sentAt.age < .seconds(3) else {
                            throw Unexpected("expected the end of the stream, got none")
                        }
                    }
                    return sentAt.age
                }
                while let frame = try peer.nextFrame(within: .zero) {
                    bench.expect(frame.type != .close, "no CLOSE", got: "\(frame)")
                }
            },
            Case("7.3", "7.3-5", "TIME_WAIT stays with the server, which ends a short connection first") { bench in
                let (peer, _, id) = try bench.openBusy(.short)
                let ends = peer.ends
                // One segment for both, and the end of the stream: the client can't be the first to shut down.
                var on: Int32 = 1
                setsockopt(peer.descriptor, Int32(IPPROTO_TCP), TCP_CORK, &on, 4)
                try peer.send(.response(id, [1]), .close(lastID: id))
                peer.shutdownWriting()
                try bench.expectSilentEnd(of: peer)
                peer.close()
                guard let ends else { throw Skip("the system tells of no sockets but those of IPv4") }
                let stays = try TCPSocket.find(ends.remote, to: ends.local)?.state == .timeWait
                bench.expect(!stays, "no TIME_WAIT at the client", got: "one")
            },
            Case("7.4", "7.4-3", "GOAWAY with nothing unanswered is answered with CLOSE(NORMAL) at once") { bench in
                let deadAfter: UInt32 = 1000
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(deadAfter: deadAfter))
                try bench.expectBetween("CLOSE", .zero, bench.times.latest(.zero, of: deadAfter), samples: 1) {
                    let sentAt = SuspendingClock.now
                    try bench.send(.goAway(.shuttingDown, retryAfter: 60_000), on: peer)
                    return try bench.timeOfClose(.normal, on: peer, since: sentAt, within: .seconds(2))
                }
            },
            Case("7.4", "7.4-3", "After GOAWAY the connection stays until the answer is in; then comes CLOSE(NORMAL)") {
                bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.goAway(.shuttingDown), on: peer)
                try bench.idle(on: peer, for: .milliseconds(200))
                try bench.send(.response(id, [1]), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.4", "7.4-3", "After GOAWAY a FAILURE is an answer too") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.goAway(.shuttingDown), .failure(id, .handlerFailed), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.4", "7.4-3", "GOAWAY between the chunks of a response waits for the last") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1], more: true), .goAway(.shuttingDown), on: peer)
                try bench.send(.response(id, [2], more: true), on: peer)
                try bench.idle(on: peer, for: .milliseconds(100))
                try bench.send(.response(id, [3]), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("7.4", "7.4-2", "After GOAWAY no request begins") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.goAway(.shuttingDown, retryAfter: 60_000), .ping(1), on: peer)
                // The PONG shows that GOAWAY has been read.
                let pong = try bench.next(on: peer)
                bench.expect(pong.type == .pong, "PONG", got: "\(pong)")
                try bench.ask("another")
                while let frame = try peer.nextFrame(within: .milliseconds(200)) {
                    bench.expect(frame.type != .request, "no new request", got: "\(frame)")
                }
                try bench.send(.response(id, [1]), on: peer)
                try bench.expectClose(of: peer, .normal) {
                    $0.type == .request ? "expected no request, got \($0)" : nil
                }
            },
            Case("7.4", "7.4-6", "A second GOAWAY is no fault") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.goAway(.shuttingDown, retryAfter: 60_000), .goAway(.normal, retryAfter: 100), on: peer)
                try bench.idle(on: peer, for: .milliseconds(50))
                try bench.send(.response(id, [1]), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case(
                "7.5", "7.5-1", "A drop discards what waits, finishes the frame that is begun, and puts CLOSE behind it"
            ) {
                bench in
                let (peer, _) = try bench.openStuck()
                let received = peer.received - peer.unread.count
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, on: peer)
                // While nobody reads, the client drops; what the kernel still took before that counts, too.
                try bench.pause(.milliseconds(100))
                let held = (peer.bytesInKernel ?? peer.unreadInKernel) + peer.unread.count
                try bench.expectDrop(ofStuck: peer, .protocolError)
                let got = peer.received - received
                let most = held + 12 + 16384 + 12 + 524
                bench.expect(got <= most, "what the kernel held and one frame, \(most) bytes", got: "\(got)")
            },
            Case("7.5", "7.5-2", "After a drop what is not taken is given up 1 s later") { bench in
                let (peer, _) = try bench.openStuck(welcome: .welcome(pingEvery: 300, deadAfter: 4000))
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, on: peer)
                try bench.pause(.milliseconds(1400 + 300))
                // The rest of the frame that was begun, and CLOSE, may have fitted in; the socket is shut down or gone.
                let isOpen = peer.otherSocket?.state == .established
                bench.expect(!isOpen, "the connection given up 1 s after the drop", got: "one that is established")
            },
        ] + comingBack

    private static let comingBack: [Case] = [
        Case("7.7", "7.7-3", "Nothing is sent of a request longer than max_message, and others go on being sent") {
            bench in
            let (peer, _, _) = try bench.openIdle(welcome: .welcome(maxMessage: 10))
            try bench.ask("eleven byte")
            while let frame = try peer.nextFrame(within: .milliseconds(200)) {
                bench.expect(frame.type != .request, "nothing of the request", got: "\(frame)")
            }
        },
        Case("7.7", "7.7-6", "A request whose outcome is unknown is not repeated") { bench in
            let (peer, _, id) = try bench.openBusy()
            try bench.send(.close(.internalError, lastID: id), on: peer)
            try bench.expectAnsweredClose(of: peer)
            let deadline = SuspendingClock.now + .seconds(1)
            while SuspendingClock.now < deadline, let next = try bench.acceptIfAny(within: .milliseconds(300)) {
                _ = try bench.greet(next, .welcome())
                while let frame = try next.nextFrame(within: .milliseconds(200)) {
                    let isRepeated = frame.type == .request && frame.text == "hello"
                    bench.expect(!isRepeated, "no REQUEST 'hello' again", got: "\(frame)")
                }
            }
        },
        Case("7.7", "7.7-7", "A client does not come back before retry_after of CLOSE(BUSY)", level: .should) { bench in
            try bench.start(.long, "hello")
            let peer = try bench.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            let away = max(300, bench.times.deadAfter)
            let sentAt = SuspendingClock.now
            try bench.send(RawFrame.preface + RawFrame.close(.busy, retryAfter: away).bytes, on: peer)
            try bench.expectAnsweredClose(of: peer)
            try bench.expectAway(since: sentAt, for: bench.milliseconds(away))
        },
        Case("7.7", "7.7-7", "A client does not come back before retry_after of GOAWAY", level: .should) { bench in
            let (peer, _, _) = try bench.openIdle()
            let away = max(300, bench.times.deadAfter)
            let sentAt = SuspendingClock.now
            try bench.send(.goAway(.shuttingDown, retryAfter: away), on: peer)
            try bench.expectAnsweredClose(of: peer)
            try bench.ask("again")
            try bench.expectAway(since: sentAt, for: bench.milliseconds(away))
        },
        Case("7.7", "7.7-7", "Of two GOAWAYs the second says when a client comes back", level: .should) { bench in
            let (peer, _, _) = try bench.openBusy()
            let away = max(300, bench.times.deadAfter)
            let sentAt = SuspendingClock.now
            try bench.send(.goAway(.shuttingDown), .goAway(.shuttingDown, retryAfter: away), on: peer)
            try bench.send(.close(.shuttingDown), on: peer)
            try bench.expectAnsweredClose(of: peer)
            try bench.expectAway(since: sentAt, for: bench.milliseconds(away))
        },
    ]
}

extension ClientBench {
    /// The client closes at once, without another frame but what was on its way. The server ends first, as 7.1-2 says.
    fileprivate func expectSilentEnd(of peer: RawPeer) throws {
        peer.shutdownWriting()
        let deadline = SuspendingClock.now + .seconds(1)
        while let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline))) {
            expect(frame.type != .close, "no CLOSE, but the end of the stream", got: "\(frame)")
        }
        expect(peer.ending != nil, "the end of the stream at once", got: "none within 1 s")
    }

    /// No connection comes before `duration` has passed.
    fileprivate func expectAway(since start: Moment, for duration: Duration) throws {
        let left = start.duration(to: .now).distance(to: duration)
        guard try acceptIfAny(within: max(.zero, left)) != nil else { return }
        expect(start.age >= duration, "no connection before \(duration)", got: "one after \(start.age)")
    }
}

extension Duration {
    fileprivate func distance(to other: Duration) -> Duration { other - self }
}
