import Basics

/// A request of an operator on the control socket.
///
/// It is one line, `lifeline 1 COMMAND [ARGUMENT]`; 1 is the version of request and answer. The answer is lines of
/// JSON, each a flat object: the rows of the command, and last the verdict. That has `"ok":true`, or `"ok":false` with
/// an `error` for programs and a `text` for people. Then the server closes. An answer without a verdict is broken. New
/// members may come at any time; a new meaning gets a new version.
///
/// Behind the verdict of `push` the server does not close. The connection speaks Lifeline from its first byte on, as
/// one of the publish socket does (`PushCommand`). Whoever asks sends nothing more before the verdict has come.
package enum ControlRequest: Equatable, Sendable {
    case status
    case connections
    case drop(UInt64)
    case drain
    case reload
    case penalties
    /// Lifts the penalties of the sources of this range of addresses.
    case lift(String)
    case logLevel(LogLevel)
    /// From the verdict on the connection is that of a back-end.
    case push

    static let version = 1
    /// A longer line than this is refused, in bytes.
    static let longest = 4096

    /// The line that asks it.
    package var line: String { "lifeline \(ControlRequest.version) \(words)\n" }

    private var words: String {
        switch self {
        case .status: "status"
        case .connections: "connections"
        case .drop(let id): "drop \(id)"
        case .drain: "drain"
        case .reload: "reload"
        case .penalties: "penalties"
        case .lift(let address): "lift \(address)"
        case .logLevel(let level): "log-level \(level.rawValue)"
        case .push: "push"
        }
    }

    /// Reads the bytes that have come; nil where the line has not ended.
    init?(_ bytes: [UInt8]) throws(ControlRequestError) {
        guard let end = bytes.firstIndex(of: 0x0A) else {
            guard bytes.count < ControlRequest.longest else {
                throw ControlRequestError(error: "bad_request", text: "a request is one line of at most 4096 bytes")
            }
            return nil
        }
        let line = String(decoding: bytes[..<end], as: UTF8.self)
        let words = line.split { $0 == " " || $0 == "\r" }.map(String.init)
        guard words.count >= 3, words[0] == "lifeline" else {
            throw ControlRequestError(
                error: "bad_request", text: "expected 'lifeline 1 COMMAND', got '\(Escaping.plain(line, most: 80))'")
        }
        guard words[1] == "\(ControlRequest.version)" else {
            throw ControlRequestError(
                error: "bad_version", text: "version 1 is spoken here, not '\(Escaping.plain(words[1], most: 80))'")
        }
        try self.init(words[2], Array(words[3...]))
        // What was read with the line would be lost to whom the connection goes to.
        if self == .push, bytes.endIndex > end + 1 {
            throw ControlRequestError(
                error: "bad_request", text: "push: nothing may be sent before the server has answered")
        }
    }

    /// Reads a command and its arguments, as a person types them too.
    package init(words: [String]) throws(ControlMistake) {
        do throws(ControlRequestError) {
            try self.init(words.first ?? "", Array(words.dropFirst()))
        } catch {
            throw ControlMistake(description: error.text)
        }
    }

    private init(_ command: String, _ arguments: [String]) throws(ControlRequestError) {
        switch (command, arguments.count) {
        case ("status", 0): self = .status
        case ("connections", 0): self = .connections
        case ("drain", 0): self = .drain
        case ("reload", 0): self = .reload
        case ("penalties", 0): self = .penalties
        case ("push", 0): self = .push
        case ("lift", 1): self = .lift(arguments[0])
        case ("drop", 1):
            guard let id = UInt64(arguments[0]), id > 0 else {
                throw ControlRequestError(
                    error: "bad_request",
                    text:
                        "'\(Escaping.plain(arguments[0], most: 80))' is not the number of a connection: see 'connections'"
                )
            }
            self = .drop(id)
        case ("log-level", 1):
            guard let level = LogLevel(rawValue: arguments[0]) else {
                throw ControlRequestError(
                    error: "bad_request",
                    text: "'\(Escaping.plain(arguments[0], most: 80))' is not a level: error, warning, info or debug")
            }
            self = .logLevel(level)
        case ("drop", _), ("lift", _), ("log-level", _):
            let operand = ["drop": "ID", "lift": "RANGE"][command] ?? "LEVEL"
            throw ControlRequestError(error: "bad_request", text: "\(command) takes one operand: \(command) \(operand)")
        case ("status", _), ("connections", _), ("drain", _), ("reload", _), ("penalties", _), ("push", _):
            throw ControlRequestError(error: "bad_request", text: "\(command) takes no operand")
        default:
            throw ControlRequestError(
                error: "bad_request",
                text:
                    "'\(Escaping.plain(([command] + arguments).joined(separator: " "), most: 80))' is no command: expected "
                    + "status, connections, drop ID, drain, reload, penalties, lift RANGE or log-level LEVEL")
        }
    }
}

/// Why a request cannot be read: `error` for programs, `text` for people.
struct ControlRequestError: Error, Equatable {
    let error: String
    let text: String
}

/// A command that was typed wrongly.
package struct ControlMistake: Error, CustomStringConvertible {
    /// What was wrong, and what is expected.
    package let description: String
}

/// How a server answers on its control socket.
enum ControlAnswer {
    /// The last line where all is well, with more members of `fill`.
    static func done(_ fill: (inout JSONObject) -> Void = { _ in }) -> [UInt8] {
        var object = JSONObject()
        object.add("lifeline", ControlRequest.version)
        object.add("ok", true)
        fill(&object)
        return line(object)
    }

    /// The last line where it is not.
    static func failed(_ error: String, _ text: String) -> [UInt8] {
        var object = JSONObject()
        object.add("lifeline", ControlRequest.version)
        object.add("ok", false)
        object.add("error", error)
        object.add("text", text)
        return line(object)
    }

    /// The row of a source's penalty.
    static func row(_ debt: Penalties.Debt) -> JSONObject {
        var row = JSONObject()
        row.add("source", debt.source.description)
        row.add("left", debt.left)
        row.add("refused", debt.refused)
        return row
    }

    static func line(_ object: JSONObject) -> [UInt8] { Array((object.line + "\n").utf8) }

    /// The row of a connection.
    ///
    /// - Parameters:
    ///   - id: The connection's number.
    ///   - pid: Its process.
    ///   - peer: The client's address.
    ///   - via: The address of the proxy; nil where there is none.
    ///   - acceptedAt: When the parent accepted it.
    ///   - statistics: What its child says, which is not trusted; the rest the parent knows itself.
    ///   - now: When the row is made.
    static func row(
        id: UInt64, pid: Int32, peer: String, via: String? = nil, acceptedAt: Instant,
        _ statistics: ConnectionStatistics, at now: Instant
    ) -> JSONObject {
        var row = JSONObject()
        row.add("id", id)
        row.add("pid", pid)
        row.add("peer", peer)
        row.add("via", via)
        row.add("name", statistics.name)
        row.add("state", statistics.state.name)
        row.add("age", now - acceptedAt)
        row.add("heard", statistics.heardAt.map { max(.zero, now - $0) })
        row.add("round_trip", statistics.roundTrip, decimals: 6)
        row.add("in_flight", statistics.inFlight)
        row.add("requests", statistics.requests)
        row.add("failed", statistics.counts.failed)
        row.add("messages_in", statistics.counts.messagesIn)
        row.add("messages_out", statistics.counts.messagesOut)
        row.add("messages_unhandled", statistics.counts.unhandled)
        row.add("bytes_in", statistics.bytesIn)
        row.add("bytes_out", statistics.bytesOut)
        return row
    }
}
