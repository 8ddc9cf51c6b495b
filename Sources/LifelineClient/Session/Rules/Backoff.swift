/// How a lost connection is opened again: exponential backoff with full jitter.
///
/// The n-th attempt in a row waits random(0...min(cap, base x 2^n)), so that clients that lost one server do not come
/// back together; what the server asked for (retry_after, and a random part of spread) comes on top. The count starts
/// anew only after a connection that lasted, so that a server which accepts and drops is not hammered (Protocol.md,
/// section 7.7).
public struct ReconnectPolicy: Hashable, Sendable {
    /// The longest first wait.
    public var base: Duration
    /// The longest wait of all.
    public var cap: Duration
    /// How many attempts in a row may fail before the connection is given up; nil for no limit, 0 for none at all.
    public var attempts: Int?

    /// The defaults wait up to 100 ms at first and up to 30 s in the end, and never give up.
    public init(base: Duration = .milliseconds(100), cap: Duration = .seconds(30), attempts: Int? = nil) {
        self.base = base
        self.cap = cap
        self.attempts = attempts
    }

    /// A lost connection stays lost.
    public static let never = ReconnectPolicy(attempts: 0)
}

/// The attempts in a row under a policy.
struct Backoff: Sendable {
    private let policy: ReconnectPolicy
    /// Attempts since the last connection that lasted.
    private(set) var attempt = 0

    init(_ policy: ReconnectPolicy) { self.policy = policy }

    /// A connection shorter than this does not reset the count.
    static func stable(_ deadAfter: Duration) -> Duration { max(.seconds(10), deadAfter) }

    mutating func reset() { attempt = 0 }

    /// The wait before the next attempt, or nil where the policy allows no more. `random` returns 0..<1, anew each time.
    mutating func next(
        retryAfter: Duration = .zero, spread: Duration = .zero, random: () -> Double
    ) -> Duration? {
        if let most = policy.attempts, attempt >= most { return nil }
        // 2^40 times any base is over any cap, and the product stays within a Duration.
        let ceiling = min(policy.cap, policy.base * Double(1 << min(attempt, 40)))
        attempt += 1
        return retryAfter + spread * random() + ceiling * random()
    }
}
