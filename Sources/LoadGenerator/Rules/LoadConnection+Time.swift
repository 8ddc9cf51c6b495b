import Framing

extension LoadConnection {
    /// When `woke` is to be called; not too seldom, for deadlines also come about later.
    func deadline(_ script: borrowing LoadProfile, at now: Nanoseconds) -> Nanoseconds {
        switch phase {
        case .away, .over: return .never
        case .connecting, .greeting: return begun + script.timeout
        case .closing: return closeBy
        case .open:
            if isSilent { return .never }
            let dead = min(min(lastHeard, unprovenSince), min(stuckSince, frameBegun))
            let next = min(dead + deadAfter, nextPing)
            let often = min(.seconds(1), deadAfter / 20)
            return max(now + .milliseconds(1), min(next, now + often))
        }
    }

    /// It is the time that was asked for, or later; `random` is from 0 to 1.
    mutating func woke(
        _ script: borrowing LoadProfile, _ tally: inout LoadCounters, asked: Nanoseconds, random: Double,
        at now: Nanoseconds
    ) {
        switch phase {
        case .away, .over: return
        case .connecting, .greeting:
            guard now >= begun + script.timeout else { return }
            if phase == .connecting { return end(.unreachable(error: "timeout"), &tally, script) }
            return drop(.handshakeTimeout, &tally, script, at: now)
        case .closing:
            if now >= closeBy { phase = .over }
            return
        case .open: break
        }
        guard !isSilent else { return }
        // Late itself (5.11-2).
        if now - asked > deadAfter / 10 + .milliseconds(50) {
            lastHeard = now
            unprovenSince = .never
            if frameBegun != .never { frameBegun = now }
            if stuckSince != .never { stuckSince = now }
            ping(random, at: now)
        }
        if lastHeard + deadAfter <= now { return drop(.silent, &tally, script, at: now) }
        if stuckSince != .never, stuckSince + deadAfter <= now { return drop(.slowReader, &tally, script, at: now) }
        if frameBegun != .never, frameBegun + deadAfter + .milliseconds(frameLength) <= now {
            return drop(.frameTimeout, &tally, script, at: now)
        }
        if unprovenSince != .never, unprovenSince + deadAfter <= now {
            return drop(.noRoundTrip, &tally, script, at: now)
        }
        if nextPing <= now { ping(random, at: now) }
        if inFlight > 0 {
            for index in 0...Int(script.mask) where slots[index].id != 0 {
                if slots[index].sent + script.timeout <= now {
                    return drop(.normal, &tally, script, at: now, because: .timeout)
                }
            }
        }
    }

    mutating func ping(_ random: Double, at now: Nanoseconds) {
        owesPing = true
        lastPing = now
        if unprovenSince == .never { unprovenSince = now }
        nextPingAfter = pingEvery * (0.8 + 0.2 * random)
    }
}
