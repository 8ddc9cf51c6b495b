import RawWire

/// Versions of the protocol, and what a case does about the send window of 1.1 (section 5.12).
extension TestBench {
    /// Reads until nothing comes for a while, and answers nothing: what the send window lets through. A PING is among it.
    func held(on peer: RawPeer) throws -> [RawFrame] {
        var frames: [RawFrame] = []
        while let frame = try peer.nextFrame(within: .milliseconds(200) + Times.machine) {
            frames.append(frame)
            if frame.type == .close { throw Unexpected("expected messages, got \(frame)") }
        }
        guard frames.contains(where: \.isMessage) else { throw Unexpected("expected messages, got \(frames)") }
        guard frames.contains(where: { $0.type == .ping }) else {
            throw Unexpected("expected a PING among the messages, got none (5.12-2)")
        }
        return frames
    }

    /// Answers the last PING of `frames`, and each that comes then; returns all of the message that they begin.
    func rest(of frames: [RawFrame], on peer: RawPeer, answering: Bool = true) throws -> [UInt8] {
        if answering, let ping = frames.last(where: { $0.type == .ping }) { try send(.pong(to: ping), on: peer) }
        var messages = frames.filter(\.isMessage)
        while messages.last?.hasMore ?? true {
            let frame = try peer.takeFrame()
            if frame.isMessage { messages.append(frame) }
            if answering, frame.type == .ping { try send(.pong(to: frame), on: peer) }
            if frame.type == .close { throw Unexpected("expected the rest of a message, got \(frame)") }
        }
        return messages.flatMap(\.payload)
    }

    /// What came of messages that no PONG has proved keeps to the first window, and PINGs lie among it.
    func expectFirstWindow(_ frames: [RawFrame], deadAfter: UInt32) {
        var judge = WindowJudge(deadAfter: deadAfter)
        for frame in frames {
            if let nonce = frame.nonce, frame.type == .ping { judge.note(ping: nonce) }
            guard frame.isMessage, let expected = judge.breach(byFrameOf: frame.length) else { continue }
            return fail("expected \(expected), got \(frame)")
        }
        expect(
            judge.behindPing < judge.first, "a PING at once behind \(judge.first) bytes (5.12-2)",
            got: "\(judge.behindPing) bytes behind the last")
    }

    /// Acts as a path that carries `rate` bytes a second: takes what comes at once, and answers each PING when the path
    /// would have carried it. Returns the round trips of the PINGs, up to the last chunk of a message.
    func roundTrips(on peer: RawPeer, at rate: Double) throws -> [Duration] {
        var queue: [(frame: RawFrame, came: Moment, arrives: Moment)] = []
        var trips: [Duration] = []
        while true {
            while let first = queue.first, first.arrives <= .now {
                queue.removeFirst()
                if first.frame.type == .ping {
                    trips.append(first.came.duration(to: first.arrives))
                    try send(.pong(to: first.frame), on: peer)
                }
                if first.frame.isMessage, !first.frame.hasMore { return trips }
            }
            let wait = queue.first.map { max(.zero, SuspendingClock.now.duration(to: $0.arrives)) }
            guard let frame = try peer.nextFrame(within: wait ?? RawPeer.patience) else {
                if queue.isEmpty || peer.ending != nil { throw Unexpected("expected the rest of a message, got none") }
                continue
            }
            if frame.type == .close { throw Unexpected("expected the rest of a message, got \(frame)") }
            let begins = max(queue.last?.arrives ?? peer.heardAt, peer.heardAt)
            queue.append((frame, peer.heardAt, begins + .seconds(Double(frame.length) / rate)))
        }
    }

    /// 5.12-4: on a path of 40,000 bytes a second no PING waits for a quarter of dead_after.
    func expectShortQueue(on peer: RawPeer, deadAfter: UInt32) throws {
        let trips = try roundTrips(on: peer, at: 40_000)
        let most = Duration.milliseconds(deadAfter) / 4 + Times.machine
        expect(trips.max() ?? .zero <= most, "round trips of at most \(most)", got: "\(trips.map(\.milliseconds))")
    }
}

extension RawFrame {
    /// Whether it is a frame of REQUEST, RESPONSE or MESSAGE.
    var isMessage: Bool { [Kind.request, .response, .message].contains(type) }
    var length: Int { RawFrame.headerLength + payload.count }
}
