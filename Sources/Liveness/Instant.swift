/// A point on a monotonic clock; always an argument of the rules in this module, which never read a clock.
public struct Instant: Comparable, Hashable, Sendable {
    /// The time since the clock's own beginning.
    public let sinceStart: Duration

    public init(sinceStart: Duration) { self.sinceStart = sinceStart }

    public static func < (left: Instant, right: Instant) -> Bool { left.sinceStart < right.sinceStart }
    public static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(sinceStart: instant.sinceStart + duration)
    }
    public static func - (later: Instant, earlier: Instant) -> Duration { later.sinceStart - earlier.sinceStart }
}

/// The earlier of two deadlines of which either may not be set.
public func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one else { return other }
    guard let other else { return one }
    return min(one, other)
}
