import Arguments
import Framing
import LifelineClient
import LoadGenerator
import Posix

/// `client bench`: makes load, and measures what the server makes of it.
struct LoadBenchmark {
    var host = "127.0.0.1"
    var port: UInt16 = 7400
    var options = LoadOptions()
    var isJSON = false
    var showsProgress = StandardStream.error.isTerminal

    private static let longest = Duration.seconds(24 * 3600)

    static let command = Command<LoadBenchmark>(
        "client bench", summary: "Loads a Lifeline server with many connections, and measures its answers.",
        flags: [
            .choice(
                "--mode", "MODE",
                "long: connections that stay; short: a connection for each\nrequest (long)"
            ) { (bench, mode: ClientSettings.Mode) in bench.options.isShort = mode == .short },
            Flag("--host", "HOST", "a name, an address, or unix:/path (127.0.0.1)") { $0.host = $1 },
            Flag("--port", "PORT", "the server's port (7400)") { bench, text throws(UsageError) in
                bench.port = try Value.integer(text, in: 1...UInt16.max)
            },
            Flag("--connections", "N", "connections at once (16)") { bench, text throws(UsageError) in
                bench.options.connections = try Value.integer(text, in: 1...1_000_000)
            },
            Flag("--duration", "DURATION", "measure for so long (10)") { bench, text throws(UsageError) in
                bench.options.duration = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--requests", "N", "or until so many were sent, whichever is first") {
                bench, text throws(UsageError) in
                bench.options.requests = try Value.integer(text, in: 1...UInt64(1e15))
            },
            Flag("--warm-up", "DURATION", "before that, the same and not measured (1)") {
                bench, text throws(UsageError) in
                bench.options.warmUp = try Value.duration(text, in: .zero...longest)
            },
            Flag("--size", "BYTES", "bytes of each request (32)") { bench, text throws(UsageError) in
                bench.options.size = try Value.size(text, in: 0...64 << 20)
            },
            Flag("--in-flight", "N", "unanswered requests on each connection; 0: they only beat (1)") {
                bench, text throws(UsageError) in
                bench.options.inFlight = try Value.integer(text, in: 0...65536)
            },
            Flag(
                "--rate", "N",
                "open loop: so many requests become due in a second, whatever the\n"
                    + "server does, and latency counts from then (as fast as it can)"
            ) { bench, text throws(UsageError) in bench.options.rate = try decimal(text, in: 0.001...1e8) },
            Flag("--connect-rate", "N", "open so many connections in a second (as fast as it can)") {
                bench, text throws(UsageError) in
                bench.options.connectRate = try decimal(text, in: 0.001...1e6)
            },
            Flag(
                "--churn", "PERCENT",
                "cut so many of the connections in each second, half of them by a\n"
                    + "reset, half without CLOSE; they come back at once (0)"
            ) { bench, text throws(UsageError) in bench.options.churn = try decimal(text, in: 0...100) },
            Flag(
                "--silent",
                "beat until the warm-up is over, then fall silent, all at once, and\nmeasure when each is dropped"
            ) {
                $0.options.isSilent = true
            },
            Flag(
                "--last-ping",
                "with --silent: each says a PING as its last word, so that all are\ndue at once"
            ) {
                $0.options.saysLastPing = true
            },
            Flag("--stay-away", "do not come back when the server ends a connection; end with the last") {
                $0.options.reconnects = false
            },
            Flag("--timeout", "DURATION", "a request without an answer for so long has failed (10)") {
                bench, text throws(UsageError) in
                bench.options.timeout = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--verify", "compare each answer with its request: the handler has to be echo") {
                $0.options.verifies = true
            },
            Flag("--sources", "N", "for a server at 127.x.y.z: come from 127.0.0.1 to 127.0.0.N in turn\n(32)") {
                bench, text throws(UsageError) in
                bench.options.sources = try Value.integer(text, in: 1...254)
            },
            Flag("--ping-every", "DURATION", "ask for a heartbeat so often (the server chooses)") {
                bench, text throws(UsageError) in
                bench.options.pingEvery = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--dead-after", "DURATION", "ask that silence ends a connection after so long (the server chooses)") {
                bench, text throws(UsageError) in
                bench.options.deadAfter = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--token-file", "PATH", "prove who you are with the bytes of this file") {
                bench, text throws(UsageError) in
                bench.options.token = try ClientSettings.token(inFile: text)
            },
            Flag("--json", "print the result as one JSON object, times in seconds") { $0.isJSON = true },
            Flag("--progress", "a line each second on standard error (only on a terminal)") { $0.showsProgress = true },
        ],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h.

            Without --rate each connection sends the next request when it has room (closed loop): a stall then holds back
            the requests that would have shown it. With --rate they are due at even intervals, each connection in its
            turn, and what a request waits for its turn is part of its latency. In short mode latency begins with the
            connection. A percentile is off by 0.4 % at most; the longest time is exact. Ctrl-C ends early, with the
            result so far.

            Exit status: 0 when every request was answered or orderly refused by a server that leaves, 64 for a wrong
            command line, 68 for an unknown host, 69 where no server answers, 70 where requests failed or were lost, or
            connections broke, 71 where the system has too little for so many connections, 75 where the server took
            nobody, 76 where the peer does not speak the protocol, 77 where the server does not want this client.
            """)

    /// Does what the arguments ask for, and leaves.
    static func run(_ arguments: [String]) -> Never {
        var bench = LoadBenchmark()
        var given: Set<String> = []
        do throws(UsageError) {
            switch try command.parse(arguments, into: &bench, given: &given) {
            case .help: console.write(Array("\(command.help)\n".utf8))
            case .version: console.write(Array("client (Lifeline) \(lifelineVersion)\n".utf8))
            case .generate(let what):
                guard what == .options else { throw UsageError("--generate of client bench makes options alone") }
                console.write(Array("\(command.generated(what, for: "lifeline-client-bench"))\n".utf8))
            case .run:
                try bench.check(given)
                bench.run()
            }
        } catch {
            console.fail(.usage, error.description)
        }
        exitProcess(ExitStatus.ok.rawValue)
    }

    /// Throws where two flags contradict each other.
    private func check(_ given: Set<String>) throws(UsageError) {
        for flag in ["--in-flight", "--churn", "--connect-rate", "--silent", "--last-ping", "--stay-away"]
        where options.isShort && given.contains(flag) {
            throw UsageError("\(flag) needs --mode long")
        }
        for flag in ["--rate", "--requests", "--size", "--verify"]
        where (options.inFlight == 0 || options.isSilent) && given.contains(flag) {
            throw UsageError(
                "\(flag) is about requests, and \(options.isSilent ? "--silent" : "--in-flight 0") sends none")
        }
        if options.saysLastPing, !options.isSilent { throw UsageError("--last-ping needs --silent") }
    }

    private static func decimal(_ text: String, in range: ClosedRange<Double>) throws(UsageError) -> Double {
        guard let number = Double(text), range.contains(number) else {
            throw UsageError("'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func run() -> Never {
        var untried: ArraySlice<SocketAddress>
        do throws(ConnectionError) {
            untried = try addresses(ofHost: host, port: port)[...]
        } catch {
            console.fail(.noHost, "\(error)")
        }
        while let address = untried.popFirst() {
            do throws(LoadError) {
                report(try measure(address))
            } catch {
                // A name may have an address that the server does not listen at.
                if error.kind == .unavailable, !untried.isEmpty { continue }
                console.fail(error.status, error.text)
            }
        }
        console.fail(.noHost, "\(host) has no address")
    }

    private func measure(_ address: SocketAddress) throws(LoadError) -> LoadReport {
        var generator = try Generator.prepared(options, to: address)
        let isTerminal = StandardStream.error.isTerminal
        let report = try generator.run { progress in
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
