/// A time of 64 bits: a span, or an instant of the monotonic clock as the span since its start.
///
/// `Duration` has 128, and every request would pay for the division by which its bucket of a histogram is found.
public struct Nanoseconds: Comparable, Hashable, Sendable {
    /// How many.
    public var count: Int64

    /// So many.
    public init(_ count: Int64) { self.count = count }

    /// The same as a `Duration`, at most 292 years.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        count = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    static func milliseconds(_ count: some BinaryInteger) -> Nanoseconds { Nanoseconds(Int64(count) * 1_000_000) }
    static func seconds(_ count: Double) -> Nanoseconds { Nanoseconds(Int64((count * 1e9).rounded())) }
    static let zero = Nanoseconds(0)
    /// Later than everything.
    static let never = Nanoseconds(.max)

    /// In seconds.
    public var seconds: Double { Double(count) / 1e9 }

    /// Whether one is shorter, or earlier.
    @inline(__always)
    public static func < (left: Nanoseconds, right: Nanoseconds) -> Bool { left.count < right.count }
    @inline(__always)
    static func + (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds { Nanoseconds(left.count &+ right.count) }
    @inline(__always)
    static func - (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds { Nanoseconds(left.count &- right.count) }
    static func * (left: Nanoseconds, right: Double) -> Nanoseconds { Nanoseconds(Int64(Double(left.count) * right)) }
    static func / (left: Nanoseconds, right: Int64) -> Nanoseconds { Nanoseconds(left.count / right) }
}
