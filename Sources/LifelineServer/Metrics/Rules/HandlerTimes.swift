/// How long the handler took for each request of one connection, from the hand-over to the ending: counts of the buckets
/// of `Histogram.Scale.handlerTimes`.
struct HandlerTimes {
    static let buckets = 19
    private static let shortest = Int128(100_000_000_000_000)

    /// How many requests are in each bucket.
    private(set) var counts = InlineArray<19, UInt32>(repeating: 0)
    /// In attoseconds: the operators of `Duration` are calls.
    private var total: Int128 = 0
    /// The buckets that have changed since `publish`: empty where the first is above the last.
    private var first = HandlerTimes.buckets
    private var last = -1

    /// No request.
    init() {}

    /// What a slot shows.
    init(sum: Duration, counts: (Int) -> UInt32) {
        total = sum.attoseconds
        for bucket in 0..<HandlerTimes.buckets { self.counts[bucket] = counts(bucket) }
    }

    var sum: Duration { Duration(attoseconds: total) }

    /// Counts a request.
    @inline(__always) mutating func add(_ time: Duration) {
        let attoseconds = time.attoseconds
        // Most handlers that answer at once are in the first bucket.
        let bucket = attoseconds <= HandlerTimes.shortest ? 0 : Histogram.Scale.handlerTimes.bucket(of: time)
        counts[bucket] &+= 1
        total &+= attoseconds
        first = min(first, bucket)
        last = max(last, bucket)
    }

    @inline(__always) var hasChanged: Bool { first <= last }

    /// Calls `body` with each bucket that may have changed since the last call.
    @inline(__always) mutating func publish(_ body: (_ bucket: Int, _ count: UInt32) -> Void) {
        for bucket in first...last { body(bucket, counts[bucket]) }
        (first, last) = (HandlerTimes.buckets, -1)
    }
}
