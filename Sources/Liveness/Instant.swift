/// A point on a monotonic clock; always an argument of the rules in this module, which never read a clock.
public struct Instant: Comparable, Hashable, BitwiseCopyable, Sendable {
    /// The time since the clock's own beginning.
    public let sinceStart: Duration

    /// An instant of a clock, by the time since its beginning.
    public init(sinceStart: Duration) { self.sinceStart = sinceStart }

    /// Whether one is before the other.
    public static func < (left: Instant, right: Instant) -> Bool { left.sinceStart < right.sinceStart }
    /// The instant that is `duration` later.
    public static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(sinceStart: instant.sinceStart + duration)
    }
    /// The time from the right instant to the left one.
    public static func - (later: Instant, earlier: Instant) -> Duration { later.sinceStart - earlier.sinceStart }
}

/// The earlier of two deadlines of which either may not be set.
public func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one else { return other }
    guard let other else { return one }
    return min(one, other)
}
