import RawWire

extension ClientBench {
    /// An idle connection whose round trip has been proved by a PONG just now.
    func proved(welcome: RawFrame) throws -> RawPeer {
        let (peer, _, _) = try openIdle(welcome: welcome)
        let ping = try wait(for: .ping, on: peer, within: .seconds(12))
        try send(.pong(to: ping), on: peer)
        return peer
    }

    /// NO_ROUND_TRIP between dead_after and a slack more after the first PING without proof, while `traffic` flows; with
    /// `begin` the response to the request has begun.
    func expectNoRoundTrip(begin: Bool = false, _ traffic: (RawPeer) -> () -> Void) throws {
        let deadAfter = times.deadAfter
        try expectBetween(
            "NO_ROUND_TRIP after the PING", milliseconds(deadAfter) - .milliseconds(20),
            times.latest(milliseconds(deadAfter), of: deadAfter), samples: 2
        ) {
            let (peer, _, id) = try openBusy(welcome: welcome(deadAfter: deadAfter))
            try send(.response(id, [1], more: begin), on: peer)
            // A response may come after the first PING, and is the proof then.
            try send(.pong(to: try wait(for: .ping, on: peer, within: .seconds(3))), on: peer)
            let flow = traffic(peer)
            let ping = try wait(for: .ping, on: peer, within: .seconds(3), each: .milliseconds(4), meanwhile: flow)
            expect(ping.type == .ping, "a PING", got: "\(ping)")
            return try timeOfClose(
                .noRoundTrip, on: peer, since: peer.heardAt, within: milliseconds(deadAfter * 2),
                each: .milliseconds(4), meanwhile: flow)
        }
    }

    /// FRAME_TIMEOUT for `frame`, of which `atOnce` bytes come and then one now and then; it may take dead_after and
    /// `extra` milliseconds.
    func expectFrameTimeout(_ frame: RawFrame, atOnce: Int, extra: Int) throws {
        let deadAfter = max(500, times.deadAfter)
        let limit = milliseconds(deadAfter) + milliseconds(extra)
        try expectBetween("FRAME_TIMEOUT", limit, times.latest(limit, of: deadAfter), samples: 2) {
            let peer = try proved(welcome: welcome(pingEvery: deadAfter / 2, deadAfter: deadAfter))
            let beganAt = SuspendingClock.now
            try send(Array(frame.bytes[..<atOnce]), on: peer)
            var rest = frame.bytes[atOnce...]
            return try timeOfClose(
                .frameTimeout, on: peer, since: beganAt, within: milliseconds(deadAfter * 3),
                each: part(0.125, of: deadAfter)
            ) {
                // A byte each eighth of dead_after: the server is not silent.
                if let byte = rest.popFirst() { try? peer.send([byte]) }
            }
        }
    }

    /// How long after the connection was made each of several new clients says HANDSHAKE_TIMEOUT.
    func timeOfHandshake(trickling: [Bool]) throws -> [Duration] {
        let most = Duration.seconds(40) * times.scale
        var peers: [(peer: RawPeer, since: Moment, trickles: Bool)] = []
        for trickles in trickling {
            try start(.long, "hello")
            peers.append((try accept(), .now, trickles))
        }
        var taken: [Duration?] = trickling.map { _ in nil }
        let bytes = RawFrame.preface + RawFrame.welcome().bytes
        var sent = 0
        var nextAt = SuspendingClock.now + most / 50
        while taken.contains(where: { $0 == nil }) {
            guard peers[0].since.age < most else { throw Skip("the client's handshake timeout is more than \(most)") }
            try pause(.milliseconds(10))
            let isTime = SuspendingClock.now >= nextAt
            if isTime { nextAt += most / 50 }
            for (index, (peer, since, trickles)) in peers.enumerated() where taken[index] == nil {
                try peer.read(until: .now)
                // All but the last byte, at the pace that the longest timeout needs.
                if isTime, trickles, sent < bytes.count - 1 {
                    try? peer.send([bytes[sent]])
                    sent += 1
                }
                if peer.received == 8 || peer.received < 20 { continue }
                if peer.unread.starts(with: RawFrame.preface) { try peer.takePreface() }
                while let frame = try peer.nextFrame(within: .zero) {
                    guard let notice = frame.notice, frame.type == .close else { continue }
                    expect(notice.code == .handshakeTimeout, "HANDSHAKE_TIMEOUT", got: "\(notice.code)")
                    taken[index] = since.duration(to: peer.heardAt)
                }
                if let ending = peer.ending, taken[index] == nil {
                    throw Unexpected("expected CLOSE(HANDSHAKE_TIMEOUT), got \(ending)")
                }
            }
        }
        return taken.compactMap { $0 }
    }

    /// Reads nothing for `share` of dead_after after the client's kernel has taken the last byte that it can; tries again
    /// where the kernel went on taking some, for that puts off the deadline.
    func stuckUntil(_ share: Double, deadAfter: UInt32) throws -> RawPeer {
        for _ in 0..<4 { if let peer = try stuckOnce(until: share, deadAfter: deadAfter) { return peer } }
        throw Skip("the client's kernel does not stop taking bytes")
    }

    private func stuckOnce(until share: Double, deadAfter: UInt32) throws -> RawPeer? {
        let listener = try NarrowListener(tls)
        try start(.long, "hello", port: listener.port)
        let peer = trace(try listener.accept())
        _ = try greet(peer, welcome(pingEvery: deadAfter / 2, deadAfter: deadAfter))
        let first = try takeRequest(on: peer)
        let ping = try wait(for: .ping, on: peer, within: .seconds(3))
        try send(.pong(to: ping), .response(first.id, [1]), on: peer)
        try ask(String(repeating: "x", count: 1_000_000))
        // The kernel takes what it can in no time; later there is nothing that it could take.
        let since = SuspendingClock.now
        var held = 0
        while since.age < part(share, of: deadAfter) {
            try? peer.send(.message([1]))
            // After the drop its CLOSE may fit in.
            let now = (peer.bytesInKernel ?? peer.unreadInKernel)
            if now > held, since.age > part(0.25, of: deadAfter), since.age < part(1, of: deadAfter) { return nil }
            held = now
            try pause(part(0.05, of: deadAfter))
        }
        return peer
    }

    /// A connection whose client has been stopped for `duration`, and still is.
    func stopped(for duration: Duration, deadAfter: UInt32) throws -> RawPeer {
        let peer = try proved(welcome: welcome(pingEvery: deadAfter / 2, deadAfter: deadAfter))
        signal(19)  // SIGSTOP
        // A command that only starts the client has been stopped in its place.
        try pause(.milliseconds(20))
        while try peer.nextFrame(within: .zero) != nil {}
        let stoppedAt = SuspendingClock.now
        try send(.ping(1), on: peer)
        if try peer.nextFrame(within: duration)?.type == .pong {
            throw Skip("the client can't be stopped by stopping COMMAND")
        }
        try pause(max(.zero, duration - stoppedAt.age))
        return peer
    }

    func resume() { signal(18) }  // SIGCONT
}
