/// How many durations fell between the bounds, and how much they were together.
struct Histogram: Equatable {
    /// Each bucket ends with its bound, which belongs to it; the last bucket has none.
    static let bounds: [(duration: Duration, text: String)] = [
        (.microseconds(500), "0.0005"), (.milliseconds(1), "0.001"), (.microseconds(2500), "0.0025"),
        (.milliseconds(5), "0.005"), (.milliseconds(10), "0.01"), (.milliseconds(25), "0.025"),
        (.milliseconds(50), "0.05"), (.milliseconds(100), "0.1"), (.milliseconds(250), "0.25"),
        (.milliseconds(500), "0.5"), (.seconds(1), "1"), (.milliseconds(2500), "2.5"), (.seconds(5), "5"),
        (.seconds(10), "10"), (.seconds(30), "30"),
    ]

    private(set) var counts: [UInt64]
    private(set) var sum: Duration

    init() { self.init(counts: [], sum: .zero) }

    /// With these counts of the buckets, in their order; what is missing is 0.
    init(counts: [UInt32], sum: Duration) {
        let buckets = Histogram.bounds.count + 1
        self.counts = counts.prefix(buckets).map { UInt64($0) }
        self.counts += [UInt64](repeating: 0, count: buckets - self.counts.count)
        self.sum = sum
    }

    static func bucket(of duration: Duration) -> Int {
        bounds.firstIndex { duration <= $0.duration } ?? bounds.count
    }

    mutating func add(_ duration: Duration) {
        counts[Histogram.bucket(of: duration)] += 1
        sum += duration
    }

    static func += (left: inout Histogram, right: Histogram) {
        for bucket in left.counts.indices { left.counts[bucket].add(right.counts[bucket]) }
        left.sum += right.sum
    }
}
