import RawWire

/// Sections 7.4 to 7.6: draining, drops, refusals.
extension Case<ServerBench> {
    static let goAways = numbered(
        "7.4",
        [
            .of("7.4-5", "GOAWAY with nothing unanswered is answered with CLOSE(NORMAL) at once") { bench in
                try bench.expectBetween("CLOSE", .zero, bench.times.latest(.zero, of: bench.times.deadAfter)) {
                    let (peer, _) = try bench.open(bench.hello())
                    let start = try bench.sendTimed(RawFrame.goAway().bytes, on: peer)
                    _ = try bench.readToClose(on: peer, .normal, within: .seconds(5))
                    return start.age
                }
            },
            .of("7.4-5", "GOAWAY behind requests: their answers come, then CLOSE(NORMAL)") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1), .goAway(.normal, "bye"), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).text == "hello", "'hello'", got: "another")
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 1, "last_id 1", got: "\(close as Any)")
            },
            .of(
                "7.4-4",
                "A client that has sent GOAWAY may finish the request that it has begun, and send MESSAGE's place: PING"
            ) { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "hel", more: true), .goAway(), .ping(1), on: peer)
                try bench.takePong(1, on: peer)
                try bench.send(.request(1, "lo"), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).text == "hello", "'hello'", got: "another")
                try bench.expectClose(of: peer, .normal)
            },
            .of(
                "7.4-4",
                "A client that has sent GOAWAY may cancel the request that it has begun; that is the last ending"
            ) { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "hel", more: true), .goAway(), .cancel(1), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).notice?.code == .cancelled, "CANCELLED", got: "another")
                try bench.expectClose(of: peer, .normal)
            },
            .of("7.4-4", "A new request behind GOAWAY, while answers wait to be sent, is not served") { bench in
                let stuck = try bench.stuck()
                try stuck.settle()
                try bench.send(.goAway(), .request(stuck.count + 1), on: stuck.peer)
                let frames = try stuck.peer.frames(upTo: .close)
                // Where CLOSE(NORMAL) was in line already, behind the answers, the request is discarded.
                let code = frames.last?.notice?.code
                bench.expect(
                    code == .protocolError || code == .normal, "PROTOCOL_ERROR or NORMAL", got: "\(frames.suffix(1))")
                bench.expect(!frames.contains { $0.id > stuck.count }, "no answer to it", got: "one")
            },
            .of("7.4-4", "A MESSAGE behind GOAWAY, while answers wait to be sent, is taken") { bench in
                let stuck = try bench.stuck()
                try stuck.welcome.need(message: 1)
                try stuck.settle()
                try bench.send(.goAway(), .message([1]), .cancel(1), on: stuck.peer)
                var endings = 0
                while endings < stuck.count {
                    let frame = try bench.next(on: stuck.peer)
                    guard frame.type != .close else { throw Unexpected("expected all endings, got \(frame)") }
                    if !frame.hasMore { endings += 1 }
                }
                try bench.expectClose(of: stuck.peer, .normal)
            },
            .of("7.4-6", "A second GOAWAY is no violation") { bench in
                let (peer, _) = try bench.open()
                try bench.send(
                    .request(1, "a", more: true), .goAway(.normal, retryAfter: 1), .goAway(.internalError),
                    .request(1, "b"), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectClose(of: peer, .normal)
            },
        ])

    static let drops = numbered(
        "7.5",
        [
            .of(
                "7.5-1", "A drop discards what waits, finishes the frame that is begun, and CLOSE with its code follows"
            ) { bench in
                let stuck = try bench.stuck()
                try stuck.settle()
                guard let held = stuck.peer.bytesInKernel else {
                    throw Skip("the system does not tell what the kernel holds")
                }
                let before = stuck.peer.received
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }.bytes, on: stuck.peer)
                let frames = try stuck.peer.frames(upTo: .close)
                try stuck.peer.takeEnd()
                bench.expect(
                    frames.last?.notice?.code == .protocolError, "CLOSE(PROTOCOL_ERROR)", got: "\(frames.suffix(1))")
                let got = stuck.peer.received - before
                let most = held + 12 + 16384 + 12 + 524
                bench.expect(got <= most, "what the kernel held and one frame, \(most) bytes", got: "\(got)")
            },
            .of("7.5-2", "A drop whose CLOSE the client does not read for long is given up: the connection ends") {
                bench in
                let stuck = try bench.stuck()
                try stuck.settle()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }.bytes, on: stuck.peer)
                let slack = max(stuck.welcome.slack, .milliseconds(100))
                bench.pause(.seconds(1) + min(slack, .seconds(3)) + .milliseconds(200))
                var last: RawFrame?
                while let frame = try stuck.peer.nextFrame() { last = frame }
                bench.expect(
                    stuck.peer.ending != nil && last?.type != .close, "the end, without CLOSE", got: "\(last as Any)")
            },
            .of("7.5-3", "A request behind a violation is not answered, and last_id tells it") { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(5, on: peer)
                let breach = RawFrame.ping(1).with { $0.reserved = 1 }.bytes
                try bench.send(breach + RawFrame.request(6).bytes + RawFrame.request(7).bytes, on: peer)
                let close = try bench.expectDrop(of: peer, .protocolError)
                bench.expect(close?.lastID == 5, "last_id 5", got: "\(close as Any)")
            },
        ])

    static let refusedConnections = numbered(
        "7.6",
        [
            .of(
                "7.6-1",
                "A connection beyond the limit gets the preface and CLOSE(BUSY), last_id 0, whatever it has sent"
            ) { bench in
                try bench.withFullServer {
                    for sent in [[], RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes, [0xFF]] {
                        let peer = try bench.connect()
                        try bench.send(sent, on: peer)
                        try peer.takePreface()
                        let close = try bench.expectClose(of: peer, .busy) { "expected CLOSE(BUSY), got \($0)" }
                        bench.expect(close?.lastID == 0, "last_id 0", got: "\(close as Any)")
                    }
                }
            },
            .of("7.6-2", "CLOSE(BUSY) says when to come back", level: .should) { bench in
                try bench.withFullServer {
                    let peer = try bench.connect()
                    try peer.takePreface()
                    let retryAfter = try peer.takeClose().retryAfter
                    bench.expect(retryAfter > 0, "retry_after", got: "0")
                }
            },
        ])
}

extension ServerBench {
    /// Does `body` while the server has as many connections as it may have.
    func withFullServer(_ body: () throws -> Void) throws {
        guard let most = known.maxConnections, most <= 100 else {
            throw Skip("start the server with a low limit, say it with --max-connections, and run this with --jobs 1")
        }
        var open: [RawPeer] = []
        let deadline = SuspendingClock.now + .seconds(3)
        while open.count < most {
            let peer = try connect()
            try send(RawFrame.preface + RawFrame.hello().bytes, on: peer)
            try peer.takePreface()
            if try peer.takeFrame().type == .welcome {
                open.append(peer)
            } else {
                // A connection of before counts until the server has closed it.
                guard SuspendingClock.now < deadline else {
                    throw Unexpected("only \(open.count) of \(most) connections")
                }
                pause(.milliseconds(20))
            }
        }
        defer {
            for peer in open {
                try? peer.send(.close())
                _ = try? peer.takeClose()
                peer.close()
            }
            // A connection counts until the server has closed it; the next case wants its place.
            pause(.milliseconds(100))
        }
        try body()
    }
}
