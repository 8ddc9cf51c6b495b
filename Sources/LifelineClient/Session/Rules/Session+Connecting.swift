import Basics
import Framing
import Liveness

/// How a session connects: one server after another, one address after another, until WELCOME.
extension Session {
    /// The name of the server that this attempt or connection is for.
    var server: String { servers[rotation.current] }

    /// A socket is connected. The handshake has the rest of the attempt, or its share where other addresses are left.
    ///
    /// - Parameters:
    ///   - address: The address that is connected.
    ///   - others: The number of addresses of the same server that are left.
    ///   - unread: The cost of the messages of earlier connections that wait for the program.
    ///   - now: The present.
    mutating func dialed(_ address: String = "", others: Int = 0, unread: Int = 0, at now: Instant) {
        guard case .dialing(let until) = phase else { return }
        phase = .greeting
        self.address = address
        otherAddresses = others
        if others > 0 { hasAddresses = true }
        connectionNumber += 1
        // It ends with the attempt: the handshake's own limit counts from the beginning of the attempt.
        let isLast = others == 0
        let window = hello.options.credit.map { Int(clamping: $0) }
        var hello = hello
        if let window { hello.options.credit = UInt64(max(window - unread, 0)) }
        connection = ClientConnection(
            hello, window: window, connectedAt: isLast ? dialedAt : now,
            handshakeTimeout: isLast ? patience : share(of: until - now, among: others), random: random)
        if isWatched { connection?.watchTransfers() }
    }

    /// Whether a request may leave before WELCOME: not while another attempt is likely to follow a handshake that fails, for
    /// the request would be UNKNOWN then. During an outage it waits; a server that has just answered is taken at its word.
    var maySendEarly: Bool {
        guard hello.short, otherAddresses == 0, rotation.others(mayRepeat: false) == 0 else { return false }
        return dialedAt >= waitUntil || (isExpected && rotation.attempt == 0)
    }

    /// No address could be connected to.
    mutating func dialFailed(_ error: ConnectionError, at now: Instant) {
        guard case .dialing = phase else { return }
        scheduleReconnect(after: error, hadConnection: false, at: now)
    }

    mutating func dial(at now: Instant) {
        let total = firstDeadline.map { min($0 - now, connectTimeout) } ?? connectTimeout
        dialedAt = now
        hasAddresses = false
        patience = share(of: total, among: rotation.others(mayRepeat: mayRepeat(at: now)))
        phase = .dialing(until: now + patience)
        if hello.short, now < waitUntil { calls.restartTimeouts(at: now) }
        outputs.append(.dial(rotation.current))
    }

    /// The part of `total` that this server or address has before another is tried: an equal share, and a few seconds at
    /// most. They double with each failure, so that a slow path is no reason for ever.
    private func share(of total: Duration, among others: Int) -> Duration {
        guard others > 0 else { return total }
        return min(total / (others + 1), Session.patience * Double(1 << min(rotation.attempt, 10)))
    }

    /// Whether any failure may be followed by another attempt: after the first WELCOME, and while a server is waited for.
    private func mayRepeat(hadConnection: Bool = false, at now: Instant) -> Bool {
        (hello.short ? hadConnection : firstDeadline == nil) || now < waitUntil
    }

    /// Schedules the next attempt, or closes the session for good.
    ///
    /// Before the first WELCOME each server has one attempt, and another one only after a temporary refusal, so that a
    /// wrong port is reported at once. A short session tries again while its request may be repeated. After GOAWAY its
    /// retry_after and spread count too: the server chose them for all of its clients together.
    mutating func scheduleReconnect(
        after error: ConnectionError, goAway: GoAway? = nil, hadConnection: Bool, wasOpen: Bool = false, at now: Instant
    ) {
        let error = named(error)
        if let stableAt, now >= stableAt, isProved { rotation.lasted() }
        stableAt = nil
        isProved = false
        var demand = ServerRotation.Demand(mayRepeat: mayRepeat(hadConnection: hadConnection, at: now))
        demand.wasOpen = wasOpen
        demand.countsAttempts = firstDeadline == nil || now >= waitUntil
        // No server has answered, so none could be flooded.
        if firstDeadline != nil, !wasOpen, error.kind != .closedByServer { demand.mostBackoff = Session.mostWait }
        demand.before = firstDeadline
        demand.retryAfter = max(
            .milliseconds(goAway?.retryAfter ?? 0), heldUntil.map { max($0 - now, .zero) } ?? .zero)
        demand.spread = .milliseconds(goAway?.spread ?? 0)
        guard !isClosing, !hello.short || !calls.isEmpty,
            let next = rotation.next(after: error, demand, at: now, random: random)
        else { return end(error) }
        heldUntil = nil
        phase = .waiting(until: now + next.wait)
        outputs.append(.event(.reconnecting(after: error, wait: next.wait, attempt: next.attempt)))
    }

    /// The error with the server that it is about, where there are several, or several addresses in a handshake.
    func named(_ error: ConnectionError) -> ConnectionError {
        if servers.count > 1 { return error.of(server) }
        return hasAddresses && phase == .greeting ? error.of(address) : error
    }

    /// The handshake with an address has failed, and another address of the same server is left.
    mutating func tryNextAddress(until: Instant) {
        phase = .dialing(until: until)
        outputs.append(.dialNext)
    }
}
