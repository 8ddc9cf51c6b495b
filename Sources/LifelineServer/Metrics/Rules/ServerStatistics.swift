import Framing

/// What a server has counted since it began: what the parent does, and what of each child is counted once it is reaped.
struct ServerStatistics {
    /// What is added up over connections.
    struct Work {
        var requests: UInt64 = 0
        var inFlight: UInt64 = 0
        var bytesIn: UInt64 = 0
        var bytesOut: UInt64 = 0
        var roundTrips = Histogram()

        mutating func add(_ figures: ConnectionStatistics) {
            requests.add(figures.requests)
            inFlight.add(UInt64(figures.inFlight))
            bytesIn.add(figures.bytesIn)
            bytesOut.add(figures.bytesOut)
            if let others = figures.roundTrips { roundTrips += others }
        }
    }

    private(set) var accepted: UInt64 = 0
    private(set) var closed: [CloseReasonLabel: UInt64] = [:]
    private(set) var forksFailed: [String: UInt64] = [:]
    private(set) var acceptsFailed: [String: UInt64] = [:]
    private var work = Work()
    private var lateness = Histogram()

    /// A connection was given a process.
    mutating func accept() { accepted += 1 }
    /// fork(2) failed, for a reason such as EAGAIN.
    mutating func forkFailed(_ reason: String) { forksFailed[reason, default: 0] += 1 }
    /// accept(2) failed.
    mutating func acceptFailed(_ reason: String) { acceptsFailed[reason, default: 0] += 1 }

    /// A child was reaped: what it showed last is counted now, and never again.
    mutating func reap(_ figures: ConnectionStatistics) {
        let cause = figures.cause ?? .died
        closed[cause, default: 0] += 1
        work.add(figures)
        work.inFlight = 0
        if cause.reason == Code.silent.description, let lateness = figures.lateness { self.lateness.add(lateness) }
    }

    /// All that was ever done, with what the living show now.
    func work(with living: some Sequence<ConnectionStatistics>) -> Work {
        var sum = work
        for figures in living { sum.add(figures) }
        return sum
    }

    /// The text that Prometheus reads (its text-based format, version 0.0.4).
    func metrics(
        living: some Collection<ConnectionStatistics>, pool: (waiting: Int, served: UInt64)? = nil,
        refused: [Admission.Reason: UInt64], uptime: Duration, version: String
    ) -> String {
        var text = PrometheusText()
        let work = work(with: living)
        text.family("info", .gauge, "The server that says this.", [([("version", version)], 1)])
        text.gauge("uptime_seconds", "How long the server has run.", Escaping.seconds(uptime))
        text.gauge("connections_live", "Connections that have a process now.", "\(living.count)")
        text.counter("connections_accepted_total", "Connections that were given a process.", accepted)
        text.family(
            "connections_refused_total", .counter,
            "Connections that were refused without a process, by code and limit.",
            refused.sorted { $0.key.rawValue < $1.key.rawValue }.map { reason, count in
                ([("reason", reason.code.description), ("limit", reason.rawValue)], count)
            })
        text.family(
            "connections_closed_total", .counter,
            "Connections of which the process has ended, by the code of CLOSE (LOST: without CLOSE, DIED: the process "
                + "ended before its connection), and the side that said it.",
            closed.sorted { $0.key < $1.key }.map { ([("reason", $0.key.reason), ("by", $0.key.by)], $0.value) })
        if let pool {
            text.gauge("pool_waiting", "Processes that wait for a connection.", "\(pool.waiting)")
            text.counter("pool_served_total", "Connections that were given to a process that waited.", pool.served)
        }
        text.family(
            "forks_failed_total", .counter, "Processes that could not be made, by errno.",
            forksFailed.sorted { $0.key < $1.key }.map { ([("errno", $0.key)], $0.value) })
        text.family(
            "accepts_failed_total", .counter, "Connections that could not be accepted, by errno.",
            acceptsFailed.sorted { $0.key < $1.key }.map { ([("errno", $0.key)], $0.value) })
        text.counter("requests_total", "Requests that got their ending.", work.requests)
        text.gauge("requests_in_flight", "Requests that have no ending yet.", "\(work.inFlight)")
        text.counter("received_bytes_total", "Bytes that came from clients.", work.bytesIn)
        text.counter("sent_bytes_total", "Bytes that were sent to clients.", work.bytesOut)
        text.histogram("round_trip_seconds", "Round trips that clients proved with PONG.", work.roundTrips)
        text.histogram(
            "silent_drop_lateness_seconds", "How long after dead_after a silent client was dropped.", lateness)
        return text.text
    }
}

/// Metrics as Prometheus reads them, each under the name of this project.
struct PrometheusText {
    enum Kind: String { case counter, gauge, histogram }

    private(set) var text = ""

    private mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP lifeline_\(name) \(help)\n# TYPE lifeline_\(name) \(kind.rawValue)\n"
    }

    private mutating func sample(_ name: String, _ labels: [(key: String, value: String)], _ value: String) {
        let labels = labels.map { "\($0.key)=\"\(Escaping.plain($0.value))\"" }.joined(separator: ",")
        text += "lifeline_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)\n"
    }

    mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        family(name, .counter, help, [([], value)])
    }

    mutating func gauge(_ name: String, _ help: String, _ value: String) {
        begin(name, .gauge, help)
        sample(name, [], value)
    }

    mutating func family(
        _ name: String, _ kind: Kind, _ help: String, _ samples: [(labels: [(String, String)], value: UInt64)]
    ) {
        begin(name, kind, help)
        for (labels, value) in samples { sample(name, labels, "\(value)") }
    }

    mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        begin(name, .histogram, help)
        var sum: UInt64 = 0
        for (bound, count) in zip(Histogram.bounds.map(\.text) + ["+Inf"], histogram.counts) {
            sum.add(count)
            sample("\(name)_bucket", [("le", bound)], "\(sum)")
        }
        sample("\(name)_sum", [], Escaping.seconds(histogram.sum, decimals: 9))
        sample("\(name)_count", [], "\(sum)")
    }
}
