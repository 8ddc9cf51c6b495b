import Arguments
import Framing
import LifelineClient
import Posix

/// What the command line of `client` sets.
struct ClientSettings {
    enum Mode: String, CaseIterable {
        case long, short
    }

    var mode = Mode.long
    var host = "127.0.0.1"
    var port: UInt16 = 7400
    /// For connecting, and for each request.
    var timeout = Duration.seconds(30)
    var hold = Duration.zero
    var isVerbose = false
    var isBinary = false
    var mayRunTwice = false
    var messages: [String] = []
    var options = ClientOptions()

    private static let defaultRetries = 5
    /// The longest duration that fits the wire, where durations are 32 bits of milliseconds.
    private static let longest = Duration.milliseconds(UInt32.max)

    init() { options.reconnect.attempts = ClientSettings.defaultRetries }

    /// Throws where two flags contradict each other.
    func check() throws(UsageError) {
        guard !isBinary || messages.count <= 1 else {
            throw UsageError("--binary sends one message, and \(messages.count) are given")
        }
        guard mode == .long || hold == .zero else {
            throw UsageError("--hold needs --mode long: a short connection ends with its answer")
        }
    }

    static func token(inFile path: String) throws(UsageError) -> [UInt8] {
        do throws(SystemError) {
            var token = try contents(ofFile: path, most: Limits.tokenLength + 1)
            if token.last == UInt8(ascii: "\n") { token.removeLast() }
            if !token.isEmpty, token.count <= Limits.tokenLength { return token }
        } catch {
            throw UsageError("cannot read '\(path)': \(error.text)")
        }
        throw UsageError("'\(path)' does not hold 1 to \(Limits.tokenLength) bytes")
    }

    static let command = Command<ClientSettings>(
        "client", operands: "[MESSAGE ...]",
        summary: "Sends messages to a Lifeline server and prints its replies, a line each.",
        flags: [
            .choice("--mode", "MODE", "long: one connection for all messages; short: one for each (long)") {
                (settings, mode: Mode) in
                settings.mode = mode
            },
            Flag("--host", "HOST", "a name, an address, or unix:/path (127.0.0.1)") { $0.host = $1 },
            Flag("--port", "PORT", "the server's port (7400)") { settings, text throws(UsageError) in
                settings.port = try Value.integer(text, in: 1...UInt16.max)
            },
            Flag("--timeout", "DURATION", "give up connecting, and each request, after so long (30)") {
                settings, text throws(UsageError) in
                settings.timeout = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--retries", "N", "attempts in a row to connect again (\(defaultRetries))") {
                settings, text throws(UsageError) in
                settings.options.reconnect.attempts = try Value.integer(text, in: 0...1_000_000)
            },
            Flag("--may-run-twice", "repeat also what the server may have processed already") { $0.mayRunTwice = true },
            Flag("--hold", "DURATION", "stay connected for so long after the last message (0)") {
                settings, text throws(UsageError) in
                settings.hold = try Value.duration(text, in: .zero...longest)
            },
            Flag("--ping-every", "DURATION", "ask for a heartbeat so often (the server chooses)") {
                settings, text throws(UsageError) in
                settings.options.pingEvery = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--dead-after", "DURATION", "ask that silence ends the connection after so long (the server chooses)")
            {
                settings, text throws(UsageError) in
                settings.options.deadAfter = try Value.duration(text, in: .milliseconds(1)...longest)
            },
            Flag("--name", "NAME", "a name for the server's log, at most 64 bytes") {
                settings, text throws(UsageError) in
                guard text.utf8.count <= Limits.nameLength else {
                    throw UsageError("'\(text)' is over \(Limits.nameLength) bytes")
                }
                settings.options.name = text
            },
            Flag(
                "--token-file", "PATH",
                "prove who you are with the bytes of this file, at most 256;\na line end behind them does not count"
            ) {
                settings, text throws(UsageError) in
                settings.options.token = try token(inFile: text)
            },
            Flag(
                "--binary",
                "send all of standard input, or MESSAGE, as one message;\nprint the reply's bytes and no line end"
            ) {
                $0.isBinary = true
            },
            Flag("--verbose", "tell of heartbeats and connections on standard error") { $0.isVerbose = true },
        ],
        subcommands: [LoadBenchmark.command.shape],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h. A message "bench" goes behind --.

            Without MESSAGE each line of standard input is one; in a terminal "quit" or Ctrl-D ends it. Replies come in the
            order of the messages. When the server goes away, a message that it certainly did not process is sent again;
            of any other one, standard error says what became of it.

            Exit status: 0 when every message was answered, 64 for a wrong command line, 68 for an unknown host, 69 where no
            server answers, 70 where the server failed to do it, 74 where standard output cannot be written or standard
            input cannot be read, 75 where trying again later may help, 76 where the peer does not speak the protocol, 77
            where the server does not want this client.
            """
    ) { $0.messages.append($1) }
}
