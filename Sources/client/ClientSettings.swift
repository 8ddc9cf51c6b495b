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
    /// As typed; `check` makes `servers` of it.
    var hosts: [String] = []
    var port: UInt16 = 7400
    /// The servers that take turns, each with its port.
    private(set) var servers: [String] = []
    /// For connecting, and for each request.
    var timeout = Duration.seconds(30)
    var hold = Duration.zero
    var isVerbose = false
    var isBinary = false
    var isJSON = false
    /// Whether messages go one way, and nothing is awaited.
    var isOneWay = false
    /// Whether the server's one-way messages are for standard output.
    var showsMessages = false
    /// How many messages may wait for their answers on a long connection.
    var inFlight = 64
    /// How many short connections there are at once.
    var jobs = 1
    /// The program that answers the server's requests, and its arguments; empty for none.
    var command: [String] = []
    var isForShell = false
    var mayRunTwice = false
    var messages: [[UInt8]] = []
    var options = ClientOptions()
    var tls = TLSFlags()

    /// The longest message of standard input where no server has told its limit.
    static let longestInput = 1 << 30
    static let defaultHost = "127.0.0.1"
    /// A machine that starts again is back by then.
    private static let defaultOutage = Duration.seconds(300)
    /// The longest duration that fits the wire in whole hours: durations there are 32 bits of milliseconds.
    private static let longest = Duration.seconds(1193 * 3600)

    /// How long a short connection waits for a server that has answered before. A limit of attempts allows no wait.
    var outageLimit: Duration {
        options.reconnect.attempts == nil ? options.reconnect.giveUpAfter ?? .seconds(3_000_000_000) : .zero
    }

    init() { options.reconnect.giveUpAfter = ClientSettings.defaultOutage }

    /// Throws where two flags contradict each other, one that is `given` means nothing, or a server's name is wrong.
    mutating func check(_ given: Set<String> = []) throws(UsageError) {
        guard !isBinary || messages.count <= 1 else {
            throw UsageError("--binary sends one message, and \(messages.count) are given")
        }
        servers = try ClientSettings.servers(hosts, port: port)
        try tls.check(given)
        options.tls = tls.chosen
        guard mode == .long || hold == .zero else {
            throw UsageError("--hold needs --mode long: a short connection ends with its answer")
        }
        let longOnly = [(isOneWay, "--send"), (showsMessages, "--messages"), (!command.isEmpty, "--answer")]
        for (isGiven, name) in longOnly where isGiven && mode == .short {
            throw UsageError("\(name) needs --mode long: a short connection carries one request and its answer")
        }
        for (name, needed) in [("--jobs", Mode.short), ("--in-flight", .long)]
        where given.contains(name) && mode != needed {
            throw UsageError("\(name) needs --mode \(needed.rawValue)")
        }
        guard !given.contains("--answers") || !command.isEmpty else {
            throw UsageError("--answers needs --answer and a program")
        }
        guard !isForShell || command.count == 1 else {
            throw UsageError(
                "--shell needs --answer with one word, which /bin/sh -c gets, and there are \(command.count): quote it")
        }
        guard !isJSON || !isBinary else {
            throw UsageError("--json and --binary contradict each other: a line of JSON is no answer's bytes")
        }
    }

    /// The servers that the values of --host name, or that of its default.
    static func servers(_ hosts: [String], port: UInt16) throws(UsageError) -> [String] {
        do throws(ConnectionError) {
            return try serverNames(hosts.isEmpty ? [defaultHost] : hosts, port: port)
        } catch {
            throw UsageError("--host: \(error.text)")
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
        do throws(TextFileError) {
            let lines = try TextFile(bytes).lines
            guard let line = lines.first else { throw TextFileError("there is no token in it") }
            guard lines.count == 1 else {
                throw TextFileError("it holds \(lines.count) tokens, and a client has one: leave one line")
            }
            return Array(try TokenLine(line).token)
        } catch {
            throw wrong(error.description)
        }
    }

    static let command = Command<ClientSettings>(
        "client", operands: "[MESSAGE ...]",
        summary: "Sends messages to a Lifeline server and prints its replies, a line each.",
        defaults: ClientSettings(), sections: sections, subcommands: [LoadBenchmark.command.shape],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h. A message "bench" goes behind --.

            Several servers take turns: --host a,b:7401,[::1] or --host more than once. When one fails, sends BUSY,
            SHUTTING_DOWN, UNAUTHORIZED or GOAWAY, or answers rubbish, the next one is tried, and it rests for its own
            back-off. Of a name with several addresses, the next one is tried until one says WELCOME.

            Without MESSAGE each line of standard input is one; in a terminal "quit" or Ctrl-D ends it. Replies come in
            the order of the messages. --timeout counts for the first message without an answer, from when it is the first.
            When the server goes away, a message that it certainly did not process is sent
            again; of any other one, standard error says what became of it. The time without a connection does not count for
            --timeout.
            """,
        exits: [
            ExitMeaning(.ok, "every message was answered"), ExitMeaning(.usage, "the command line is wrong"),
            ExitMeaning(.noHost, "the host is unknown"),
            ExitMeaning(.unavailable, "no server answers, or the system has no OpenSSL for --tls"),
            ExitMeaning(.software, "the server failed to do it"),
            ExitMeaning(.ioError, "standard output cannot be written, or standard input cannot be read"),
            ExitMeaning(.tryLater, "trying again later may help"),
            ExitMeaning(.protocolError, "the peer does not speak the protocol, or TLS with it fails"),
            ExitMeaning(.noPermission, "the server does not want this client"),
        ]
    ) { settings, argument throws(UsageError) in settings.messages.append(argument.bytes) }

    private static let sections = [connection, Flag.tlsSection(\.tls), heartbeat, messages, answers, output]

    private static let connection = FlagSection<ClientSettings>(
        "Connection",
        [
            Flag("--mode", "MODE", "long: one connection for all messages; short: one for each", \.mode, .choice),
            Flag.host(\.hosts),
            Flag("--port", "PORT", "the port of a server that names none", \.port, .integer(in: 1...UInt16.max)),
            Flag(
                "--timeout", "DURATION", "give up connecting, and each request, after this long", \.timeout,
                .duration(in: .milliseconds(1)...longest)),
            Flag.wait(\.options.wait),
            Flag.duration(
                "--reconnect-for", "after a loss, try to connect again for this long; 0: not at all",
                \.options.reconnect.giveUpAfter),
            Flag(
                "--retries", "N", "and no more than this many attempts that fail in a row",
                \.options.reconnect.attempts, .integer(in: 0...1_000_000), unset: "no limit"),
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
            Flag(
                "--in-flight", "N",
                "with --mode long, this many messages wait for their answers at once; 1: one after another", \.inFlight,
                .integer(in: 1...65536)),
            Flag(
                "--jobs", "N",
                "with --mode short, this many connections at once; with 1 the messages run in their order",
                \.jobs, .integer(in: 1...1024)),
            Flag("--send", "send messages one way: nothing is answered, and the end waits until the server has them") {
                $0.isOneWay = true
            },
            Flag(
                "--max-message", "BYTES", "the longest answer or message that is accepted", \.options.maxMessage,
                .size(in: 1...UInt32.max)),
            Flag("--may-run-twice", "repeat also what the server may have processed already") {
                $0.mayRunTwice = true
            },
            Flag(
                "--binary",
                "send all of standard input, or MESSAGE, as one message; print the reply's bytes and no line end"
            ) { $0.isBinary = true },
        ])

    private static let answers = FlagSection<ClientSettings>(
        "Requests of the server",
        [
            Flag.rest(
                "--answer", "COMMAND ...",
                "answer each request of the server with a program, with all that follows as its arguments; last of the "
                    + "flags. Its standard input is the request, its standard output the answer; an exit status but 0 "
                    + "is HANDLER_FAILED, with the last line of its standard error"
            ) { settings, words throws(UsageError) in
                guard !words[0].isEmpty else { throw UsageError("'' is not the name of a program") }
                settings.command = words
            },
            Flag("--shell", "COMMAND is one word, for /bin/sh -c") { $0.isForShell = true },
            Flag(
                "--answers", "N", "this many programs run at once; the server holds back its further requests",
                \.options.answersAtOnce, .integer(in: 1...1024)),
        ])

    private static let output = FlagSection<ClientSettings>(
        "Output",
        [
            Flag(
                "--messages",
                "print the server's one-way messages on standard output, a line each; otherwise they are notices"
            ) { $0.showsMessages = true },
            Flag("--json", "on standard output, print a line of JSON for each thing that happens, and no notices") {
                $0.isJSON = true
            },
            Flag(
                "--verbose",
                "on standard error, tell of heartbeats, connections, and the progress of messages that take over a second"
            ) { $0.isVerbose = true },
        ])
}
