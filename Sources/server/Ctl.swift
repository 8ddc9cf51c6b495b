import Arguments
import Basics
import LifelineServer
import Posix

/// `server ctl`: an operator asks and orders a running server.
struct Ctl {
    var path = ControlClient.defaultPath
    var words: [String] = []
    var table = ConnectionTable()
    /// A part of the name of connections that are listed; or the name of those that a message is for.
    var name: String?
    var target = PushTarget()
    var isJSON = false
    var isWatched = false

    static let command = Command<Ctl>(
        "server ctl", operands: "COMMAND",
        summary: "Asks and orders a running server, on its control socket.", defaults: Ctl(),
        flags: [
            Flag("--control", "PATH", "the control socket that the server was started with", \.path, .text),
            Flag("--json", "a line of JSON for each row, or for the answer") { $0.isJSON = true },
            Flag("--watch", "connections: again each second, until Ctrl-C") { $0.isWatched = true },
            Flag(
                "--sort", "KEY",
                "connections: by id, pid, peer, name, state, age, heard, rtt, in-flight, requests or bytes; the most "
                    + "first", \.table.order, .choice),
            Flag("--peer", "TEXT", "connections: only those with this in their address", \.table.peer, .text),
            Flag(
                "--name", "TEXT",
                "connections: only those with this in the name that they gave; send and the like: those that gave just "
                    + "this name", \.name, .text),
            Flag(
                "--connection", "ID", "send and the like: the connection with this number", \.target.connection,
                .integer(in: 1...UInt64.max)),
            Flag("--token", "NAME", "send and the like: those with the token of this name", \.target.token, .text),
            Flag("--all", "send and the like: all connections") { $0.target.isAll = true },
            Flag(
                "--for", "DURATION", "request: how long the client has for its answer", \.target.timeout,
                .duration(in: .milliseconds(1)...PushCommand.longestTimeout),
                unset: FlagValue.describe(PushCommand.defaultTimeout)),
            Flag(
                "--state", "STATE",
                "connections: only those that are \(ConnectionTable.states.joined(separator: ", "))", \.table.state,
                .choice(of: ConnectionTable.states)),
        ],
        verbs: [
            Verb("status", "how the server is, and what it has done"),
            Verb(
                "connections",
                "all connections: id, process, peer, name, state, age, when the client was heard last, the last round "
                    + "trip, unanswered requests, requests, bytes in and out"),
            Verb("drop", "ID", "end this connection with CLOSE(KICKED)"),
            Verb("drain", "end the server as SIGTERM does"),
            Verb("reload", "read the configuration again, as SIGHUP does; 69 where it is wrong"),
            Verb("penalties", "what sources owe for handshakes that failed, and how long they are refused"),
            Verb("lift", "RANGE", "forgive the sources of this range of addresses, such as 192.0.2.0/24"),
            Verb(
                "log-level", "LEVEL",
                "log error, warning, info or debug from now on, in the connections that live too, until the "
                    + "configuration is read again", choices: LogLevel.allCases.map(\.rawValue)),
        ] + PushVerb.verbs,
        exits: [
            ExitMeaning(.ok, "it is done"), ExitMeaning(.usage, "the command line is wrong"),
            ExitMeaning(.unavailable, "no server answers, or it cannot do it, or request has found nobody to ask"),
            ExitMeaning(.software, "request: the client has answered that it failed"),
            ExitMeaning(.osError, "the system refused something"),
            ExitMeaning(.ioError, "standard output cannot be written"),
            ExitMeaning(.tryLater, "it may be done or not: the answer did not come"),
            ExitMeaning(.protocolError, "what answers is no server, or too slow"),
            ExitMeaning(.noPermission, "only the server's owner and root may ask"),
        ]
    ) { ctl, argument throws(UsageError) in ctl.words.append(try argument.text()) }

    /// Does what the arguments ask for, and leaves.
    static func run(_ arguments: [String]) -> Never {
        var ctl = Ctl()
        do throws(any Error) {
            switch try command.parse(arguments, into: &ctl) {
            case .help: try say(withoutEnd(command.help))
            case .version: try say("server (Lifeline) \(lifelineVersion)")
            case .generate: throw UsageError("--generate is not a flag of server ctl")
            case .run: try ctl.run()
            }
        } catch let error as ControlError {
            fail(error.status, error.text)
        } catch let error as Failed {
            fail(error.status, error.text)
        } catch {
            fail(.usage, "\(error)")
        }
        exitProcess(ExitStatus.ok.rawValue)
    }

    private func run() throws {
        guard !words.isEmpty else { throw UsageError("a command is missing; see server ctl --help") }
        if let verb = PushVerb(rawValue: words[0]) { return try push(verb) }
        if let flag = target.flag { throw UsageError("\(flag) does not go with \(words[0]); see server ctl --help") }
        let request: ControlRequest
        do { request = try ControlRequest(words: words) } catch { throw UsageError("\(error); see server ctl --help") }
        let client = ControlClient(path: path)
        guard request == .connections else {
            guard !isWatched else { throw UsageError("--watch goes with connections alone") }
            let answer = try client.ask(request)
            return try show(isJSON ? jsonLines(answer) : lines(answer, to: request))
        }
        if isWatched { try ConnectionsScreen(self, client).run() }
        let answer = try client.ask(request)
        try show(isJSON ? json(answer) : ConnectionTable.lines(rows(answer)))
    }

    /// Asks what back-ends ask.
    private func push(_ verb: PushVerb) throws {
        guard !isWatched else { throw UsageError("--watch goes with connections alone") }
        let command = try target.command(verb, Array(words.dropFirst()), name: name, input: readInput)
        switch try PushClient(control: ControlClient(path: path)).ask(command) {
        case .failure(let failure): throw PushOutput.error(failure.code, failure.text)
        case .answer(let answer):
            guard verb != .request || isJSON || StandardStream.output.isTerminal else { return try write(answer) }
            try show(PushOutput(verb: verb, isJSON: isJSON).lines(answer))
        }
    }

    /// Writes a client's answer as it is, for a program.
    private func write(_ answer: [UInt8]) throws(Failed) {
        guard !isOutputClosed() else { throw Failed(.ioError, "cannot write to standard output: it is closed") }
        do throws(SystemError) { try StandardStream.output.write(answer) } catch {
            throw Failed(.ioError, "cannot write to standard output: \(error.text)")
        }
    }

    /// The rows that are wanted.
    func rows(_ answer: ControlReply) -> [JSONObject] {
        var table = table
        table.name = name
        return table.rows(of: answer.rows)
    }

    func json(_ answer: ControlReply) -> [String] { rows(answer).map(\.line) }

    private func jsonLines(_ answer: ControlReply) -> [String] {
        answer.rows.isEmpty ? [answer.verdict.line] : answer.rows.map(\.line)
    }

    private func show(_ lines: [String]) throws(Failed) {
        if !lines.isEmpty { try say(lines.joined(separator: "\n")) }
    }

    private func lines(_ answer: ControlReply, to request: ControlRequest) -> [String] {
        let verdict = answer.verdict
        func word(_ key: String) -> String { verdict.words.first { $0.key == key }?.value ?? "?" }
        switch request {
        case .drop: return ["connection \(word("id")) of \(word("peer")) is dropped (pid \(word("pid")))"]
        case .drain:
            return [
                (verdict.isTrue("began") ? "draining" : "draining already")
                    + ", \(counted(word("connections"))) left"
            ]
        case .reload:
            return ["reloaded"] + (verdict.text("kept").map { ["a restart alone changes \($0)"] } ?? [])
        case .logLevel: return ["the log level is \(word("log_level")), and was \(word("before"))"]
        default:
            let rows = answer.rows.map { row in row.words.map { "\($0.key)=\($0.value)" }.joined(separator: " ") }
            let members = verdict.words.filter { !["lifeline", "ok"].contains($0.key) }
            return rows + members.map { "\($0.key): \($0.value)" }
        }
    }
}

/// How many connections there are, as a person says it.
func counted(_ connections: String) -> String { connections == "1" ? "1 connection" : "\(connections) connections" }

/// `say` ends its line itself.
private func withoutEnd(_ text: String) -> String { text.hasSuffix("\n") ? String(text.dropLast()) : text }
