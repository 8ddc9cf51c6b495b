/// A point on a monotonic clock; always an argument of the rules in this module, which never read a clock.
public struct Instant: Comparable, Hashable, BitwiseCopyable, Sendable {
    /// The time since the clock's own beginning.
    public let sinceStart: Duration

    /// An instant of a clock, by the time since its beginning.
    @inlinable public init(sinceStart: Duration) { self.sinceStart = sinceStart }

    // The operators of Duration are calls of the standard library; those of its attoseconds are two instructions each.

    /// Whether one is before the other.
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
}

/// The earlier of two deadlines of which either may not be set.
@inlinable public func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one else { return other }
    guard let other else { return one }
    return min(one, other)
}
