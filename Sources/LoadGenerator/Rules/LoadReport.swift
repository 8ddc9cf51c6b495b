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
    /// Of a number of requests that was asked for, those; else all that were answered while it was measured.
    var answered: UInt64 { options.requests == nil ? tally.answered : tally.latencies.count }
    var perSecond: Double { Double(answered) / measured.seconds }
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
                "\(Words.grouped(answered)) answered in \(Words.fixed(measured.seconds, 2)) s: "
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
        if tally.seconds.count > 1, !beats, let slowest = tally.seconds.min(by: { $0.answered < $1.answered }) {
            row("worst second", "\(Words.grouped(slowest.answered)) answered, p99 \(Words.time(slowest.p99))")
        }
        if options.isSilent { row("drops", drops) }
        if options.churn > 0 {
            row(
                "churn",
                "\(Words.grouped(tally.cutByReset)) reset and \(Words.grouped(tally.cutByClose)) closed; "
                    + "\(Words.grouped(tally.returns.count)) came back: \(quantiles(tally.returns))")
        }
        if !options.isShort {
            row("heartbeats", "\(tally.pongs) proved by PONG, \(tally.pings) of the server answered")
        }
        for (name, count) in tally.outcomes { row("request", "\(Words.grouped(count)) \(name)") }
        for (name, count, _) in endings { row("connection", "\(Words.grouped(count)) \(name)") }
        if verdict == .fine { row("errors", "none") }
        row("generator", "took \(Words.fixed(processorShare * 100, 0)) % of a core")
        if processorShare > 0.95 {
            row("", "it had no time left: these figures may be its own, not the server's")
        }
        return lines.joined(separator: "\n")
    }

    private var heading: String {
        let load =
            options.isSilent
            ? "silent"
            : options.inFlight == 0 ? "only heartbeats" : "\(options.size) bytes, \(options.inFlight) in flight"
        let loop = options.rate.map { "\(Words.grouped(Int($0))) requests a second" }
        return "\(target), \(options.isShort ? "short" : "long"), \(Words.grouped(options.connections)) connections, "
            + "\(load)\(loop.map { ", " + $0 } ?? "")\(isInterrupted ? " (interrupted)" : "")"
    }

    private var drops: String {
        "\(Words.grouped(tally.lateness.count)) with SILENT, \(Words.grouped(tally.early)) early; later than dead_after "
            + "behind the last byte sent by \(quantiles(tally.lateness)); behind the last WELCOME or PONG by "
            + quantiles(tally.latenessOfServer)
    }

    /// The ends of connections that tell something.
    var endings: [(name: String, count: UInt64, isOrderly: Bool)] {
        tally.endings.filter {
            $0.key != .finished && $0.key != .cut && !(options.isShort && $0.key == .closed(.normal))
        }
        .map { ($0.key.text, $0.value, $0.key.isOrderly) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }

    private func quantiles(_ times: Histogram) -> String {
        guard times.count > 0 else { return "none" }
        return "p50 \(Words.time(times.quantile(0.5))), p99 \(Words.time(times.quantile(0.99))), "
            + "max \(Words.time(times.most))"
    }
}

extension Tally {
    /// The outcomes of requests that were not answered, the most first.
    var outcomes: [(name: String, count: UInt64)] {
        failings.map { ($0.key.text, $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }
}
