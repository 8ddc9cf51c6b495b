import Liveness

/// So many in a second, and after a pause as many at once as a second has: a bucket of tokens, kept as the instant at
/// which it will be full again.
struct Rate {
    private static let window = Duration.seconds(1)

    private let interval: Duration
    private var fullAt: Instant?

    /// `perSecond` is at least 1.
    init(perSecond: Int) { interval = Rate.window / perSecond }

    /// Takes a token; where there is none, how long it is until there will be one.
    mutating func take(at now: Instant) -> Duration? {
        let from = max(fullAt ?? now, now)
        let wait = from + interval - now - Rate.window
        guard wait <= .zero else { return wait }
        fullAt = from + interval
        return nil
    }
}
