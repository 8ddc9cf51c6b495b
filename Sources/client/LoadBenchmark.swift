import Arguments
import Basics
import Framing
import LifelineClient
import LoadGenerator
import Posix

/// `client bench`: makes load, and measures what the server makes of it.
struct LoadBenchmark {
    var hosts: [String] = []
    var port: UInt16 = 7400
    var wait = Duration.zero
    private var servers: [String] = []
    var options = LoadOptions()
    var tls = TLSFlags()
    private var mode: ClientSettings.Mode {
        get { options.isShort ? .short : .long }
        set { options.isShort = newValue == .short }
    }
    var isJSON = false
    var showsProgress = StandardStream.error.isTerminal

    private static let longest = Duration.seconds(24 * 3600)

    static let command = Command<LoadBenchmark>(
        "client bench", summary: "Loads a Lifeline server with many connections, and measures its answers.",
        defaults: LoadBenchmark(), sections: [connections, Flag.tlsSection(\.tls), load, faults, output],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h.

            Without --rate each connection sends the next request when it has room (closed loop): a stall then holds back
            the requests that would have shown it. With --rate they are due at even intervals, each connection in its
            turn, and what a request waits for its turn is part of its latency. In short mode latency begins with the
            connection. A percentile is off by 0.4 % at most; the longest time is exact. Ctrl-C ends early, with the
            result so far.
            """,
        exits: [
            ExitMeaning(.ok, "every request was answered, or orderly refused by a server that leaves"),
            ExitMeaning(.usage, "the command line is wrong"), ExitMeaning(.noHost, "the host is unknown"),
            ExitMeaning(.unavailable, "no server answers in time, or the system has no OpenSSL for --tls"),
            ExitMeaning(.software, "requests failed or were lost, or connections broke"),
            ExitMeaning(.osError, "the system has too little for this many connections"),
            ExitMeaning(.tryLater, "the server took no connection"),
            ExitMeaning(.protocolError, "the peer does not speak the protocol, or TLS with it fails"),
            ExitMeaning(.noPermission, "the server does not want this client"),
        ])

    private static let connections = FlagSection<LoadBenchmark>(
        "Connections",
        [
            Flag(
                "--mode", "MODE", "long: connections that stay; short: a connection for each request", \.mode, .choice),
            Flag.host(\.hosts),
            Flag("--port", "PORT", "the port of a server that names none", \.port, .integer(in: 1...UInt16.max)),
            Flag.wait(\.wait),
            Flag(
                "--connections", "N", "connections at once", \.options.connections, .integer(in: 1...1_000_000)),
            Flag(
                "--connect-rate", "N", "open up to this many connections in a second", \.options.connectRate,
                decimal(in: 0.001...1e6), unset: "as fast as it can"),
            Flag(
                "--processes", "N",
                "share the connections out among this many processes: each drives a core, and has a limit of "
                    + "descriptors of its own", \.options.processes, .integer(in: 1...1024)),
            Flag(
                "--sources", "N", "for a server at 127.x.y.z: come from 127.0.0.1 to 127.0.0.N in turn",
                \.options.sources, .integer(in: 1...254), unset: "\(LoadOptions.defaultSources)"),
            Flag(
                "--ping-every", "DURATION", "ask for a heartbeat this often", \.options.pingEvery,
                .duration(in: .milliseconds(1)...longest)
            ).defaulting { _ in "the server chooses" },
            Flag(
                "--dead-after", "DURATION", "ask that silence ends a connection after this long", \.options.deadAfter,
                .duration(in: .milliseconds(1)...longest)
            ).defaulting { _ in "the server chooses" },
            Flag("--token-file", "PATH", "prove who you are with the token in this file") {
                bench, text throws(UsageError) in
                bench.options.token = try ClientSettings.token(inFile: text)
            },
        ])

    private static let load = FlagSection<LoadBenchmark>(
        "Load",
        [
            Flag(
                "--duration", "DURATION", "measure for this long", \.options.duration,
                .duration(in: .milliseconds(1)...longest)),
            Flag(
                "--requests", "N", "or until this many were sent, whichever is first", \.options.requests,
                .integer(in: 1...UInt64(1e15))),
            Flag(
                "--warm-up", "DURATION", "before that, the same and not measured", \.options.warmUp,
                .duration(in: .zero...longest)),
            Flag("--size", "BYTES", "bytes of each request", \.options.size, .size(in: 0...64 << 20)),
            Flag(
                "--in-flight", "N", "unanswered requests on each connection; 0: they only beat", \.options.inFlight,
                .integer(in: 0...65536)),
            Flag(
                "--rate", "N",
                "open loop: this many requests become due in a second, whatever the server does, and latency counts "
                    + "from then", \.options.rate, decimal(in: 0.001...1e8), unset: "as fast as it can"),
            Flag(
                "--timeout", "DURATION", "a request without an answer for this long has failed", \.options.timeout,
                .duration(in: .milliseconds(1)...longest)),
            Flag("--verify", "compare each answer with its request: the handler has to be echo") {
                $0.options.verifies = true
            },
        ])

    private static let faults = FlagSection<LoadBenchmark>(
        "Faults",
        [
            Flag(
                "--churn", "PERCENT",
                "cut this many of the connections in each second, half of them by a reset, half without CLOSE; they "
                    + "come back at once", \.options.churn, decimal(in: 0...100)),
            Flag(
                "--silent",
                "beat until the warm-up is over, then fall silent, all at once, and measure when each is dropped"
            ) { $0.options.isSilent = true },
            Flag(
                "--last-ping", "with --silent: each says a PING as its last word, so that all are due at once"
            ) { $0.options.saysLastPing = true },
            Flag("--stay-away", "do not come back when the server ends a connection; end with the last") {
                $0.options.reconnects = false
            },
        ])

    private static let output = FlagSection<LoadBenchmark>(
        "Output",
        [
            Flag("--json", "print the result as one JSON object, times in seconds") { $0.isJSON = true },
            Flag("--progress", "a line each second on standard error (only on a terminal)") {
                $0.showsProgress = true
            },
        ])

    /// Does what the arguments ask for, and leaves.
    static func run(_ arguments: [Argument]) -> Never {
        var bench = LoadBenchmark()
        var given: Set<String> = []
        do throws(UsageError) {
            switch try command.parse(arguments, into: &bench, given: &given) {
            case .help: console.write(Array("\(command.help)\n".utf8))
            case .version: console.write(Array("client (Lifeline) \(lifelineVersion)\n".utf8))
            case .generate(let what):
                guard [.options, .exitStatus].contains(what) else {
                    throw UsageError("--generate of client bench makes options and exit-status alone")
                }
                console.write(Array("\(command.generated(what, for: "lifeline-client-bench"))\n".utf8))
            case .run:
                try bench.check(given)
                TLSFlags.prepare(bench.tls.chosen, for: bench.servers, port: bench.port)
                bench.run()
            }
        } catch {
            console.fail(.usage, error.description)
        }
        exitProcess(ExitStatus.ok.rawValue)
    }

    /// Throws where two flags contradict each other.
    private mutating func check(_ given: Set<String>) throws(UsageError) {
        servers = try ClientSettings.servers(hosts, port: port)
        try tls.check(given)
        for flag in ["--in-flight", "--churn", "--connect-rate", "--silent", "--last-ping", "--stay-away"]
        where options.isShort && given.contains(flag) {
            throw UsageError("\(flag) needs --mode long")
        }
        for flag in ["--rate", "--requests", "--size", "--verify"]
        where (options.inFlight == 0 || options.isSilent) && given.contains(flag) {
            throw UsageError(
                "\(flag) is about requests, and \(options.isSilent ? "--silent" : "--in-flight 0") sends none")
        }
        if options.processes > options.connections {
            throw UsageError("--processes \(options.processes) needs at least as many --connections")
        }
        if options.saysLastPing, !options.isSilent { throw UsageError("--last-ping needs --silent") }
    }

    private static func decimal(in range: ClosedRange<Double>) -> ValueFormat<Double> {
        ValueFormat(
            read: { (text: String) throws(UsageError) in
                guard let number = Double(text), range.contains(number) else {
                    throw UsageError("'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)")
                }
                return number
            },
            describe: { Double(Int64($0)) == $0 ? "\(Int64($0))" : "\($0)" })
    }

    /// How long --wait rests between two rounds over all addresses.
    private static let waitPause = Duration.milliseconds(200)

    private func run() -> Never {
        let deadline = Instant.now + wait
        while true {
            let failure = tryAddresses()
            guard failure.mayPass, Instant.now + LoadBenchmark.waitPause < deadline else {
                console.fail(failure.status, failure.text)
            }
            var none: [PollEntry] = []
            _ = try? poll(&none, until: .now + LoadBenchmark.waitPause)
        }
    }

    /// Measures the first address whose server takes connections. Returns the last failure where none does.
    private func tryAddresses() -> (status: ExitStatus, text: String, mayPass: Bool) {
        var untried: ArraySlice<(address: SocketAddress, options: LoadOptions)> = []
        var last: ConnectionError?
        for server in servers {
            do throws(ConnectionError) {
                var options = options
                options.tls = try tls.chosen?.settings(for: server, port: port)
                for address in try addresses(ofServer: server, port: port) { untried.append((address, options)) }
            } catch {
                last = error
            }
        }
        if untried.isEmpty, let last { return (.noHost, "\(last)", true) }
        while let (address, options) = untried.popFirst() {
            do throws(LoadError) {
                report(try measure(address, options))
            } catch {
                // Another address, or another server, may take them.
                if error.kind.isOfOneServer, !untried.isEmpty { continue }
                return (error.status, error.text, error.kind == .unavailable || error.kind == .busy)
            }
        }
        return (.noHost, "\(servers.joined(separator: ",")) has no address", true)
    }

    private func measure(_ address: SocketAddress, _ options: LoadOptions) throws(LoadError) -> LoadReport {
        let isTerminal = StandardStream.error.isTerminal
        let report = try Generator.run(options, to: address) { progress in
            guard showsProgress else { return }
            // Over the line before, on a terminal.
            try? StandardStream.error.write((isTerminal ? "\r\u{1B}[K\(progress.line)" : "\(progress.line)\n").utf8)
        }
        if showsProgress, isTerminal { try? StandardStream.error.write("\r\u{1B}[K".utf8) }
        return report
    }

    private func report(_ report: LoadReport) -> Never {
        console.write(Array("\(isJSON ? report.json : report.text)\n".utf8))
        switch report.verdict {
        case .fine: exitProcess(ExitStatus.ok.rawValue)
        case .failures: exitProcess(ExitStatus.software.rawValue)
        case .busy: console.fail(.tryLater, "the server took nobody")
        }
    }
}

extension LoadError.Kind {
    fileprivate var isOfOneServer: Bool {
        switch self {
        case .unavailable, .busy, .unwanted, .protocolError: true
        case .system, .options: false
        }
    }
}

extension LoadError {
    fileprivate var status: ExitStatus {
        switch kind {
        case .unavailable: .unavailable
        case .busy: .tryLater
        case .unwanted: .noPermission
        case .protocolError: .protocolError
        case .system: .osError
        case .options: .usage
        }
    }
}
