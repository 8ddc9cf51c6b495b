/// All that a run counts.
struct LoadCounters: Sendable {
    /// From when a request was due until its answer was there.
    var latencies = LatencyHistogram()
    /// The same since the last `nextInterval`.
    var interval = LatencyHistogram()
    /// From connect(2) until WELCOME, for the first time and for those that came back.
    var handshakes = LatencyHistogram()
    var returns = LatencyHistogram()
    /// `--silent`: from dead_after after the last byte until CLOSE(SILENT).
    var lateness = LatencyHistogram()
    /// The same, counted from the last proof that the server was there, if that is later: what of it is the server's own.
    var latenessOfServer = LatencyHistogram()
    /// `--silent`: before that.
    var early: UInt64 = 0

    /// Answered while it was measured, whenever they were due.
    var answered: UInt64 = 0
    /// The same since the last `nextInterval`, measured or not.
    var recent: UInt64 = 0
    var failings: [Failing: UInt64] = [:]
    var endings: [LoadConnectionEnd: UInt64] = [:]
    /// Round trips proved by a PONG, and PINGs of the server that were answered.
    var pongs: UInt64 = 0
    var pings: UInt64 = 0

    var isConnected = 0
    var everConnected: UInt64 = 0
    /// Cut by --churn, with a reset and without.
    var cutByReset: UInt64 = 0
    var cutByClose: UInt64 = 0

    /// What is due before the one or from the other on is not measured; `never` and `never` where nothing is.
    var measuredFrom = Nanoseconds.never
    var measuredUntil = Nanoseconds.never

    /// What each second was like.
    var seconds: [Second] = []

    struct Second: Sendable {
        var answered: UInt64
        var connected: Int
        var median: Nanoseconds
        var p99: Nanoseconds
        var most: Nanoseconds
        var failed: UInt64
    }

    @inline(__always)
    mutating func answer(due: Nanoseconds, at now: Nanoseconds) {
        recent += 1
        interval.add(now - due)
        guard measuredFrom <= now else { return }
        if now < measuredUntil { answered += 1 }
        if measuredFrom <= due, due < measuredUntil { latencies.add(now - due) }
    }

    mutating func fail(_ failing: Failing, count: Int = 1) {
        if count > 0 { failings[failing, default: 0] += UInt64(count) }
    }

    mutating func end(_ ending: LoadConnectionEnd) { endings[ending, default: 0] += 1 }

    /// Requests that failed by no deed of ours.
    var failed: UInt64 { failings.reduce(0) { $0 + ($1.key.isFailure ? $1.value : 0) } }

    /// Begins a new second.
    mutating func nextInterval() -> Second {
        let before = seconds.reduce(0) { $0 + $1.failed }
        let second = Second(
            answered: recent, connected: isConnected, median: interval.quantile(0.5), p99: interval.quantile(0.99),
            most: interval.most, failed: failed - before)
        recent = 0
        interval.removeAll()
        return second
    }
}
