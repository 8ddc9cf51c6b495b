/// The counters of a run.
struct LoadCounters: Sendable {
    /// The time from a request's due instant to its whole answer.
    var latencies = LatencyHistogram()
    /// The latencies since the last `nextInterval`.
    var interval = LatencyHistogram()
    /// The time from connect(2) to the first WELCOME of each connection.
    var handshakes = LatencyHistogram()
    /// The same time of connections that were opened again.
    var returns = LatencyHistogram()
    /// `--silent`: from dead_after after the last byte until CLOSE(SILENT).
    var lateness = LatencyHistogram()
    /// The same from the last proof of a round trip, where that is later: the server's own share of the lateness.
    var latenessOfServer = LatencyHistogram()
    /// `--silent`: connections that the server dropped before dead_after.
    var early: UInt64 = 0

    /// Answers within the measured time, whenever the requests were due.
    var answered: UInt64 = 0
    /// Answers since the last `nextInterval`, measured or not.
    var recent: UInt64 = 0
    var requestEnds: [LoadRequestEnd: UInt64] = [:]
    var connectionEnds: [LoadConnectionEnd: UInt64] = [:]
    /// Round trips proved by a PONG, and PINGs of the server that were answered.
    var pongs: UInt64 = 0
    var pings: UInt64 = 0

    var isConnected = 0
    var everConnected: UInt64 = 0
    /// Connections that --churn cut, with a reset and without.
    var cutByReset: UInt64 = 0
    var cutByClose: UInt64 = 0

    /// The measured time: requests that are due within it count. Both are `never` before the measurement.
    var measuredFrom = Nanoseconds.never
    var measuredUntil = Nanoseconds.never

    /// A summary of each second.
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
    mutating func requestAnswered(due: Nanoseconds, at now: Nanoseconds) {
        recent += 1
        interval.add(now - due)
        guard measuredFrom <= now else { return }
        if now < measuredUntil { answered += 1 }
        if measuredFrom <= due, due < measuredUntil { latencies.add(now - due) }
    }

    mutating func requestEnded(_ end: LoadRequestEnd, count: Int = 1) {
        if count > 0 { requestEnds[end, default: 0] += UInt64(count) }
    }

    mutating func connectionEnded(_ ending: LoadConnectionEnd) { connectionEnds[ending, default: 0] += 1 }

    /// Requests that failed, those that this side cut left out.
    var failed: UInt64 { requestEnds.reduce(0) { $0 + ($1.key.isFailure ? $1.value : 0) } }

    /// Ends a second and returns what happened in it.
    mutating func nextInterval() -> LoadInterval {
        let before = seconds.reduce(0) { $0 + $1.failed }
        let ended = LoadInterval(
            answered: recent, connected: isConnected, failed: failed - before, latencies: interval)
        recent = 0
        interval = LatencyHistogram()
        return ended
    }
}

/// What happened in a second.
struct LoadInterval: Sendable {
    var answered: UInt64 = 0
    var connected = 0
    var failed: UInt64 = 0
    var latencies = LatencyHistogram()
}

extension LoadCounters.Second {
    init(_ interval: LoadInterval) {
        self.init(
            answered: interval.answered, connected: interval.connected, median: interval.latencies.quantile(0.5),
            p99: interval.latencies.quantile(0.99), most: interval.latencies.most, failed: interval.failed)
    }
}
