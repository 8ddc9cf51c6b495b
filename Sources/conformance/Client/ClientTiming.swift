import RawWire

extension TestBench {
    func milliseconds(_ count: some BinaryInteger) -> Duration { .milliseconds(Int64(count)) }

    /// `share` of `milliseconds`.
    func part(_ share: Double, of milliseconds: UInt32) -> Duration { .milliseconds(Int64(milliseconds)) * share }
}

extension ClientBench {
    /// Waits for a frame of the type; each `pause` without one `meanwhile` is done. PINGs are answered where asked.
    func wait(
        for type: RawFrame.Kind, on peer: RawPeer, within limit: Duration, each pause: Duration = .milliseconds(10),
        answering: Bool = false, meanwhile: () throws -> Void = {}
    ) throws -> RawFrame {
        let deadline = SuspendingClock.now + limit
        while SuspendingClock.now < deadline {
            guard let frame = try peer.nextFrame(within: pause) else {
                if let ending = peer.ending { throw Unexpected("expected \(type), got \(ending)") }
                try meanwhile()
                continue
            }
            if frame.type == type { return frame }
            if frame.type == .close { throw Unexpected("expected \(type), got \(frame)") }
            if answering, frame.type == .ping { try peer.send(.pong(to: frame)) }
        }
        throw Unexpected("expected \(type) within \(limit), got none")
    }

    /// Keeps the connection alive for `duration`: each PING is answered, and nothing but PINGs, PONGs and requests comes.
    func idle(on peer: RawPeer, for duration: Duration, answering: Bool = true) throws {
        let deadline = SuspendingClock.now + duration
        while case let left = SuspendingClock.now.duration(to: deadline), left > .zero {
            guard let frame = try peer.nextFrame(within: left) else {
                if let ending = peer.ending { throw Unexpected("expected the connection to go on, got \(ending)") }
                return
            }
            guard frame.type != .close else { throw Unexpected("expected the connection to go on, got \(frame)") }
            if answering, frame.type == .ping { try peer.send(.pong(to: frame)) }
        }
    }

    /// 5.2-2: several PINGs, each answered at once, between 0.8 and 1.0 x ping_every after the last proof, whatever
    /// `traffic` does in between.
    func expectBeat(
        on peer: RawPeer, pingEvery: UInt32, deadAfter: UInt32, samples: Int = 4,
        each pause: Duration = .milliseconds(5),
        traffic: () throws -> Void = {}
    ) throws {
        let limit = milliseconds(pingEvery) + milliseconds(deadAfter)
        try send(.pong(to: try wait(for: .ping, on: peer, within: limit, each: pause, meanwhile: traffic)), on: peer)
        var provenAt = SuspendingClock.now
        var nonces: Set<UInt64> = []
        try expectBetween(
            "a PING after the last proof", part(0.8, of: pingEvery),
            times.latest(milliseconds(pingEvery), of: deadAfter), samples: samples
        ) {
            let ping = try wait(for: .ping, on: peer, within: limit, each: pause, meanwhile: traffic)
            let waited = provenAt.duration(to: peer.heardAt)
            expect(nonces.insert(ping.nonce ?? 0).inserted, "a nonce that is new (4.3-1)", got: "\(ping)")
            // The client can't have the proof before this instant.
            provenAt = .now
            try send(.pong(to: ping), on: peer)
            return waited
        }
    }

    /// How long after `start` CLOSE with the code comes; `meanwhile` is done in each pause until then.
    func timeOfClose(
        _ code: RawCode, on peer: RawPeer, since start: Moment, within limit: Duration,
        each pause: Duration = .seconds(1),
        meanwhile: () -> Void = {}
    ) throws -> Duration {
        let deadline = SuspendingClock.now + limit
        while SuspendingClock.now < deadline {
            let left = min(pause, SuspendingClock.now.duration(to: deadline))
            guard let frame = try peer.nextFrame(within: left) else {
                if let ending = peer.ending { throw Unexpected("expected CLOSE(\(code)), got \(ending)") }
                meanwhile()
                continue
            }
            guard let notice = frame.notice, frame.type == .close else { continue }
            expect(notice.code == code, "CLOSE(\(code))", got: "CLOSE(\(notice.code))")
            return start.duration(to: peer.heardAt)
        }
        throw Unexpected("expected CLOSE(\(code)) within \(limit), got none")
    }
}
