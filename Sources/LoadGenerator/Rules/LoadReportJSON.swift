import Basics

extension LoadReport {
    /// The report as one JSON object, with times in seconds.
    public var json: String {
        func number(_ value: Double) -> String { NumberFormat.fixed(value, 9) }
        func string(_ text: String) -> String { text.quotedAsJSON }
        func object(_ members: [(String, String)]) -> String {
            "{" + members.map { "\(string($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
        }
        func times(_ histogram: LatencyHistogram) -> String {
            object(
                [("count", "\(histogram.count)"), ("mean", number(histogram.mean.seconds))]
                    + [("min", number(histogram.count == 0 ? 0 : histogram.least.seconds))]
                    + LoadReport.shares.map { ($0.name, number(histogram.quantile($0.share).seconds)) })
        }
        let settings: [(String, String)] = [
            ("mode", string(options.isShort ? "short" : "long")), ("connections", "\(options.connections)"),
            ("size", "\(options.size)"), ("in_flight", "\(options.isSilent ? 0 : options.inFlight)"),
            ("rate", options.rate.map(number) ?? "null"), ("churn", number(options.churn)),
            ("silent", "\(options.isSilent)"), ("sources", "\(sources)"),
        ]
        let members: [(String, String)] = [
            ("target", string(target)), ("settings", object(settings)), ("interrupted", "\(isInterrupted)"),
            ("connected", "\(counters.handshakes.count)"), ("connect_seconds", number(connectTime.seconds)),
            ("handshake", times(counters.handshakes)), ("measured_seconds", number(measured.seconds)),
            ("answered", "\(answered)"), ("requests_per_second", number(perSecond)),
            ("never_sent", "\(leftOver)"), ("latency", times(counters.latencies)), ("failed", "\(counters.failed)"),
            ("requests_by_outcome", object(counters.outcomes.map { ($0.name, "\($0.count)") })),
            ("connections_by_ending", object(endings.map { ($0.name, "\($0.count)") })),
            ("cut_by_reset", "\(counters.cutByReset)"), ("cut_by_close", "\(counters.cutByClose)"),
            ("returned", times(counters.returns)), ("drop_lateness", times(counters.lateness)),
            ("dropped_early", "\(counters.early)"), ("pongs", "\(counters.pongs)"),
            ("pings_answered", "\(counters.pings)"),
            (
                "seconds",
                "["
                    + counters.seconds.map { second in
                        object([
                            ("answered", "\(second.answered)"), ("connected", "\(second.connected)"),
                            ("p50", number(second.median.seconds)), ("p99", number(second.p99.seconds)),
                            ("max", number(second.most.seconds)), ("failed", "\(second.failed)"),
                        ])
                    }.joined(separator: ", ") + "]"
            ),
            ("generator_cores", number(cores)), ("generator_processes", "\(cost.processes)"),
            ("generator_busiest", number(cost.busiest)), ("generator_waited", number(cost.waited)),
            ("generator_had_time", "\(cost.hadTimeLeft)"),
        ]
        return object(members)
    }
}
