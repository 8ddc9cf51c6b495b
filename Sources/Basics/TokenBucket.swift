/// A token bucket: it holds up to `capacity` tokens, begins full, and gains one token each `refill`.
///
/// The bucket is kept as the instant at which it will be full again. So it needs no clock and no counter.
public struct TokenBucket: Sendable {
    @usableFromInline let refill: Duration
    /// The time in which an empty bucket fills.
    @usableFromInline let window: Duration
    @usableFromInline var fullAt = Instant(sinceStart: .zero)

    /// A full bucket. `capacity` is at least 1, and the time in which the bucket fills fits a Duration.
    @inlinable public init(capacity: Int, refill: Duration) {
        self.refill = refill
        // `*` of Duration first makes its factor of any integer, which costs 900 instructions.
        window = Duration(attoseconds: refill.attoseconds &* Int128(capacity))
    }

    /// A full bucket of `perSecond` tokens, at least 1, that an empty one gains in each second.
    @inlinable public init(perSecond: Int) {
        window = .seconds(1)
        refill = window / perSecond
    }

    /// Takes one token out; false where none is left.
    @inlinable public mutating func spend(at now: Instant) -> Bool {
        guard nextToken(at: now) <= now else { return false }
        fullAt = max(fullAt, now) + refill
        return true
    }

    /// When a token can be taken: `now` where one is there.
    @inlinable public func nextToken(at now: Instant) -> Instant {
        max(now, fullAt + Duration(attoseconds: refill.attoseconds - window.attoseconds))
    }
}
