/// How many durations fell between the bounds, and how much they were together.
struct Histogram: Equatable {
    /// Where the buckets end.
    enum Scale {
        /// Of the network.
        case roundTrips
        /// Of the work on a request.
        case handlerTimes

        private static let ofRoundTrips: [(duration: Duration, text: String)] = [
            (.microseconds(500), "0.0005"), (.milliseconds(1), "0.001"), (.microseconds(2500), "0.0025"),
            (.milliseconds(5), "0.005"), (.milliseconds(10), "0.01"), (.milliseconds(25), "0.025"),
            (.milliseconds(50), "0.05"), (.milliseconds(100), "0.1"), (.milliseconds(250), "0.25"),
            (.milliseconds(500), "0.5"), (.seconds(1), "1"), (.milliseconds(2500), "2.5"), (.seconds(5), "5"),
            (.seconds(10), "10"), (.seconds(30), "30"),
        ]
        private static let ofHandlerTimes: [(duration: Duration, text: String)] =
            [(.microseconds(100), "0.0001"), (.microseconds(250), "0.00025")] + ofRoundTrips + [(.seconds(60), "60")]

        /// Each bucket ends with its bound, which belongs to it; the last bucket has none.
        var bounds: [(duration: Duration, text: String)] {
            switch self {
            case .roundTrips: Scale.ofRoundTrips
            case .handlerTimes: Scale.ofHandlerTimes
            }
        }

        func bucket(of duration: Duration) -> Int {
            let bounds = bounds
            return bounds.firstIndex { duration <= $0.duration } ?? bounds.count
        }
    }

    let scale: Scale
    private(set) var counts: [UInt64]
    private(set) var sum: Duration

    init(_ scale: Scale = .roundTrips) { self.init(scale, counts: [], sum: .zero) }

    /// With these counts of the buckets, in their order; what is missing is 0.
    init(_ scale: Scale, counts: [UInt32], sum: Duration) {
        self.scale = scale
        let buckets = scale.bounds.count + 1
        self.counts = counts.prefix(buckets).map { UInt64($0) }
        self.counts += [UInt64](repeating: 0, count: buckets - self.counts.count)
        self.sum = sum
    }

    mutating func add(_ duration: Duration) {
        counts[scale.bucket(of: duration)] += 1
        sum += duration
    }

    /// Adds the times of a connection.
    static func += (left: inout Histogram, right: HandlerTimes) {
        // Most buckets are empty, and each connection that ends pays for those that are not.
        for bucket in right.counts.indices where right.counts[bucket] > 0 {
            left.counts[bucket].add(UInt64(right.counts[bucket]))
        }
        left.sum += right.sum
    }

    static func += (left: inout Histogram, right: Histogram) {
        for bucket in left.counts.indices { left.counts[bucket].add(right.counts[bucket]) }
        left.sum += right.sum
    }
}
