import Arguments
import LifelineServer

/// What one program serves.
enum ProgramScope: String, CaseIterable {
    case connection, request
}

/// What the command line of `server` and its configuration file set. The flags that do so stand in `Flags`.
struct ServerSettings {
    /// The configuration file.
    var file: String?
    /// What the configuration file held.
    var fileBytes: [UInt8] = []
    var options = ServerOptions()
    /// Whether --host or --port was given.
    var namesHost = false
    /// The rules of admission that a value such as `none` has taken back.
    var removedRules: Set<AdmissionRule> = []
    var daemon = DaemonSettings()
    /// Whether the system's limits are looked at, and nothing is served.
    var checks = false

    var namedHandler: BuiltInHandler?
    /// The program that `--exec` names, and its arguments; empty where a built-in handler answers.
    var command: [String] = []
    var scope: ProgramScope?
    var framing: ProgramFraming?
    var isForShell = false
    var programGrace: Duration?
    /// What `--exempt` has named so far.
    var exempt: [AddressRange] = []

    static let defaultHandler = BuiltInHandler.echo
    var handler: BuiltInHandler { namedHandler ?? ServerSettings.defaultHandler }

    /// The longest duration that fits the wire in whole hours: durations there are 32 bits of milliseconds.
    static let longest = Duration.seconds(1193 * 3600)

    static func defaultFraming(of scope: ProgramScope) -> ProgramFraming { scope == .request ? .raw : .line }

    /// Whether the handler works only where connections reach one another.
    var needsTopics: Bool { command.isEmpty && handler == .chat }

    /// What `--exec` names; nil where a built-in handler answers.
    func program() throws(StartError) -> Program? {
        guard !command.isEmpty else { return nil }
        var program = try Program(isForShell ? ["/bin/sh", "-c"] + command : command)
        program.framing = framing ?? ServerSettings.defaultFraming(of: scope ?? .connection)
        if let programGrace { program.grace = programGrace }
        return program
    }

    // MARK: Contradictions

    /// Throws where two flags contradict each other.
    func check() throws(UsageError) {
        guard options.maxQueued >= options.maxMessage else {
            throw UsageError(
                "--max-queued \(options.maxQueued) is below --max-message \(options.maxMessage): "
                    + "raise it, or no message of the full length could ever be served")
        }
        if let budget = options.memoryBudget, budget < 2 * UInt64(options.maxMessage) {
            throw UsageError(
                "--memory-budget \(budget) is below twice --max-message \(options.maxMessage): one connection may hold half "
                    + "of it, so raise it, or no message of the full length could ever be served")
        }
        if options.tokenFromCN, !options.listenAddresses.contains(where: { $0.proxies(options.proxyFrom) != nil }) {
            throw UsageError(
                "--token-from-cn takes the certificate's name from the header of a proxy: say with --proxy-from where "
                    + "proxies connect from")
        }
        if options.publishSocket != nil, !options.topics {
            throw UsageError(
                "--publish-socket needs --topics: without topics there is nobody to publish to")
        }
        try checkProgram()
        do throws(StartError) {
            try options.checkPool(servesProgram: !command.isEmpty)
            try options.checkSharing(servesProgram: !command.isEmpty)
        } catch {
            throw UsageError(error.description)
        }
        try daemon.check(options)
    }

    private func checkProgram() throws(UsageError) {
        if command.isEmpty {
            let aboutPrograms: [(String, Bool)] = [
                ("--exec-per", scope != nil), ("--exec-framing", framing != nil), ("--shell", isForShell),
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
        switch (scope, framing) {
        case (.request?, .line?), (.request?, .length?), (.request?, .tagged?), (.request?, .taggedLength?):
            throw UsageError(
                "--exec-per request takes --exec-framing raw, which is its default: a program that has one request "
                    + "needs no line or length to tell it from the next")
        case (.connection?, .raw?), (nil, .raw?):
            throw UsageError(
                "--exec-framing raw needs --exec-per request: on a connection's standard input no request could be told "
                    + "from the next; use tagged, tagged-length, line or length")
        default: break
        }
    }
}
