/// How a lost connection is opened again: exponential backoff with full jitter.
///
/// An attempt waits a random time up to min(cap, base x 2^n), so that clients of a failed server do not return together.
/// The server's retry_after and a random part of its spread are added. n is the number of attempts at that server since the
/// last stable connection, so that a server which accepts and drops is not flooded (Protocol.md, section 7.7).
///
/// The library gives up when both of its limits allow no more attempt. Each counts from the last WELCOME: a connection
/// that opened is no failure, however short it was.
public struct ReconnectPolicy: Hashable, Sendable {
    /// The longest wait before the first attempt.
    public var base: Duration
    /// The longest wait before any attempt, without the server's part.
    public var cap: Duration
    /// The number of failed attempts in a row that close the connection for good. Nil sets no limit; 0 allows no attempt.
    public var attempts: Int?
    /// The time without a connection after which no attempt begins, and the connection is closed for good. Nil sets no
    /// limit; zero allows no attempt. The last attempt begins when it has passed. The time that the server has asked
    /// for (retry_after and spread) does not count.
    public var giveUpAfter: Duration?

    /// Creates a policy. The defaults wait up to 100 ms at first and up to 30 s later, without a limit.
    ///
    /// - Parameters:
    ///   - base: The longest wait before the first attempt.
    ///   - cap: The longest wait before any attempt.
    ///   - attempts: The number of failed attempts in a row that close the connection for good.
    ///   - giveUpAfter: The time without a connection that closes it for good.
    public init(
        base: Duration = .milliseconds(100), cap: Duration = .seconds(30), attempts: Int? = nil,
        giveUpAfter: Duration? = nil
    ) {
        self.base = base
        self.cap = cap
        self.attempts = attempts
        self.giveUpAfter = giveUpAfter
    }

    /// The policy that never connects again.
    public static let never = ReconnectPolicy(attempts: 0)
}

/// The count of attempts at one server, and the wait before the next one.
struct Backoff: Sendable {
    private let policy: ReconnectPolicy
    /// Attempts since the last stable connection.
    private(set) var attempt = 0

    init(_ policy: ReconnectPolicy) { self.policy = policy }

    /// The age from which a connection counts as stable.
    static func stable(_ deadAfter: Duration) -> Duration { max(.seconds(10), deadAfter) }

    mutating func reset() { attempt = 0 }

    /// The wait before the next attempt. `random` returns 0..<1, anew each time.
    ///
    /// - Parameters:
    ///   - retryAfter: The shortest wait that the server asks for.
    ///   - spread: The time of which a random part is added.
    ///   - most: The longest wait without the server's part, where it is below the policy's cap.
    ///   - random: Returns 0..<1, anew each time.
    mutating func next(
        retryAfter: Duration = .zero, spread: Duration = .zero, most: Duration? = nil, random: () -> Double
    ) -> Duration {
        // 2^40 times any base is over any cap, and the product stays within a Duration.
        let ceiling = min(policy.cap, most ?? policy.cap, policy.base * Double(1 << min(attempt, 40)))
        attempt += 1
        return retryAfter + spread * random() + ceiling * random()
    }
}
