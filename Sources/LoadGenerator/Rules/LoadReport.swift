import Framing

/// The state of a run after each second.
public struct Progress: Sendable {
    let stage: String
    let elapsed: Nanoseconds
    let second: LoadCounters.Second
    let failed: UInt64

    /// A line for a person.
    public var line: String {
        "\(NumberFormat.right(NumberFormat.fixed(elapsed.seconds, 0), 4)) s  \(stage)  \(NumberFormat.grouped(second.connected)) connected  "
            + "\(NumberFormat.grouped(second.answered))/s  p50 \(NumberFormat.time(second.median))  p99 \(NumberFormat.time(second.p99))  "
            + "max \(NumberFormat.time(second.most))  failed \(NumberFormat.grouped(failed))"
    }
}

/// The result of a run.
public struct LoadReport: Sendable {
    /// The overall judgement of a run.
    public enum Verdict: Sendable {
        /// The server answered every request, or the connection ended in order before.
        case fine
        /// Some requests failed or were lost, or connections broke.
        case failures
        /// The server refused every connection.
        case busy
    }

    let options: LoadOptions
    let target: String
    let counters: LoadCounters
    let connectTime: Nanoseconds
    let cost: GeneratorCost
    /// Requests that were due and never sent, because the server was too slow.
    let leftOver: UInt64
    /// The server's max_in_flight, where it is below the option.
    let serversWindow: UInt32?
    /// Whether a signal ended the run early.
    public let isInterrupted: Bool
    let sources: Int

    /// The report of a run whose processes have these results; `seconds` are those of all of them.
    init(
        _ results: [WorkerResult], seconds: [LoadCounters.Second], options: LoadOptions, target: String,
        connectTime: Nanoseconds, isInterrupted: Bool, sources: Int
    ) {
        var counters = LoadCounters()
        var cost = GeneratorCost()
        for result in results {
            counters.merge(result.counters)
            cost.add(result)
        }
        counters.seconds = seconds
        self.counters = counters
        self.cost = cost
        leftOver = results.reduce(0) { $0 + $1.leftOver }
        serversWindow = results.compactMap(\.serversWindow).first
        (self.options, self.target, self.connectTime) = (options, target, connectTime)
        (self.isInterrupted, self.sources) = (isInterrupted, sources)
    }

    static let shares: [(name: String, share: Double)] = [
        ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1),
    ]

    /// The measured time.
    var measured: Nanoseconds { max(Nanoseconds(1), counters.measuredUntil - counters.measuredFrom) }
    /// With `requests`, the answers to those; else all answers within the measured time.
    var answered: UInt64 { options.requests == nil ? counters.answered : counters.latencies.count }
    var perSecond: Double { Double(answered) / measured.seconds }
    /// Processor time of the generator's processes together, in cores.
    var cores: Double { cost.processorTime.seconds / measured.seconds }

    /// The overall judgement of the run.
    public var verdict: Verdict {
        if counters.everConnected == 0 { return .busy }
        if counters.early > 0 || counters.failed > 0 { return .failures }
        let broken = counters.connectionEnds.contains { !$0.key.isOrderly && !isExpected($0.key) }
        return broken ? .failures : .fine
    }

    private func isExpected(_ ending: LoadConnectionEnd) -> Bool {
        if case .closed(.silent) = ending { return options.isSilent }
        return false
    }

    private var beats: Bool { options.inFlight == 0 || options.isSilent }

    /// The report for a person.
    public var text: String {
        var lines = [heading]
        func row(_ name: String, _ text: String) { lines.append(NumberFormat.left(name, 13) + text) }
        if !options.isShort {
            row(
                "connected",
                "\(NumberFormat.grouped(counters.handshakes.count)) of \(NumberFormat.grouped(options.connections)) in "
                    + "\(NumberFormat.time(connectTime)); connect and handshake \(quantiles(counters.handshakes))")
        }
        if !beats {
            row(
                "requests",
                "\(NumberFormat.grouped(answered)) answered in \(NumberFormat.fixed(measured.seconds, 2)) s: "
                    + "\(NumberFormat.grouped(Int(perSecond))) a second, "
                    + "\(NumberFormat.fixed(perSecond * Double(options.size) / 1e6, 2)) MB/s each way")
            if leftOver > 0 {
                row(
                    "",
                    "\(NumberFormat.grouped(leftOver)) more were due and never sent: the server was too slow for the rate"
                )
            }
        }
        if let serversWindow { row("", "the server allows \(serversWindow) requests in flight on a connection") }
        if counters.latencies.count > 0 {
            let due = options.rate == nil ? "" : ", from when a request was due"
            lines.append("")
            lines.append("latency\(due): mean \(NumberFormat.time(counters.latencies.mean))")
            for (name, share) in LoadReport.shares {
                lines.append(
                    "  \(NumberFormat.left(name, 7)) \(NumberFormat.right(NumberFormat.time(counters.latencies.quantile(share)), 9))"
                )
            }
            lines.append("")
            lines += counters.latencies.chart()
            lines.append("")
        }
        if counters.seconds.count > 1, !beats, let slowest = counters.seconds.min(by: { $0.answered < $1.answered }) {
            row(
                "worst second",
                "\(NumberFormat.grouped(slowest.answered)) answered, p99 \(NumberFormat.time(slowest.p99))")
        }
        if options.isSilent { row("drops", drops) }
        if options.churn > 0 {
            row(
                "churn",
                "\(NumberFormat.grouped(counters.cutByReset)) reset and \(NumberFormat.grouped(counters.cutByClose)) closed; "
                    + "\(NumberFormat.grouped(counters.returns.count)) came back: \(quantiles(counters.returns))")
        }
        if !options.isShort {
            row("heartbeats", "\(counters.pongs) proved by PONG, \(counters.pings) of the server answered")
        }
        for (name, count) in counters.outcomes { row("request", "\(NumberFormat.grouped(count)) \(name)") }
        for (name, count, _) in endings { row("connection", "\(NumberFormat.grouped(count)) \(name)") }
        if verdict == .fine { row("errors", "none") }
        row("generator", generator)
        if !cost.hadTimeLeft { row("", "it had no time left: these figures may be its own, not the server's") }
        return lines.joined(separator: "\n")
    }

    private var heading: String {
        let load =
            options.isSilent
            ? "silent"
            : options.inFlight == 0 ? "only heartbeats" : "\(options.size) bytes, \(options.inFlight) in flight"
        let loop = options.rate.map { "\(NumberFormat.grouped(Int($0))) requests a second" }
        return
            "\(target), \(options.isShort ? "short" : "long"), \(NumberFormat.grouped(options.connections)) connections, "
            + "\(load)\(loop.map { ", " + $0 } ?? "")\(isInterrupted ? " (interrupted)" : "")"
    }

    /// What the generator itself took.
    private var generator: String {
        func percent(_ share: Double) -> String { "\(NumberFormat.fixed(share * 100, 0)) %" }
        let waited = cost.waited < 0.01 ? "" : ", and waited for a core for \(percent(cost.waited)) of the time"
        guard cost.processes > 1 else { return "took \(percent(cores)) of a core\(waited)" }
        return "took \(percent(cores)) of a core in \(cost.processes) processes, the busiest \(percent(cost.busiest))"
            + (waited.isEmpty ? "" : "; one\(waited.dropFirst(5))")
    }

    private var drops: String {
        "\(NumberFormat.grouped(counters.lateness.count)) with SILENT, \(NumberFormat.grouped(counters.early)) early; later than dead_after "
            + "behind the last byte sent by \(quantiles(counters.lateness)); behind the last WELCOME or PONG by "
            + quantiles(counters.latenessOfServer)
    }

    /// Ends of connections that are not a part of every run.
    var endings: [(name: String, count: UInt64, isOrderly: Bool)] {
        counters.connectionEnds.filter {
            $0.key != .finished && $0.key != .cut && !(options.isShort && $0.key == .closed(.normal))
        }
        .map { ($0.key.text, $0.value, $0.key.isOrderly) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }

    private func quantiles(_ times: LatencyHistogram) -> String {
        guard times.count > 0 else { return "none" }
        return "p50 \(NumberFormat.time(times.quantile(0.5))), p99 \(NumberFormat.time(times.quantile(0.99))), "
            + "max \(NumberFormat.time(times.most))"
    }
}

extension LoadCounters {
    /// Unanswered requests by outcome, the most frequent outcome first.
    var outcomes: [(name: String, count: UInt64)] {
        requestEnds.map { ($0.key.text, $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }
}
