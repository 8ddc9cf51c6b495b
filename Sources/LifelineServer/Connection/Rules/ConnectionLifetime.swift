import Basics
import Framing

/// How long a connection may stay: how old it becomes, and how long nothing may be asked and said on it.
///
/// When a limit is reached, the client is sent away (GOAWAY), and comes back to new code or to another node. Requests in
/// flight go on. A client that does not leave is closed after the grace, when what it has asked is answered.
/// Heartbeats are no activity.
final class ConnectionLifetime {
    /// What was reached.
    enum Limit: String, Sendable {
        case age = "max_age"
        case idle = "max_idle"

        /// What the client gets. It may come back at once: those that came together do not leave together.
        var goAway: GoAway {
            switch self {
            case .age: GoAway(.normal, "the connection is as old as this server lets one become; please come back")
            case .idle: GoAway(.normal, "nothing was asked for as long as this server allows; please come back")
            }
        }
    }

    /// What is due.
    enum Verdict: Equatable, Sendable {
        case fine
        case sendAway(Limit)
        /// The client has not left.
        case close(Limit)
    }

    /// The part of the age by which connections leave earlier, at random, so that those that came together do not come
    /// back together.
    private static let spread = 0.1

    private let grace: Duration
    private let maxIdle: Duration?
    private let agesAt: Instant?
    @exclusivity(unchecked) private var activeAt: Instant
    @exclusivity(unchecked) private var served: UInt64 = 0
    @exclusivity(unchecked) private var reached: Limit?
    /// When there is something to decide at the earliest; nil for never. After activity it is too early, and moves when it
    /// has come.
    @exclusivity(unchecked) private(set) var deadline: Instant?

    /// No limits.
    init() {
        grace = .zero
        maxIdle = nil
        agesAt = nil
        activeAt = Instant(sinceStart: .zero)
    }

    /// The lifetime of a connection.
    ///
    /// - Parameters:
    ///   - maxAge: The oldest that it becomes; nil for any age.
    ///   - maxIdle: The longest time without a request or a message; nil for any time.
    ///   - grace: How long a client may take to leave.
    ///   - acceptedAt: When it began.
    ///   - random: Returns 0..<1.
    init(maxAge: Duration?, maxIdle: Duration?, grace: Duration, acceptedAt: Instant, random: () -> Double) {
        self.grace = grace
        self.maxIdle = maxIdle
        agesAt = maxAge.map { acceptedAt + $0 * (1 - ConnectionLifetime.spread * random()) }
        activeAt = acceptedAt
        deadline = earlier(agesAt, maxIdle.map { acceptedAt + $0 })
    }

    /// Whether a limit was reached, and the client was sent away.
    var isOver: Bool { reached != nil }

    /// Whether activity is noted: most connections have no limit of idleness.
    @inline(__always) var notesActivity: Bool { maxIdle != nil }

    /// A part of a request or of a message came, or a message goes.
    @inline(__always) func active(at now: Instant) { if notesActivity { activeAt = now } }

    /// This many requests have got their ending so far.
    @inline(__always) func served(_ count: UInt64, at now: Instant) {
        guard count != served else { return }
        served = count
        activeAt = now
    }

    /// What is due at `now`. `isBusy` says whether a request or a message is on its way.
    func verdict(isBusy: Bool, at now: Instant) -> Verdict {
        guard let due = deadline, due <= now else { return .fine }
        if let reached {
            deadline = nil
            return .close(reached)
        }
        if isBusy { active(at: now) }
        let idleAt = maxIdle.map { activeAt + $0 }
        let limit: Limit? =
            if let agesAt, agesAt <= now { .age } else if let idleAt, idleAt <= now { .idle } else { nil }
        guard let limit else {
            deadline = earlier(agesAt, idleAt)
            return .fine
        }
        reached = limit
        deadline = now + grace
        return .sendAway(limit)
    }
}
