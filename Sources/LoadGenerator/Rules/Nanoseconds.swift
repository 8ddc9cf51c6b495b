/// A time of 64 bits: a span, or an instant of the monotonic clock as the span since its start.
///
/// `Duration` has 128 bits, and each request would pay for a wide division to find its bucket in a histogram.
public struct Nanoseconds: Comparable, Hashable, Sendable {
    /// The number of nanoseconds.
    public var count: Int64

    /// Creates a time of `count` nanoseconds.
    public init(_ count: Int64) { self.count = count }

    /// Converts `duration`, which is at most 292 years.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        count = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    static func milliseconds(_ count: some BinaryInteger) -> Nanoseconds { Nanoseconds(Int64(count) * 1_000_000) }
    static func seconds(_ count: Double) -> Nanoseconds { Nanoseconds(Int64((count * 1e9).rounded())) }
    static let zero = Nanoseconds(0)
    /// Later than everything.
    static let never = Nanoseconds(.max)

    /// The time in seconds.
    public var seconds: Double { Double(count) / 1e9 }

    /// Whether `left` is shorter or earlier than `right`.
    @inline(__always)
    public static func < (left: Nanoseconds, right: Nanoseconds) -> Bool { left.count < right.count }
    @inline(__always)
    static func + (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds { Nanoseconds(left.count &+ right.count) }
    @inline(__always)
    static func - (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds { Nanoseconds(left.count &- right.count) }
    static func * (left: Nanoseconds, right: Double) -> Nanoseconds { Nanoseconds(Int64(Double(left.count) * right)) }
    static func / (left: Nanoseconds, right: Int64) -> Nanoseconds { Nanoseconds(left.count / right) }
}
