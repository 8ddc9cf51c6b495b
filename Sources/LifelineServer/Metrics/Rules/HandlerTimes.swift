/// How long the handler took for each request of one connection, from the hand-over to the ending: counts of the buckets
/// of `Histogram.Scale.handlerTimes`.
struct HandlerTimes {
    static let buckets = 19
    private static let shortest = Duration.microseconds(100)

    /// How many requests are in each bucket.
    private(set) var counts = InlineArray<19, UInt32>(repeating: 0)
    private(set) var sum = Duration.zero
    /// The buckets that have changed since `publish`: empty where the first is above the last.
    private var first = HandlerTimes.buckets
    private var last = -1

    /// Counts a request.
    @inline(__always) mutating func add(_ time: Duration) {
        // Most handlers that answer at once are in the first bucket.
        let bucket = time <= HandlerTimes.shortest ? 0 : Histogram.Scale.handlerTimes.bucket(of: time)
        counts[bucket] &+= 1
        sum += time
        first = min(first, bucket)
        last = max(last, bucket)
    }

    @inline(__always) var hasChanged: Bool { first <= last }

    /// Calls `body` with each bucket that may have changed since the last call.
    mutating func publish(_ body: (_ bucket: Int, _ count: UInt32) -> Void) {
        for bucket in first...last { body(bucket, counts[bucket]) }
        (first, last) = (HandlerTimes.buckets, -1)
    }
}
