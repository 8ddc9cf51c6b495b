import Framing

extension LoadConnection {
    /// The instant at which `timerFired` has to be called.
    ///
    /// Where requests are sent it is at most a second away, because a request sets no deadline of its own. Elsewhere bytes
    /// that come make it later alone.
    func deadline(_ profile: borrowing LoadProfile, at now: Nanoseconds) -> Nanoseconds {
        switch phase {
        case .away, .over: return .never
        case .connecting, .greeting: return begun + profile.timeout
        case .closing: return closeBy
        case .open:
            if isSilent { return .never }
            let dead = min(min(lastHeard, unprovenSince), min(stuckSince, frameBegun))
            let next = min(dead + deadAfter, nextPing)
            let often = profile.options.inFlight > 0 ? now + min(.seconds(1), deadAfter / 20) : .never
            return max(now + .milliseconds(1), min(next, often))
        }
    }

    /// Does what is due. `asked` is the instant that was asked for; `random` is from 0 up to 1.
    mutating func timerFired(
        _ profile: borrowing LoadProfile, _ counters: inout LoadCounters, asked: Nanoseconds, random: Double,
        at now: Nanoseconds
    ) {
        switch phase {
        case .away, .over: return
        case .connecting, .greeting:
            guard now >= begun + profile.timeout else { return }
            if phase == .connecting { return end(.unreachable(error: "timeout"), &counters, profile) }
            return drop(.handshakeTimeout, &counters, profile, at: now)
        case .closing:
            if now >= closeBy { phase = .over }
            return
        case .open: break
        }
        guard !isSilent else { return }
        // The generator itself was late (5.11-2).
        if now - asked > deadAfter / 10 + .milliseconds(50) {
            lastHeard = now
            unprovenSince = .never
            if frameBegun != .never { frameBegun = now }
            if stuckSince != .never { stuckSince = now }
            ping(random, at: now)
        }
        if lastHeard + deadAfter <= now { return drop(.silent, &counters, profile, at: now) }
        if stuckSince != .never, stuckSince + deadAfter <= now { return drop(.slowReader, &counters, profile, at: now) }
        if frameBegun != .never, frameBegun + deadAfter + .milliseconds(frameLength) <= now {
            return drop(.frameTimeout, &counters, profile, at: now)
        }
        if unprovenSince != .never, unprovenSince + deadAfter <= now {
            return drop(.noRoundTrip, &counters, profile, at: now)
        }
        if nextPing <= now { ping(random, at: now) }
        if inFlight > 0 {
            for index in 0...Int(profile.mask) where slots[index].id != 0 {
                if slots[index].sent + profile.timeout <= now {
                    return drop(.normal, &counters, profile, at: now, because: .timeout)
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
