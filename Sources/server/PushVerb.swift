import Arguments
import Basics
import Framing
import LifelineServer
import Posix

/// What `server ctl` has of topics: the commands that a back-end has too.
enum PushVerb: String, CaseIterable {
    case publish, send, request, subscribe, unsubscribe, members, topics, online, disconnect

    /// Whether it names a recipient, with --connection, --name, --token or --all.
    var hasRecipient: Bool {
        switch self {
        case .send, .request, .subscribe, .unsubscribe, .online, .disconnect: true
        case .publish, .members, .topics: false
        }
    }

    /// What stands behind it: operands that must be there, and others.
    fileprivate var operands: (needed: [String], optional: String?) {
        switch self {
        case .publish: (["TOPIC"], "TEXT")
        case .send, .request, .disconnect: ([], "TEXT")
        case .subscribe, .unsubscribe, .members: (["TOPIC"], nil)
        case .topics, .online: ([], nil)
        }
    }

    static let verbs: [Verb] = [
        Verb("publish", "TOPIC [TEXT]", "publish to a topic; without TEXT, what comes on standard input, to its end"),
        Verb(
            "send", "[TEXT]",
            "send to the connections of --name, --connection or --token, or to --all; without TEXT, standard input"),
        Verb("request", "[TEXT]", "ask one client, and print its answer; without TEXT, standard input"),
        Verb("subscribe", "TOPIC", "subscribe the connections of --name, --connection, --token or --all"),
        Verb("unsubscribe", "TOPIC", "end that"),
        Verb("members", "TOPIC", "which connections have subscribed to a topic"),
        Verb("topics", "which topics there are, and how many connections have subscribed to each"),
        Verb("online", "how many connections --name, --connection, --token or --all has"),
        Verb("disconnect", "[TEXT]", "end them with CLOSE(KICKED) and TEXT"),
    ]
}

/// Whom a command of `server ctl` is for.
struct PushTarget {
    var connection: UInt64?
    var token: String?
    var isAll = false
    var timeout: Duration?

    /// The flag of it that was given; nil for none.
    var flag: String? {
        connection != nil ? "--connection" : token != nil ? "--token" : isAll ? "--all" : timeout != nil ? "--for" : nil
    }

    /// The recipient, of which there is to be one. `name` is the value of --name.
    fileprivate func recipient(_ verb: PushVerb, name: String?) throws(UsageError) -> Recipient {
        let given: [Recipient] =
            (connection.map { [.connection($0)] } ?? []) + (name.map { [.name($0)] } ?? [])
            + (token.map { [.token($0)] } ?? []) + (isAll ? [.all] : [])
        let flags = verb == .request ? "--name, --connection or --token" : "--name, --connection, --token or --all"
        guard given.count == 1, verb != .request || given[0] != .all else {
            throw UsageError("\(verb.rawValue) is for whom \(flags) says: give one of them")
        }
        if name?.isEmpty ?? false || token?.isEmpty ?? false { throw UsageError("'' is nobody's name") }
        return given[0]
    }

    /// The command that the words behind `verb` make; `input` reads the payload where no word has it.
    func command(
        _ verb: PushVerb, _ words: [String], name: String?, input: () throws(Failed) -> [UInt8]
    ) throws -> PushCommand {
        let (needed, optional) = verb.operands
        guard words.count >= needed.count, words.count <= needed.count + (optional == nil ? 0 : 1) else {
            let form = ([verb.rawValue] + needed + (optional.map { ["[\($0)]"] } ?? [])).joined(separator: " ")
            throw UsageError(
                "\(verb.rawValue) has other operands: server ctl \(form); a TEXT with blanks stands in quotes")
        }
        if !verb.hasRecipient, let flag = name == nil ? flag : "--name" {
            throw UsageError("\(flag) does not go with \(verb.rawValue)")
        }
        if timeout != nil, verb != .request { throw UsageError("--for goes with request alone") }
        if needed == ["TOPIC"] {
            do throws(PushCommandError) { try PushCommand.check(topic: words[0]) } catch {
                throw UsageError(error.description)
            }
        }
        let recipient = verb.hasRecipient ? try recipient(verb, name: name) : .all
        func payload() throws(Failed) -> ArraySlice<UInt8> {
            words.count > needed.count ? Array(words[needed.count].utf8)[...] : try input()[...]
        }
        return switch verb {
        case .publish: .publish(topic: words[0], try payload())
        case .send: .send(recipient, try payload())
        case .request: .request(recipient, timeout: timeout ?? PushCommand.defaultTimeout, try payload())
        case .subscribe, .unsubscribe: .enroll(recipient, topic: words[0], isOn: verb == .subscribe)
        case .members: .members(topic: words[0])
        case .topics: .topics
        case .online: .online(recipient)
        case .disconnect: .disconnect(recipient, words.first ?? "")
        }
    }
}

/// What `server ctl` prints of an answer.
struct PushOutput {
    let verb: PushVerb
    let isJSON: Bool

    /// The lines that an answer makes.
    func lines(_ answer: [UInt8]) throws(ControlError) -> [String] {
        let text = String(decoding: answer, as: UTF8.self)
        switch verb {
        case .request:
            if isJSON { return ["{\"answer\":\(text.quotedAsJSON)}"] }
            // For a terminal: a client may have answered anything.
            return text.split(separator: "\n", omittingEmptySubsequences: false).map(\.printable)
        case .members, .topics:
            let rows = answer.split(separator: 0x0A).map { JSONObject(line: $0) }
            guard !rows.contains(nil) else { throw PushOutput.wrong(text) }
            let all = rows.compactMap { $0 }
            return isJSON ? all.map(\.line) : PushOutput.table(all, keys)
        case .publish, .send, .subscribe, .unsubscribe, .online, .disconnect:
            guard let count = UInt64(text) else { throw PushOutput.wrong(text) }
            if isJSON { return ["{\"connections\":\(count)}"] }
            let past = [
                PushVerb.subscribe: "subscribed ", .unsubscribe: "unsubscribed ", .online: "", .disconnect: "ended ",
            ]
            return [(past[verb] ?? "reached ") + counted("\(count)")]
        }
    }

    private var keys: [String] {
        verb == .topics ? ["topic", "subscribers"] : ["connection", "name", "token", "peer"]
    }

    /// Columns, the first line their names.
    private static func table(_ rows: [JSONObject], _ keys: [String]) -> [String] {
        let cells =
            [keys.map { $0.uppercased() }]
            + rows.map { row in
                let words = row.words
                return keys.map { key in words.first { $0.key == key }?.value ?? "-" }
            }
        let widths = keys.indices.map { column in cells.map { $0[column].columns }.max() ?? 0 }
        return cells.map { row in
            row.indices.map { column in
                // Nothing stands behind the last.
                let space = column == keys.count - 1 ? 0 : widths[column] - row[column].columns
                return row[column] + String(repeating: " ", count: space)
            }.joined(separator: "  ")
        }
    }

    private static func wrong(_ text: String) -> ControlError {
        ControlError(status: .protocolError, text: "the server has answered '\(text.prefix(80).printable)'")
    }

    /// The error that a failure is. Its status says whether another try may help.
    static func error(_ code: Code, _ text: String) -> ControlError {
        let words: [(String, ExitStatus)] = [
            ("BAD_COMMAND: ", .usage), ("NOT_SENT: ", .unavailable), ("REFUSED: ", .unavailable),
            ("UNKNOWN: ", .tryLater),
        ]
        if code == .refused { return ControlError(status: .unavailable, text: text.printable) }
        if code == .handlerFailed, let (word, status) = words.first(where: { text.hasPrefix($0.0) }) {
            return ControlError(
                status: status, text: (word == "BAD_COMMAND: " ? String(text.dropFirst(word.count)) : text).printable)
        }
        return ControlError(
            status: .software, text: "FAILED: \(code)\(text.isEmpty ? "" : ", ")\(text)".printable)
    }
}

/// Reads standard input to its end. Throws where that is more than a server takes, or cannot be read.
func readInput() throws(Failed) -> [UInt8] {
    // No server takes more (--max-message).
    let most = 1 << 30
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    do throws(SystemError) {
        while bytes.count <= most {
            let count = try StandardInput.read(into: &buffer)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    } catch {
        throw Failed(.ioError, "cannot read standard input: \(error.text)")
    }
    throw Failed(.usage, "standard input has more than \(most) bytes, which no server takes")
}
