import Basics

/// Which of a session's servers is dialed next, and when: a back-off for each server, and the limits of all together.
///
/// The servers take turns. A server that failed rests for its own back-off, and longer where it asked for that. The next
/// one is dialed at once, unless it rests too. There is no way back to a server that is preferred.
struct ServerRotation: Sendable {
    private struct Candidate: Sendable {
        var backoff: Backoff
        /// The instant until which it rests; nil where it has not failed yet.
        var restsUntil: Instant?
        /// The end of the rest that it asked for.
        var wishedUntil: Instant?
        var lastError: ConnectionError?
        /// Whether its last answer was final, so that it is not dialed before another server has opened a connection.
        var isRuledOut: Bool { lastError?.isFinal ?? false }
    }

    /// What has to hold for the next attempt.
    struct Demand {
        /// Whether a server may be dialed again that gave no temporary refusal.
        var mayRepeat: Bool
        /// Whether the policy's number of attempts is a limit.
        var countsAttempts = true
        /// No attempt begins at it or later; nil for no limit.
        var before: Instant?
        /// The longest wait without the server's part, where it is below the policy's cap.
        var mostBackoff: Duration?
        /// The last failure's wish, and what the calls wait for.
        var retryAfter = Duration.zero
        var spread = Duration.zero
        /// The connection was open, and is lost.
        var wasOpen = false
    }

    private let policy: ReconnectPolicy
    private var servers: [Candidate]
    /// The server of this attempt or connection.
    private(set) var current = 0
    /// Failed attempts since the last WELCOME, without the first one at each server.
    private var failures = 0
    /// When the last open connection ended, or its server could be back; nil before the first, and while one is open.
    private var outageBegan: Instant?

    init(count: Int, _ policy: ReconnectPolicy) {
        self.policy = policy
        servers = Array(repeating: Candidate(backoff: Backoff(policy)), count: count)
    }

    var count: Int { servers.count }
    /// Attempts at the current server since its last stable connection.
    var attempt: Int { servers[current].backoff.attempt }
    /// The number of servers beside the current one that may be dialed when it fails.
    func others(mayRepeat: Bool) -> Int {
        servers.indices.count { $0 != current && mayBeDialed($0, mayRepeat: mayRepeat) }
    }

    /// The server has sent WELCOME: the row of failures is over.
    mutating func opened() {
        failures = 0
        outageBegan = nil
        for index in servers.indices { servers[index].lastError = nil }
    }

    /// The connection has lasted, and proved its round trip (7.7-9).
    mutating func lasted() { servers[current].backoff.reset() }

    /// Chooses the next server after the failure of the current one; returns nil where there is no further attempt.
    ///
    /// - Parameters:
    ///   - error: Why the attempt failed, or the connection ended.
    ///   - demand: What has to hold for the next attempt.
    ///   - now: The present.
    ///   - random: Returns 0..<1, anew each time.
    mutating func next(
        after error: ConnectionError, _ demand: Demand, at now: Instant, random: () -> Double
    ) -> (wait: Duration, attempt: Int)? {
        if !demand.wasOpen, !isFirst(current) { failures += 1 }
        servers[current].lastError = error
        let wished = max(error.retryAfter, demand.retryAfter)
        let rest = servers[current].backoff.next(
            retryAfter: wished, spread: demand.spread, most: demand.mostBackoff, random: random)
        servers[current].restsUntil = now + rest
        servers[current].wishedUntil = now + wished
        // A server that said when it may be back is not away before: a drain may take longer than the limit.
        if demand.wasOpen { outageBegan = now + rest }
        guard !error.endsAll, let next = choice(demand, at: now), isAllowed(next, demand) else { return nil }
        var wait = self.rest(next, at: now)
        // The clients of a server that died do not come to the next one all at once.
        if next != current, wait == .zero, demand.wasOpen { wait = policy.base * random() }
        if let limit = policy.giveUpAfter, let outageBegan, !isWithin(limit, since: outageBegan, next, &wait, at: now) {
            return nil
        }
        if let before = demand.before, now + wait >= before { return nil }
        current = next
        return (wait, failures + 1)
    }

    /// Whether the policy's number of attempts allows one more. It does not count the first attempt at each server.
    private func isAllowed(_ next: Int, _ demand: Demand) -> Bool {
        isFirst(next) || !demand.countsAttempts || policy.attempts.map { failures < $0 } ?? true
    }

    /// Whether no attempt at the server has ended, before any connection.
    private func isFirst(_ index: Int) -> Bool { outageBegan == nil && servers[index].restsUntil == nil }

    /// Whether an attempt may begin after `wait`, which becomes shorter where it is the last one within the limit.
    private func isWithin(
        _ limit: Duration, since began: Instant, _ next: Int, _ wait: inout Duration, at now: Instant
    ) -> Bool {
        let last = began + limit
        guard limit > .zero, now < last else { return false }
        guard now + wait > last else { return true }
        wait = last - now
        return servers[next].wishedUntil.map { $0 <= last } ?? true
    }

    /// The server that may be dialed first: the next one that does not rest, else the one that rests least.
    private func choice(_ demand: Demand, at now: Instant) -> Int? {
        var best: Int?
        for step in 1...count {
            let index = (current + step) % count
            guard mayBeDialed(index, mayRepeat: demand.mayRepeat) else { continue }
            if best.map({ rest(index, at: now) < rest($0, at: now) }) ?? true { best = index }
        }
        return best
    }

    private func mayBeDialed(_ index: Int, mayRepeat: Bool) -> Bool {
        let error = servers[index].lastError
        return !servers[index].isRuledOut && (mayRepeat || error?.isTemporary ?? true)
    }

    private func rest(_ index: Int, at now: Instant) -> Duration {
        servers[index].restsUntil.map { max($0 - now, .zero) } ?? .zero
    }
}

extension ConnectionError {
    /// Whether no other server is tried either: the program has ended the session, or an operator has sent this client
    /// away.
    fileprivate var endsAll: Bool { isFinal && (kind != .closedByServer && kind != .dropped || code == .kicked) }

    /// Whether the next address of the same name is tried, where it came before WELCOME. A server that knows the client and
    /// does not want it speaks for the name: another handshake would only be one more that failed (section 7.6).
    var isOfOneAddress: Bool { code != .unauthorized && code != .kicked && kind != .closedByProgram }
}
