import Arguments
import Framing
import LifelineServer

/// What the command line of `server` sets.
struct Settings {
    var options = ServerOptions()
    var handler = BuiltInHandler.echo
    var service = Service()

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
        try checkService()
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
            Flag("--backlog", "N", "connections that may wait to be accepted (4096)") {
                settings, text throws(UsageError) in
                settings.options.backlog = try Value.integer(text, in: 1...Int32.max)
            },
            Flag("--grace", "DURATION", "how long a shutdown waits before it kills what is left (10)") {
                settings, text throws(UsageError) in
                settings.options.grace = try Value.duration(text, in: .zero...longest)
            },
            Flag("--log-level", "LEVEL", "error, warning, info or debug (info)") { settings, text throws(UsageError) in
                settings.options.logLevel = try Value.choice(text, of: LogLevel.self)
            },
            Flag("--log-format", "FORMAT", "text or json, a line an event (text)") {
                settings, text throws(UsageError) in
                settings.options.logFormat = try Value.choice(text, of: LogFormat.self)
            },
        ] + serviceFlags,
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h; BYTES read 16384, 16k or 1m.

            When it accepts, it prints "listening on HOST:PORT" on standard output. SIGTERM or SIGINT: it stops
            listening, its children answer what they have and send their clients away; a second signal, or the end of
            --grace, ends what is left. SIGTERM to a child ends that connection alone. SIGUSR1 opens the log FILE anew.

            With --daemon the command returns when the daemon listens, or with the daemon's error and status. Under
            systemd it says when it is ready, what it does and that it is alive, and takes over a socket.

            Exit status: 0 after a shutdown, 64 for a wrong command line, 69 where the address is in use or another
            server holds the pidfile, 70 where a daemon ends before it listens, 71 where the system refuses, 73 where a
            file cannot be made, 74 where standard output cannot be written, 77 without permission.
            """)
}
