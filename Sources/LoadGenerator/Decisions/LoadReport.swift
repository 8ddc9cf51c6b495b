/// How a run goes, a second at a time.
public struct Progress: Sendable {
    let stage: String
    let elapsed: Nanoseconds
    let second: Tally.Second
    let failed: UInt64

    /// A line for a person.
    public var line: String {
        "\(Words.right(Words.fixed(elapsed.seconds, 0), 4)) s  \(stage)  \(Words.grouped(second.connected)) connected  "
            + "\(Words.grouped(second.answered))/s  p50 \(Words.time(second.median))  p99 \(Words.time(second.p99))  "
            + "max \(Words.time(second.most))  failed \(Words.grouped(failed))"
    }
}

/// What came of a run.
public struct LoadReport: Sendable {
    /// What is to be made of it.
    public enum Verdict: Sendable {
        /// Every request was answered, or taken back by an orderly end.
        case fine
        /// Some requests failed or were lost, or connections broke.
        case failures
        /// The server took nobody.
        case busy
    }

    let options: LoadOptions
    let target: String
    let tally: Tally
    let connectTime: Nanoseconds
    let processorTime: Nanoseconds
    /// Requests that were due and never sent.
    let leftOver: UInt64
    /// The server's max_in_flight, where it is less than what was wanted.
    let serversWindow: UInt32?
    /// Whether somebody stopped it.
    public let isInterrupted: Bool
    let sources: Int

    static let shares: [(name: String, share: Double)] = [
        ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1),
    ]

    /// How long was measured.
    var measured: Nanoseconds { max(Nanoseconds(1), tally.measuredUntil - tally.measuredFrom) }
    var perSecond: Double { Double(tally.answered) / measured.seconds }
    /// Of one core.
    var processorShare: Double { processorTime.seconds / measured.seconds }

    /// What is to be made of it.
    public var verdict: Verdict {
        if tally.everConnected == 0 { return .busy }
        if tally.early > 0 || tally.failed > 0 { return .failures }
        let broken = tally.endings.contains { !$0.key.isOrderly && !isExpected($0.key) }
        return broken ? .failures : .fine
    }

    private func isExpected(_ ending: Ending) -> Bool {
        if case .closed(.silent) = ending { return options.isSilent }
        return false
    }

    private var beats: Bool { options.inFlight == 0 || options.isSilent }

    /// The report for a person.
    public var text: String {
        var lines = [heading]
        func row(_ name: String, _ text: String) { lines.append(Words.left(name, 13) + text) }
        if !options.isShort {
            row(
                "connected",
                "\(Words.grouped(tally.handshakes.count)) of \(Words.grouped(options.connections)) in "
                    + "\(Words.time(connectTime)); connect and handshake \(quantiles(tally.handshakes))")
        }
        if !beats {
            row(
                "requests",
                "\(Words.grouped(tally.answered)) answered in \(Words.fixed(measured.seconds, 2)) s: "
                    + "\(Words.grouped(Int(perSecond))) a second, "
                    + "\(Words.fixed(perSecond * Double(options.size) / 1e6, 2)) MB/s each way")
            if leftOver > 0 {
                row("", "\(Words.grouped(leftOver)) more were due and never sent: the server was too slow for the rate")
            }
        }
        if let serversWindow { row("", "the server allows \(serversWindow) requests in flight on a connection") }
        if tally.latencies.count > 0 {
            let due = options.rate == nil ? "" : ", from when a request was due"
            lines.append("")
            lines.append("latency\(due): mean \(Words.time(tally.latencies.mean))")
            for (name, share) in LoadReport.shares {
                lines.append("  \(Words.left(name, 7)) \(Words.right(Words.time(tally.latencies.quantile(share)), 9))")
            }
            lines.append("")
            lines += tally.latencies.chart()
            lines.append("")
        }
        if let slowest = tally.seconds.filter({ $0.answered > 0 }).min(by: { $0.answered < $1.answered }), !beats {
            row("worst second", "\(Words.grouped(slowest.answered)) answered, p99 \(Words.time(slowest.p99))")
        }
        if options.isSilent { row("drops", drops) }
        if options.churn > 0 {
            row(
                "churn",
                "\(Words.grouped(tally.cutByReset)) reset and \(Words.grouped(tally.cutByClose)) closed; "
                    + "\(Words.grouped(tally.returns.count)) came back: \(quantiles(tally.returns))")
        }
        if !options.isShort { row("heartbeats", "\(tally.pongs) proved by PONG, \(tally.pings) of the server answered") }
        for (name, count) in tally.outcomes { row("request", "\(Words.grouped(count)) \(name)") }
        for (name, count, _) in endings { row("connection", "\(Words.grouped(count)) \(name)") }
        if tally.failed == 0, !beats { row("errors", "none") }
        row("generator", "took \(Words.fixed(processorShare * 100, 0)) % of a core")
        if processorShare > 0.95 {
            row("", "it had no time left: these figures may be its own, not the server's")
        }
        return lines.joined(separator: "\n")
    }

    private var heading: String {
        let load =
            options.isSilent
            ? "silent" : options.inFlight == 0 ? "only heartbeats" : "\(options.size) bytes, \(options.inFlight) in flight"
        let loop = options.rate.map { "\(Words.grouped(Int($0))) requests a second" }
        return "\(target), \(options.isShort ? "short" : "long"), \(Words.grouped(options.connections)) connections, "
            + "\(load)\(loop.map { ", " + $0 } ?? "")\(isInterrupted ? " (interrupted)" : "")"
    }

    private var drops: String {
        "\(Words.grouped(tally.lateness.count)) with SILENT, after dead_after by \(quantiles(tally.lateness)); "
            + "\(Words.grouped(tally.early)) early"
    }

    /// The ends of connections that tell something.
    private var endings: [(name: String, count: UInt64, isOrderly: Bool)] {
        tally.endings.filter { $0.key != .finished && $0.key != .cut && !(options.isShort && $0.key == .closed(.normal)) }
            .map { ($0.key.text, $0.value, $0.key.isOrderly) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }

    private func quantiles(_ times: Histogram) -> String {
        guard times.count > 0 else { return "none" }
        return "p50 \(Words.time(times.quantile(0.5))), p99 \(Words.time(times.quantile(0.99))), "
            + "max \(Words.time(times.most))"
    }

    // MARK: For programs

    /// The same as one JSON object; times are in seconds.
    public var json: String {
        func number(_ value: Double) -> String { Words.fixed(value, 9) }
        func string(_ text: String) -> String { JSONText.quoted(text) }
        func object(_ members: [(String, String)]) -> String {
            "{" + members.map { "\(string($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
        }
        func times(_ histogram: Histogram) -> String {
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
            ("connected", "\(tally.handshakes.count)"), ("connect_seconds", number(connectTime.seconds)),
            ("handshake", times(tally.handshakes)), ("measured_seconds", number(measured.seconds)),
            ("answered", "\(tally.answered)"), ("requests_per_second", number(perSecond)),
            ("never_sent", "\(leftOver)"), ("latency", times(tally.latencies)), ("failed", "\(tally.failed)"),
            ("requests_by_outcome", object(tally.outcomes.map { ($0.name, "\($0.count)") })),
            ("connections_by_ending", object(endings.map { ($0.name, "\($0.count)") })),
            ("cut_by_reset", "\(tally.cutByReset)"), ("cut_by_close", "\(tally.cutByClose)"),
            ("returned", times(tally.returns)), ("drop_lateness", times(tally.lateness)),
            ("dropped_early", "\(tally.early)"), ("pongs", "\(tally.pongs)"), ("pings_answered", "\(tally.pings)"),
            (
                "seconds",
                "["
                    + tally.seconds.map { second in
                        object([
                            ("answered", "\(second.answered)"), ("connected", "\(second.connected)"),
                            ("p50", number(second.median.seconds)), ("p99", number(second.p99.seconds)),
                            ("max", number(second.most.seconds)), ("failed", "\(second.failed)"),
                        ])
                    }.joined(separator: ", ") + "]"
            ),
            ("generator_cores", number(processorShare)),
        ]
        return object(members)
    }
}

extension Tally {
    /// The outcomes of requests that were not answered, the most first.
    var outcomes: [(name: String, count: UInt64)] {
        failings.map { ($0.key.text, $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }
}

enum JSONText {
    /// A string of JSON (RFC 8259, section 7).
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
