import Arguments
import RawWire
import SystemTLS

/// What the command line of `conformance` says.
struct ConformanceSettings {
    enum Subject: Sendable { case server, client }

    var operands: [String] = []
    var list = false
    var coverage: String?
    var only: [String] = []
    var isStrict = false
    var jobs = 1
    var again = 0
    var scale = 1.0
    var chop: Int?
    var junit: String?
    var json: String?
    var html: String?
    var port: UInt16 = 0
    /// The files of the certificate and the key.
    var tls: TLSSettings?
    var known = ServerBench.Known()

    /// What is to be judged, and where or how to start it.
    func subject() throws(UsageError) -> (Subject, [String]) {
        guard let first = operands.first else {
            throw UsageError(
                "say what to judge: conformance server HOST:PORT, or conformance client -- COMMAND; see --help")
        }
        let rest = Array(operands.dropFirst())
        switch first {
        case "server": return (.server, rest)
        case "client": return (.client, rest)
        default: throw UsageError("'\(first)' can't be judged: it is server or client; see --help")
        }
    }

    static let command = Command<ConformanceSettings>(
        "conformance", operands: "server HOST:PORT | client -- COMMAND ...",
        summary: "Judges any server or any client of the Lifeline protocol by the bytes that it sends.",
        defaults: ConformanceSettings(),
        flags: [
            Flag("--list", "print the cases of server, client or both, and run none") { $0.list = true },
            Flag("--coverage", "FILE", "print the requirements of this Protocol.md that have no case") {
                $0.coverage = $1
            },
            Flag("--only", "PREFIX", "run only cases whose id or requirement begins so; may be repeated") {
                $0.only.append($1)
            },
            Flag("--strict", "a SHOULD that is not kept counts as a failure") { $0.isStrict = true },
            Flag("--jobs", "N", "cases at a time (1)") { settings, text throws(UsageError) in
                settings.jobs = try FlagValue.integer(text, in: 1...64)
            },
            Flag("--again", "N", "try a case that failed up to N times more, alone: a busy machine passes then (0)") {
                settings, text throws(UsageError) in
                settings.again = try FlagValue.integer(text, in: 0...10)
            },
            Flag("--scale", "FACTOR", "multiply all times, from 0.1 to 10 (1)") { settings, text throws(UsageError) in
                guard let scale = Double(text), (0.1...10).contains(scale) else {
                    throw UsageError("'\(text)' is not a factor from 0.1 to 10")
                }
                settings.scale = scale
            },
            Flag("--chop", "BYTES", "hand so many bytes at a time to the kernel (all at once)") {
                settings, text throws(UsageError) in
                settings.chop = try FlagValue.integer(text, in: 1...65536)
            },
            Flag("--junit", "FILE", "write a report for build servers") { $0.junit = $1 },
            Flag("--json", "FILE", "write a report for programs") { $0.json = $1 },
            Flag(
                "--html", "FILE",
                "write a page: what failed first, the sections in numbers, and the frames of each case"
            ) { $0.html = $1 },
            Flag("--port", "PORT", "client: where to listen (0: the system chooses; see {port})") {
                settings, text throws(UsageError) in
                settings.port = try FlagValue.integer(text, in: 0...UInt16.max)
            },
            Flag("--tls", "CERT,KEY", "client: speak TLS with the certificate and the key of these files (PEM)") {
                settings, text throws(UsageError) in
                let files = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                guard files.count == 2, !files.contains("") else {
                    throw UsageError("'\(text)' is not two files, as in cert.pem,key.pem")
                }
                var tls = TLSSettings(.server)
                (tls.certificateFile, tls.keyFile) = (files[0], files[1])
                settings.tls = tls
            },
            Flag("--handshake-timeout", "DURATION", "server: the one that it was started with (10)") {
                settings, text throws(UsageError) in
                settings.known.handshakeTimeout = try FlagValue.duration(text)
            },
            Flag("--heartbeat", "DURATION", "server: the one that it was started with (60)") {
                settings, text throws(UsageError) in
                let heartbeat = try FlagValue.duration(text)
                settings.known.heartbeat = UInt32(clamping: Int(heartbeat / .milliseconds(1)))
            },
            Flag(
                "--max-connections", "N", "server: the limit that it was started with (the cases about it are skipped)"
            ) {
                settings, text throws(UsageError) in
                settings.known.maxConnections = try FlagValue.integer(text, in: 1...10_000)
            },
            Flag("--proxy", "VERSION", "server: begin connections with a header of the PROXY protocol, v1 or v2") {
                settings, text throws(UsageError) in
                guard let version = ServerBench.ProxyVersion(rawValue: text) else {
                    throw UsageError("'\(text)' is no version of the PROXY protocol's header: it is v1 or v2")
                }
                settings.known.proxy = version
            },
            Flag("--ask-with", "TEXT", "server: a request of TEXT and more makes it ask the client the rest") {
                $0.known.askWith = $1
            },
            Flag("--tell-with", "TEXT", "server: a request of TEXT and more makes it send the rest as a message") {
                $0.known.tellWith = $1
            },
            Flag("--hold-with", "TEXT", "server: the message that keeps its handler busy for a second") {
                $0.known.holdWith = $1
            },
        ],
        notes: """
            A server is judged as it is: it should echo each request, and its --timeout should be a second or more. The
            cases ask for the short times that they need in HELLO. Some things a server does only where its handler wants
            it. Name a text for each: --ask-with "ask " says that the request "ask x" makes the handler ask the client "x",
            and answer with what the client answers, or fail. --tell-with "tell " says that "tell x" makes it send the
            message "x". --hold-with "hold" says that the message "hold" takes its handler a second. Cases for which the
            text is missing are skipped.

            With --proxy the suite takes the place of a proxy, before a server that demands a header of the PROXY protocol
            (server --proxy-from). Every connection begins with a header, which names a source of 192.0.2.0/24 or
            2001:db8::/32. Cases about the header itself use both versions, and are skipped without --proxy.

            A client is started anew for each case: COMMAND connects to 127.0.0.1 and the port that stands in it as {port}
            (or to --port), with {mode} replaced by long or short; it sends each line of its standard input as a request,
            and leaves at its end. Without {mode} the cases for short connections are skipped. A word {send:WORD} becomes
            WORD where lines are to be messages, such as {send:--send}; else it is left out. Without it the cases about
            messages of the client are skipped. Cases about requests of the server need a client that answers them.

            Each case has two verdicts: what was done, and how the connection was closed. Exit status: 0 where every MUST
            is kept (with --strict every SHOULD too), 1 where one is not, 64 for a wrong command line, 66 where FILE cannot
            be read, 69 where there is nothing to judge, 74 where a report cannot be written.
            """
    ) { settings, argument throws(UsageError) in settings.operands.append(try argument.text()) }
}
