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
}

/// The earlier of two deadlines; nil is no deadline.
@inlinable public func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one else { return other }
    guard let other else { return one }
    return min(one, other)
}
