/// A histogram of times with logarithmic buckets. The width of a bucket is at most 1/128 of its times, so a quantile is
/// off by at most 0.4 %. Adding a time increments one element of an array.
public struct LatencyHistogram: Sendable {
    /// The binary logarithm of the number of buckets for each power of two.
    private static let bits = 7

    private var counts = [UInt64](repeating: 0, count: (64 - bits) << bits)
    /// The number of times.
    public private(set) var count: UInt64 = 0
    /// The sum of all times in nanoseconds.
    private(set) var sum = 0.0
    /// The shortest time, exact.
    public private(set) var least = Nanoseconds.never
    /// The longest time, exact.
    public private(set) var most = Nanoseconds.zero

    @inline(__always)
    private static func bucket(of time: UInt64) -> Int {
        let shift = 63 - (time | 1 << UInt64(bits)).leadingZeroBitCount - bits
        return shift << bits + Int(time >> UInt64(shift))
    }

    /// The times that `bucket` counts.
    static func range(of bucket: Int) -> ClosedRange<Int64> {
        let shift = max(0, bucket >> bits - 1)
        let start = Int64(bucket - shift << bits) << Int64(shift)
        return start...(start + (1 << Int64(shift) - 1))
    }

    /// Adds `time`; a negative time counts as zero.
    @inline(__always)
    mutating func add(_ time: Nanoseconds) {
        let time = max(time, .zero)
        counts[LatencyHistogram.bucket(of: UInt64(time.count))] += 1
        count += 1
        sum += Double(time.count)
        if time < least { least = time }
        if time > most { most = time }
    }

    /// The buckets that are not empty.
    var used: [(bucket: Int, count: UInt64)] {
        guard count > 0 else { return [] }
        return counts.enumerated().filter { $0.element > 0 }.map { ($0.offset, $0.element) }
    }

    /// A histogram without times.
    init() {}

    /// A histogram of what another one had, bucket by bucket.
    init(_ used: [(bucket: Int, count: UInt64)], sum: Double, least: Nanoseconds, most: Nanoseconds) {
        for (bucket, here) in used {
            counts[bucket] = here
            count += here
        }
        (self.sum, self.least, self.most) = (sum, least, most)
    }

    /// Adds all times of `other`.
    mutating func merge(_ other: LatencyHistogram) {
        for (bucket, here) in other.used { counts[bucket] += here }
        count += other.count
        sum += other.sum
        least = min(least, other.least)
        most = max(most, other.most)
    }

    /// The arithmetic mean; zero where the histogram is empty.
    var mean: Nanoseconds { count == 0 ? .zero : Nanoseconds(Int64(sum / Double(count))) }

    /// The time that `share` (0...1) of all times do not exceed; zero where the histogram is empty.
    func quantile(_ share: Double) -> Nanoseconds {
        guard count > 0 else { return .zero }
        let wanted = max(1, UInt64((share * Double(count)).rounded(.up)))
        if wanted >= count { return most }
        var seen: UInt64 = 0
        for (bucket, here) in counts.enumerated() where here > 0 {
            seen += here
            guard seen >= wanted else { continue }
            let range = LatencyHistogram.range(of: bucket)
            let middle = Nanoseconds(range.lowerBound + (range.upperBound - range.lowerBound) / 2)
            return min(max(middle, least), most)
        }
        return most
    }

    /// The number of times in each of the ranges that begin at `bounds`. The last range is unbounded.
    func counts(from bounds: [Nanoseconds]) -> [UInt64] {
        var result = [UInt64](repeating: 0, count: bounds.count)
        var row = 0
        for (bucket, here) in counts.enumerated() where here > 0 {
            let start = LatencyHistogram.range(of: bucket).lowerBound
            while row + 1 < bounds.count, bounds[row + 1].count <= start { row += 1 }
            result[row] += here
        }
        return result
    }
}
