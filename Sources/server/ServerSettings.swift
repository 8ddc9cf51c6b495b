import Arguments
import Framing
import LifelineServer

/// What the command line of `server` and its configuration file set.
struct ServerSettings {
    /// The configuration file.
    var file: String?
    var options = ServerOptions()
    private var namedHandler: BuiltInHandler?
    private var command: [String] = []
    private var isPerRequest: Bool?
    private var framing: ProgramFraming?
    private var isForShell = false
    private var programGrace: Duration?

    var service = DaemonSettings()

    /// Whether the system's limits are looked at, and nothing is served.
    var checks = false
    private var exempt: [AddressRange] = []

    var handler: BuiltInHandler { namedHandler ?? .echo }

    /// The longest duration that fits the wire, where durations are 32 bits of milliseconds.
    private static let longest = Duration.milliseconds(UInt32.max)
    private static let sizes = UInt32(1)...(1 << 30)

    /// Throws where two flags contradict each other.
    func check() throws(UsageError) {
        guard options.maxQueued >= options.maxMessage else {
            throw UsageError(
                "--max-queued \(options.maxQueued) is below --max-message \(options.maxMessage): "
                    + "raise it, or no message of the full length could ever be served")
        }
        if command.isEmpty {
            let aboutPrograms: [(String, Bool)] = [
                ("--exec-per", isPerRequest != nil), ("--exec-framing", framing != nil), ("--shell", isForShell),
                ("--exec-grace", programGrace != nil),
            ]
            if let (flag, _) = aboutPrograms.first(where: \.1) {
                throw UsageError("\(flag) says how a program is used: name it with --exec COMMAND, behind all flags")
            }
        } else if let namedHandler {
            throw UsageError(
                "--handler \(namedHandler.rawValue) and --exec exclude each other: one of them answers the requests")
        }
        if isForShell, command.count > 1 {
            throw UsageError(
                "with --shell the command is one word, which the shell takes apart: --exec '\(command.joined(separator: " "))'"
            )
        }
        switch (isPerRequest, framing) {
        case (true?, .line?), (true?, .length?):
            throw UsageError(
                "--exec-per request takes --exec-framing raw, which is its default: a program that has one request "
                    + "needs no line or length to tell it from the next")
        case (false?, .raw?), (nil, .raw?):
            throw UsageError(
                "--exec-framing raw needs --exec-per request: on a connection's standard input no request could be told "
                    + "from the next; use line or length")
        default: break
        }
        try checkPool()
        try checkService()
    }

    private func checkPool() throws(UsageError) {
        guard options.poolReuse > 1 else { return }
        guard options.pool != nil else {
            throw UsageError("--pool-reuse says what the processes of the pool do: give --pool N too")
        }
        guard command.isEmpty else {
            throw UsageError(
                "--pool-reuse and --exec exclude each other: a program has its connection's process beside it, which ends "
                    + "with it")
        }
        guard options.maxCPU == nil else {
            throw UsageError(
                "--pool-reuse and --max-cpu exclude each other: the system counts the processor time of a process in "
                    + "all its life, not that of each connection")
        }
    }

    /// What `--exec` names; nil where a built-in handler answers.
    func program() throws(StartError) -> Program? {
        guard !command.isEmpty else { return nil }
        var program = try Program(isForShell ? ["/bin/sh", "-c"] + command : command)
        program.framing = framing ?? (isPerRequest ?? false ? .raw : .line)
        if let programGrace { program.grace = programGrace }
        return program
    }

    /// What one program serves.
    private enum Scope: String, CaseIterable {
        case connection, request
    }

    private static func range(_ text: String) throws(UsageError) -> AddressRange {
        do { return try AddressRange(text) } catch { throw UsageError(error.description) }
    }

    private static func prefix(_ text: String) throws(UsageError) -> SourcePrefix {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let v4 = try? Value.integer(parts[0], in: 1...32),
            let v6 = try? Value.integer(parts[1], in: 1...128)
        else {
            throw UsageError("'\(text)' is not two numbers of bits like 32,64: of IPv4 up to 32, of IPv6 up to 128")
        }
        return SourcePrefix(v4: v4, v6: v6)
    }

    private static func handshakes(_ text: String) throws(UsageError) -> HandshakeLimit {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { try? Value.integer(String($0), in: 1...4_000_000) }
        switch (numbers.count == parts.count, numbers.count) {
        case (true, 1): return HandshakeLimit(numbers[0])
        case (true, 3) where numbers[1] <= 100 && numbers[0] <= numbers[2]:
            return HandshakeLimit(start: numbers[0], rate: numbers[1], full: numbers[2])
        default:
            throw UsageError(
                "'\(text)' is neither a number like 100 nor START:RATE:FULL like 10:30:100, with a RATE up to 100 and a "
                    + "FULL that is not below START")
        }
    }

    private static func pool(_ text: String) throws(UsageError) -> PoolSize {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { try? Value.integer(String($0), in: 1...100_000) }
        switch (numbers.count == parts.count, numbers.count) {
        case (true, 1): return PoolSize(numbers[0])
        case (true, 2) where numbers[0] <= numbers[1]: return PoolSize(least: numbers[0], most: numbers[1])
        default:
            throw UsageError(
                "'\(text)' is neither a number like 4 nor MIN:MAX like 4:32, with a MAX that is not below MIN")
        }
    }

    static let command = Command<ServerSettings>(
        "server",
        summary: "Serves the Lifeline protocol: a process for every connection, kept by its heartbeat.",
        flags: [
            Flag(
                "--config", "FILE",
                "read flags from FILE, a line each, name value; flags that are typed win;\nread again at SIGHUP"
            ) { $0.file = $1 }.onlyTyped,
            Flag(
                "--host", "ADDRESS",
                "where to listen: a numeric IPv4 or IPv6 address, :: for all of both,\nor unix:/path (127.0.0.1)"
            ) {
                $0.options.host = $1
            },
            Flag("--port", "PORT", "0 lets the system choose (7400)") { settings, text throws(UsageError) in
                settings.options.port = try Value.integer(text, in: 0...UInt16.max)
            },
            Flag("--timeout", "DURATION", "drop a client that is silent for so long (30)") {
                settings, text throws(UsageError) in
                settings.options.timeout = try Value.duration(text, in: .milliseconds(100)...longest)
            },
            Flag("--handshake-timeout", "DURATION", "drop a client that has not said HELLO by then (10)") {
                settings, text throws(UsageError) in
                settings.options.handshakeTimeout = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            .choice(
                "--handler", "NAME",
                "what answers requests: echo (the same bytes back), ack (\"ok\"),\ncount (\"This is server send message:N\") (echo)"
            ) { (settings, handler: BuiltInHandler) in settings.namedHandler = handler },
            .rest(
                "--exec", "COMMAND ...",
                "what answers requests: a program, with all that follows as its arguments; last of the flags"
            ) {
                settings, words throws(UsageError) in
                guard !words[0].isEmpty else { throw UsageError("'' is not the name of a program") }
                settings.command = words
            },
            .choice(
                "--exec-per", "WHAT", "connection: a program for each; request: one for each of those (connection)"
            ) { (settings, scope: Scope) in settings.isPerRequest = scope == .request },
            .choice(
                "--exec-framing", "FRAMING",
                "line: a request is a line, and a line its answer; length: a u32 and\nso many bytes, both ways; "
                    + "raw: standard input and output (line;\nwith --exec-per request raw)"
            ) { (settings, framing: ProgramFraming) in settings.framing = framing },
            Flag("--shell", "COMMAND is one word, for /bin/sh -c") { $0.isForShell = true },
            Flag("--handler-timeout", "DURATION", "fail a request that is not answered by then (no limit)") {
                settings, text throws(UsageError) in
                settings.options.handlerTimeout = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--exec-grace", "DURATION", "from the end of input to SIGTERM, and from that to SIGKILL (2)") {
                settings, text throws(UsageError) in
                settings.programGrace = try Value.duration(text, in: .zero...longest)
            },
            Flag("--max-connections", "N", "refuse connections beyond so many with BUSY (10000)") {
                settings, text throws(UsageError) in
                settings.options.maxConnections = try Value.integer(text, in: 1...4_000_000)
            },
            Flag("--max-per-source", "N", "of one source so many; clients of a Unix socket have none (no limit)") {
                settings, text throws(UsageError) in
                settings.options.maxPerSource = try Value.integer(text, in: 1...4_000_000)
            },
            Flag(
                "--source-prefix", "V4,V6",
                "addresses that share so many first bits are one source, of IPv4 and of IPv6\n(32,64)"
            ) { settings, text throws(UsageError) in
                settings.options.sourcePrefix = try prefix(text)
            },
            Flag("--max-rate", "N", "connections that are let in within a second (no limit)") {
                settings, text throws(UsageError) in
                settings.options.maxRate = try Value.integer(text, in: 1...1_000_000)
            },
            Flag(
                "--max-handshakes", "N|START:RATE:FULL",
                "connections that are before their HELLO: from START on RATE percent are\nrefused at random, more and more up to FULL; N is N:100:N (no limit)"
            ) { settings, text throws(UsageError) in
                settings.options.maxHandshakes = try handshakes(text)
            },
            Flag(
                "--exempt", "RANGE",
                "never refuse these addresses because handshakes of them have failed; may be\ngiven several times (127.0.0.0/8 and ::1)"
            ) { settings, text throws(UsageError) in
                // The first one takes the place of the default.
                settings.exempt.append(try range(text))
                settings.options.exempt = settings.exempt
            }.repeated,
            Flag(
                "--token-file", "PATH",
                "let in whoever brings a TOKEN of this file: one a line, with or without a\nname behind it; read again when it changes"
            ) { $0.options.tokenFile = $1 },
            Flag(
                "--allow", "RANGE",
                "let in clients of these addresses alone: 10.0.0.0/8, 2001:db8::/32 or one\naddress; may be given several times (all)"
            ) { settings, text throws(UsageError) in
                settings.options.allow.append(try range(text))
            }.repeated,
            Flag("--deny", "RANGE", "refuse clients of these addresses, whatever --allow says; also several times") {
                settings, text throws(UsageError) in
                settings.options.deny.append(try range(text))
            }.repeated,
            Flag("--user", "NAME", "become this user, a name or a number, once it listens; needs root") {
                $0.options.user = $1
            },
            Flag("--group", "NAME", "become this group, and no other (the user's own)") { $0.options.group = $1 },
            Flag("--max-frame", "BYTES", "the longest payload of one frame, 256 or more (16k)") {
                settings, text throws(UsageError) in
                settings.options.maxFrame = try Value.size(text, in: Limits.leastMaxFrame...sizes.upperBound)
            },
            Flag("--max-message", "BYTES", "the longest message (1m)") { settings, text throws(UsageError) in
                settings.options.maxMessage = try Value.size(text, in: sizes)
            },
            Flag("--max-in-flight", "N", "unanswered requests of one connection (256)") {
                settings, text throws(UsageError) in
                settings.options.maxInFlight = try Value.integer(text, in: 1...1_000_000)
            },
            Flag("--max-queued", "BYTES", "bytes of unanswered requests of one connection, at least --max-message (4m)")
            {
                settings, text throws(UsageError) in
                settings.options.maxQueued = try Value.size(text, in: sizes)
            },
            Flag(
                "--max-memory", "BYTES", "memory of one connection's process, its address space, 32m or more (no limit)"
            ) {
                settings, text throws(UsageError) in
                settings.options.maxMemory = try Value.size(text, in: UInt64(32 << 20)...(1 << 46))
            },
            Flag(
                "--max-cpu", "DURATION", "processor time of one connection in all its life, in whole seconds (no limit)"
            ) {
                settings, text throws(UsageError) in
                settings.options.maxCPU = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--max-files", "N", "open files of one connection's process, 16 or more (no limit)") {
                settings, text throws(UsageError) in
                settings.options.maxFiles = try Value.integer(text, in: 16...(1 << 30))
            },
            Flag(
                "--pool", "N|MIN:MAX",
                "processes forked ahead, which wait for connections: MIN, and up to MAX while\nmany come; N is N:8N (none)"
            ) { settings, text throws(UsageError) in
                settings.options.pool = try pool(text)
            },
            Flag(
                "--pool-reuse", "K",
                "connections that a process of the pool serves, one after another, where the\nhandler allows it (1)"
            ) { settings, text throws(UsageError) in
                settings.options.poolReuse = try Value.integer(text, in: 1...1_000_000_000)
            },
            Flag("--backlog", "N", "connections that may wait to be accepted (4096)") {
                settings, text throws(UsageError) in
                settings.options.backlog = try Value.integer(text, in: 1...Int32.max)
            },
            Flag(
                "--drain", "DURATION",
                "over how long a shutdown sends its clients away, each with a time of its\nown to come back (0)"
            ) { settings, text throws(UsageError) in
                settings.options.drain = try Value.duration(text, in: .zero...longest)
            },
            Flag("--grace", "DURATION", "how long it waits after that before it kills what is left (10)") {
                settings, text throws(UsageError) in
                settings.options.grace = try Value.duration(text, in: .zero...longest)
            },
            Flag("--control", "PATH", "listen for server ctl and server status at PATH (nowhere)") {
                $0.options.control = $1
            },
            Flag("--metrics", "ADDRESS:PORT", "serve metrics for Prometheus there, at /metrics (nowhere)") {
                $0.options.metrics = $1
            },
            Flag("--no-titles", "do not say peer and state in the titles of processes: 4 KiB less for each connection")
            {
                $0.options.showsTitles = false
            },
            Flag(
                "--check",
                "do not serve: print which limit of this system stops this configuration first,\nand at how many connections; run it as and where the server will run"
            ) { $0.checks = true }.onlyTyped,
            .choice("--log-level", "LEVEL", "error, warning, info or debug (info)") { (settings, level: LogLevel) in
                settings.options.logLevel = level
            },
            .choice("--log-format", "FORMAT", "text or json, a line an event (text)") { (settings, format: LogFormat) in
                settings.options.logFormat = format
            },
        ] + serviceFlags,
        subcommands: [Ctl.command.shape, StatusCommand.command.shape],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h; BYTES read 16384, 16k, 1m or 2g.

            When it accepts, it prints "listening on HOST:PORT" on standard output. SIGTERM or SIGINT: it stops
            listening, its children answer what they have and send their clients away, over the time of --drain; a
            second signal, or the end of --grace, ends what is left. SIGQUIT: the same at once, without answers. SIGTERM
            to a child ends that connection alone. SIGUSR1 opens the log FILE anew.

            SIGHUP: the configuration and the token file are read again, for the connections that come from then on; an
            error keeps all as it was, and the log says so, as it does of what a restart alone can change.

            With --daemon the command returns when the daemon listens, or with the daemon's error and status. Under
            systemd it says when it is ready, what it does and that it is alive, and takes over a socket.

            No program that it starts gets privileges that it does not have itself (no_new_privs). The file of a Unix socket
            stays behind where --user may not remove it; the next start replaces it.

            Exit status: 0 after a shutdown, 64 for a wrong command line, 66 where the configuration or the token file
            cannot be read, 67 for an unknown user or group, 69 where the address is in use, the program is not there or
            another server holds the pidfile, 70 where a daemon ends before it listens, 71 where the system refuses, or
            --check finds that it would, 73 where a file cannot be made, 74 where standard output cannot be written, 77
            without permission, 78 where the configuration or the
            token file is wrong.
            """)
}
