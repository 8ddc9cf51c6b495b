import Framing

/// A document that Prometheus reads, made family by family; each name begins with that of this project.
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

extension ServerStatistics {
    /// The document that Prometheus reads (its text-based format, version 0.0.4).
    ///
    /// - Parameters:
    ///   - living: What each living connection shows now.
    ///   - pool: How many processes wait, and how many connections such processes got; nil without a pool.
    ///   - refused: How many clients were refused, by reason.
    ///   - uptime: How long the server has run.
    ///   - version: The server's version.
    func metrics(
        living: some Collection<ConnectionStatistics>, pool: (waiting: Int, served: UInt64)? = nil,
        refused: [Admission.Reason: UInt64], uptime: Duration, version: String
    ) -> String {
        var text = PrometheusText()
        let traffic = traffic(with: living)
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
        text.counter("requests_total", "Requests that got their ending.", traffic.requests)
        text.gauge("requests_in_flight", "Requests that have no ending yet.", "\(traffic.inFlight)")
        text.counter("received_bytes_total", "Bytes that came from clients.", traffic.bytesIn)
        text.counter("sent_bytes_total", "Bytes that were sent to clients.", traffic.bytesOut)
        text.histogram("round_trip_seconds", "Round trips that clients proved with PONG.", traffic.roundTrips)
        text.histogram(
            "silent_drop_lateness_seconds", "How long after dead_after a silent client was dropped.", lateness)
        return text.text
    }
}
