import Arguments
import Framing
import LifelineServer

/// What the command line of `server` sets.
struct Settings {
    var options = ServerOptions()
    var handler = BuiltInHandler.echo

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
    }

    private static func range(_ text: String) throws(UsageError) -> AddressRange {
        do { return try AddressRange(text) } catch { throw UsageError(error.description) }
    }

    static let command = Command<Settings>(
        "server",
        summary: "Serves the Lifeline protocol: a process for every connection, kept by its heartbeat.",
        flags: [
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
            Flag(
                "--handler", "NAME",
                "what answers requests: echo (the same bytes back), ack (\"ok\"),\ncount (\"This is server send message:N\") (echo)"
            ) {
                settings, text throws(UsageError) in
                settings.handler = try Value.choice(text, of: BuiltInHandler.self)
            },
            Flag("--max-connections", "N", "refuse connections beyond so many with BUSY (10000)") {
                settings, text throws(UsageError) in
                settings.options.maxConnections = try Value.integer(text, in: 1...4_000_000)
            },
            Flag(
                "--token-file", "PATH",
                "let in whoever brings a TOKEN of this file: one a line, with or without a\nname behind it; read again when it changes"
            ) { $0.options.tokenFile = $1 },
            Flag(
                "--allow", "RANGE",
                "let in clients of these addresses alone: 10.0.0.0/8, 2001:db8::/32 or one\naddress; may be given several times (all)"
            ) { settings, text throws(UsageError) in
                settings.options.allow.append(try range(text))
            },
            Flag("--deny", "RANGE", "refuse clients of these addresses, whatever --allow says; also several times") {
                settings, text throws(UsageError) in
                settings.options.deny.append(try range(text))
            },
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
            Flag("--backlog", "N", "connections that may wait to be accepted (4096)") {
                settings, text throws(UsageError) in
                settings.options.backlog = try Value.integer(text, in: 1...Int32.max)
            },
            Flag("--grace", "DURATION", "how long a shutdown waits before it kills what is left (10)") {
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
            Flag("--log-level", "LEVEL", "error, warning, info or debug (info)") { settings, text throws(UsageError) in
                settings.options.logLevel = try Value.choice(text, of: LogLevel.self)
            },
            Flag("--log-format", "FORMAT", "text or json, a line an event on standard error (text)") {
                settings, text throws(UsageError) in
                settings.options.logFormat = try Value.choice(text, of: LogFormat.self)
            },
        ],
        notes: """
            server ctl asks and orders a server that runs, and server status says whether one does: see
            server ctl --help and server status --help.

            A DURATION reads 30, 2.5, 500ms, 2m or 1h; BYTES read 16384, 16k, 1m or 2g.

            When it accepts, it prints "listening on HOST:PORT" on standard output. SIGTERM or SIGINT: it stops
            listening, its children answer what they have and send their clients away; a second signal, or the end of
            --grace, ends what is left. SIGTERM to a child ends that connection alone.

            The file of a Unix socket stays behind where --user may not remove it; the next start replaces it.

            Exit status: 0 after a shutdown, 64 for a wrong command line, 66 where the token file cannot be read, 67 for
            an unknown user or group, 69 where the address is in use, 71 where the system refuses, 74 where standard
            output cannot be written, 77 without permission, 78 where the token file is wrong.
            """)
}
