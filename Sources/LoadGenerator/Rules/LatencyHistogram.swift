/// Times, counted in buckets each of which is at most 1/128 of its times wide, whatever these are: what it says of them
/// is off by 0.4 % at most. To count one is to add one to an element of an array.
public struct LatencyHistogram: Sendable {
    /// Each power of two is cut into so many buckets, as a power of two itself.
    private static let bits = 7

    private var counts = [UInt64](repeating: 0, count: (64 - bits) << bits)
    /// How many were counted.
    public private(set) var count: UInt64 = 0
    private var sum = 0.0
    /// The shortest; exact.
    public private(set) var least = Nanoseconds.never
    /// The longest; exact.
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

    /// Counts `time`; one below zero is none.
    @inline(__always)
    mutating func add(_ time: Nanoseconds) {
        let time = max(time, .zero)
        counts[LatencyHistogram.bucket(of: UInt64(time.count))] += 1
        count += 1
        sum += Double(time.count)
        if time < least { least = time }
        if time > most { most = time }
    }

    /// Forgets all.
    mutating func removeAll() {
        guard count > 0 else { return }
        for bucket in LatencyHistogram.bucket(of: UInt64(least.count))...LatencyHistogram.bucket(of: UInt64(most.count))
        {
            counts[bucket] = 0
        }
        (count, sum, least, most) = (0, 0, .never, .zero)
    }

    /// The arithmetic mean; zero of none.
    var mean: Nanoseconds { count == 0 ? .zero : Nanoseconds(Int64(sum / Double(count))) }

    /// The time that `share` (0...1) of all times do not exceed; zero of none.
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

    /// How many times lie in each of the ranges that `bounds` begin, the last of which has no end.
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
