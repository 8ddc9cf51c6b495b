import Basics
import Framing
import Liveness

// What is due when.
extension ServerConnection {
    /// Whether the connection is over unless bytes are on their way to the client: ask the kernel, and call
    /// `extendLinger` before `resumed`.
    func mayExtendLinger(at now: Instant) -> Bool { phase == .closing && closing.linger?.mayExtend(at: now) ?? false }

    /// Waits on for the client's end where the kernel still has bytes for it.
    mutating func extendLinger(unacknowledged bytes: Int, at now: Instant) {
        linger { $0.extend(unacknowledged: bytes, at: now) }
    }

    /// The loop runs again: called first, before what it read is reported.
    @inline(__always) mutating func resumed(at now: Instant) {
        linger { $0.resumed(at: now) }
        heartbeat.resumed(at: now)
        requests.now = now
    }

    /// The machine was suspended, and no clock of the loop shows it (5.11-4).
    mutating func machineResumed(at now: Instant) { heartbeat.restart(at: now) }

    /// Carries out what is due at `now`, after all that was there has been read.
    mutating func enforceDeadlines(at now: Instant) {
        switch requests.verdict(at: now) {
        case .fine: break
        case .late(let id): endEarly(id, Failure(.handlerFailed, "the handler has not answered in its time"))
        case .stuck: stop(CloseCause(.handlerFailed, "the handler does not come back"))
        }
        sendHeldMessages(at: now)
        if asks != nil { enforceAskDeadlines(at: now) }
        switch heartbeat.verdict(at: now) {
        case .fine: break
        case .ping(let nonce): if !isClosing { outbox.ping(nonce) }
        case .drop(let violation): missedDeadline(violation, at: now)
        }
        if isLimited { enforceLifetime(at: now) }
        if phase == .finishing { enforceGrace(at: now) }
    }

    /// Whether the age and the idleness of the connection count: it is open, and a shutdown has not sent the client away.
    @inline(__always) private var isLimited: Bool {
        lifetime?.deadline != nil && phase == .open && (closing.goAway == nil || lifetime?.isOver ?? false)
    }

    private mutating func enforceLifetime(at now: Instant) {
        let isBusy = inFlight > 0 || asks?.isBusy ?? false
        switch lifetime?.verdict(isBusy: isBusy, at: now) {
        case .fine, nil: break
        case .sendAway(let limit):
            sentAwayFor = limit
            sendAway(limit.goAway)
            // A SHORT connection without its request has nothing to be sent away from.
            if isShort { terminate(limit.goAway, retryAfter: 0, at: now) }
        case .close(let limit): terminate(limit.goAway, retryAfter: 0, at: now)
        }
    }

    /// Why the client has been sent away since the last call; nil where it has not.
    mutating func takeSentAwayFor() -> ConnectionLifetime.Limit? { sentAwayFor.take() }

    /// When `enforceDeadlines` has something to do at the latest; nil for never.
    @inline(__always) var deadline: Instant? {
        guard isClosing else {
            var deadline = earlier(heartbeat.deadline, requests.deadline)
            if isLimited { deadline = earlier(deadline, lifetime?.deadline) }
            if phase == .finishing { deadline = earlier(deadline, closing.handlingUntil) }
            if let asks { deadline = earlier(deadline, asks.deadline) }
            return holdsMessages ? earlier(deadline, heldMessages?.deadline) : deadline
        }
        guard phase == .closing, let linger = closing.linger else { return nil }
        // While the last words of an orderly end are written, slow reading is judged; a drop has its own deadline
        // alone.
        return linger.isFlushing ? linger.deadline ?? heartbeat.deadline : linger.deadline
    }
}
