// The counters of several processes as those of one.
extension LoadCounters {
    /// Adds the counters of another process, but for its seconds.
    mutating func merge(_ other: LoadCounters) {
        latencies.merge(other.latencies)
        handshakes.merge(other.handshakes)
        returns.merge(other.returns)
        lateness.merge(other.lateness)
        latenessOfServer.merge(other.latenessOfServer)
        early += other.early
        answered += other.answered
        for (end, count) in other.requestEnds { requestEnds[end, default: 0] += count }
        for (end, count) in other.connectionEnds { connectionEnds[end, default: 0] += count }
        pongs += other.pongs
        pings += other.pings
        isConnected += other.isConnected
        everConnected += other.everConnected
        cutByReset += other.cutByReset
        cutByClose += other.cutByClose
        measuredFrom = min(measuredFrom, other.measuredFrom)
        // `never` is of one that has not measured.
        measuredUntil = measuredUntil == .never ? other.measuredUntil : max(measuredUntil, other.measuredUntil)
    }
}

extension LoadInterval {
    /// Adds the same time of another process.
    mutating func merge(_ other: LoadInterval) {
        answered += other.answered
        connected += other.connected
        failed += other.failed
        latencies.merge(other.latencies)
    }
}

extension LoadRecordWriter {
    mutating func add(_ interval: LoadInterval) {
        add(interval.answered)
        add(interval.connected)
        add(interval.failed)
        add(interval.latencies)
    }

    /// Adds all but what belongs to the present second, and the seconds.
    mutating func add(_ counters: LoadCounters) {
        for histogram in [
            counters.latencies, counters.handshakes, counters.returns, counters.lateness, counters.latenessOfServer,
        ] { add(histogram) }
        for number in [
            counters.early, counters.answered, counters.pongs, counters.pings, counters.everConnected,
            counters.cutByReset, counters.cutByClose,
        ] { add(number) }
        add(counters.isConnected)
        add(counters.measuredFrom)
        add(counters.measuredUntil)
        add(counters.requestEnds.count)
        for (end, count) in counters.requestEnds {
            add(end)
            add(count)
        }
        add(counters.connectionEnds.count)
        for (end, count) in counters.connectionEnds {
            add(end)
            add(count)
        }
    }
}

extension LoadRecordReader {
    mutating func interval() -> LoadInterval {
        LoadInterval(answered: number(), connected: integer(), failed: number(), latencies: histogram())
    }

    mutating func counters() -> LoadCounters {
        var counters = LoadCounters()
        counters.latencies = histogram()
        counters.handshakes = histogram()
        counters.returns = histogram()
        counters.lateness = histogram()
        counters.latenessOfServer = histogram()
        counters.early = number()
        counters.answered = number()
        counters.pongs = number()
        counters.pings = number()
        counters.everConnected = number()
        counters.cutByReset = number()
        counters.cutByClose = number()
        counters.isConnected = integer()
        counters.measuredFrom = time()
        counters.measuredUntil = time()
        for _ in 0..<integer() {
            let end = requestEnd()
            counters.requestEnds[end] = number()
        }
        for _ in 0..<integer() {
            let end = connectionEnd()
            counters.connectionEnds[end] = number()
        }
        return counters
    }
}
