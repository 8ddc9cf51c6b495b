/// A point on a monotonic clock. Rules get it as an argument; they never read a clock.
public struct Instant: Comparable, Hashable, BitwiseCopyable, Sendable {
    /// The time since the clock's start, which has no meaning of its own.
    public let sinceStart: Duration

    /// The instant `sinceStart` after the clock's start.
    @inlinable public init(sinceStart: Duration) { self.sinceStart = sinceStart }

    // The operators of Duration are calls of the standard library; those of its attoseconds are two instructions each.

    /// Whether the left instant is before the right one.
    @inlinable public static func < (left: Instant, right: Instant) -> Bool {
        left.sinceStart.attoseconds < right.sinceStart.attoseconds
    }
    /// The instant that is `duration` later.
    @inlinable public static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(sinceStart: Duration(attoseconds: instant.sinceStart.attoseconds + duration.attoseconds))
    }
    /// The time from the right instant to the left one.
    @inlinable public static func - (later: Instant, earlier: Instant) -> Duration {
        Duration(attoseconds: later.sinceStart.attoseconds - earlier.sinceStart.attoseconds)
    }

    /// The nanoseconds from here to `deadline`, rounded up: at least 0, and at most `most`, which is below 4,000 seconds.
    @inlinable public func nanoseconds(until deadline: Instant, most: Int64) -> Int64 {
        let left = deadline.sinceStart.attoseconds - sinceStart.attoseconds
        guard left > 0 else { return 0 }
        guard left < Int128(most) * 1_000_000_000 else { return most }
        // A nanosecond is 5^9 times 2^9 attoseconds. Divided by 2^9, what is left fits into 64 bits.
        let part: Int64 = 1_953_125
        return (Int64(truncatingIfNeeded: (left + 511) >> 9) + part - 1) / part
    }
}

/// The earlier of two deadlines; nil is no deadline.
@inlinable public func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one else { return other }
    guard let other else { return one }
    return min(one, other)
}
