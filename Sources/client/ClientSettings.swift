import Arguments
import Basics
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
    var messages: [[UInt8]] = []
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

    /// How long a FIFO, such as that of `--token-file <(pass show lifeline)`, may take to its end.
    private static let patience = Duration.seconds(2)
    /// A file of more bytes holds no token.
    private static let longestFile = 1 << 20

    /// The token of a file, in the form of the server's own: one line, a token and perhaps its name.
    static func token(inFile path: String) throws(UsageError) -> [UInt8] {
        func wrong(_ text: String) -> UsageError { UsageError("the token file '\(path)': \(text)") }
        let bytes: [UInt8]
        do throws(FileReadError) {
            bytes = try contents(ofTextFile: path, most: longestFile, patience: patience)
        } catch {
            throw wrong(error.text)
        }
        let file: TextFile
        do throws(TextFileError) { file = try TextFile(bytes) } catch { throw wrong(error.description) }
        guard let line = file.lines.first else { throw wrong("there is no token in it") }
        guard file.lines.count == 1 else {
            throw wrong("it holds \(file.lines.count) tokens, and a client has one: leave one line")
        }
        let words = line.bytes.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard words.count <= 2 else {
            throw wrong(
                "line \(line.number): \(words.count) words; expected TOKEN, or TOKEN NAME as in the server's file")
        }
        guard words[0].count <= Limits.tokenLength else {
            throw wrong("a token of \(words[0].count) bytes; at most \(Limits.tokenLength) are possible")
        }
        return Array(words[0])
    }

    static let command = Command<ClientSettings>(
        "client", operands: "[MESSAGE ...]",
        summary: "Sends messages to a Lifeline server and prints its replies, a line each.",
        defaults: ClientSettings(), sections: sections, subcommands: [LoadBenchmark.command.shape],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h. A message "bench" goes behind --.

            Without MESSAGE each line of standard input is one; in a terminal "quit" or Ctrl-D ends it. Replies come in
            the order of the messages. When the server goes away, a message that it certainly did not process is sent
            again; of any other one, standard error says what became of it.
            """,
        exits: [
            ExitMeaning(.ok, "every message was answered"), ExitMeaning(.usage, "the command line is wrong"),
            ExitMeaning(.noHost, "the host is unknown"), ExitMeaning(.unavailable, "no server answers"),
            ExitMeaning(.software, "the server failed to do it"),
            ExitMeaning(.ioError, "standard output cannot be written, or standard input cannot be read"),
            ExitMeaning(.tryLater, "trying again later may help"),
            ExitMeaning(.protocolError, "the peer does not speak the protocol"),
            ExitMeaning(.noPermission, "the server does not want this client"),
        ]
    ) { settings, argument throws(UsageError) in settings.messages.append(argument.bytes) }

    private static let sections = [connection, heartbeat, messages, output]

    private static let connection = FlagSection<ClientSettings>(
        "Connection",
        [
            Flag("--mode", "MODE", "long: one connection for all messages; short: one for each", \.mode, .choice),
            Flag("--host", "HOST", "a name, an address, or unix:/path", \.host, .text),
            Flag("--port", "PORT", "the server's port", \.port, .integer(in: 1...UInt16.max)),
            Flag(
                "--timeout", "DURATION", "give up connecting, and each request, after this long", \.timeout,
                .duration(in: .milliseconds(1)...longest)),
            Flag(
                "--retries", "N", "attempts in a row to connect again", \.options.reconnect.attempts,
                .integer(in: 0...1_000_000)),
            Flag(
                "--hold", "DURATION", "stay connected for this long after the last message", \.hold,
                .duration(in: .zero...longest)),
            Flag("--name", "NAME", "a name for the server's log, at most \(Limits.nameLength) bytes") {
                settings, text throws(UsageError) in
                guard text.utf8.count <= Limits.nameLength else {
                    throw UsageError("'\(text)' is over \(Limits.nameLength) bytes")
                }
                settings.options.name = text
            },
            Flag(
                "--token-file", "PATH",
                "prove who you are with the token in this file: one line, of at most \(Limits.tokenLength) bytes, as in "
                    + "the server's own file"
            ) { settings, text throws(UsageError) in
                settings.options.token = try token(inFile: text)
            },
        ])

    private static let heartbeat = FlagSection<ClientSettings>(
        "Heartbeat",
        [
            Flag(
                "--ping-every", "DURATION", "ask for a heartbeat this often", \.options.pingEvery,
                .duration(in: .milliseconds(1)...longest), unset: "the server chooses"),
            Flag(
                "--dead-after", "DURATION", "ask that silence ends the connection after this long",
                \.options.deadAfter, .duration(in: .milliseconds(1)...longest), unset: "the server chooses"),
        ])

    private static let messages = FlagSection<ClientSettings>(
        "Messages",
        [
            Flag("--may-run-twice", "repeat also what the server may have processed already") {
                $0.mayRunTwice = true
            },
            Flag(
                "--binary",
                "send all of standard input, or MESSAGE, as one message; print the reply's bytes and no line end"
            ) { $0.isBinary = true },
        ])

    private static let output = FlagSection<ClientSettings>(
        "Output",
        [
            Flag(
                "--verbose",
                "on standard error, tell of heartbeats, connections, and the progress of messages that take over a second"
            ) { $0.isVerbose = true }
        ])
}
