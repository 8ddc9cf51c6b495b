import Basics
import Framing
import LifelineClient

/// A line of `--json`: an object with a field `event`, and the fields of that event. Times are milliseconds.
struct JSONLine {
    private(set) var bytes: [UInt8]

    /// A line about the event of this name.
    init(_ event: String) { bytes = Array("{\"event\":\"\(event)\"".utf8) }

    /// Adds a number.
    mutating func add(_ name: String, _ number: some BinaryInteger) { add(name, raw: "\(number)") }

    /// Adds whether something is so.
    mutating func add(_ name: String, _ holds: Bool) { add(name, raw: holds ? "true" : "false") }

    /// Adds a time in milliseconds, with three digits behind the point at most.
    mutating func add(_ name: String, _ duration: Duration) {
        let microseconds = Int(duration / .microseconds(1))
        let fraction = microseconds % 1000
        let digits = String(fraction)
        add(
            name,
            raw: "\(microseconds / 1000)"
                + (fraction == 0 ? "" : "." + String(repeating: "0", count: 3 - digits.count) + digits))
    }

    /// Adds a text; nil adds nothing.
    mutating func add(_ name: String, _ text: String?) {
        guard let text else { return }
        begin(name)
        bytes.append(json: text.utf8)
    }

    /// Adds bytes: as `text` where they are UTF-8, else as `base64`.
    mutating func add(payload: [UInt8]) {
        if String(validating: payload, as: UTF8.self) != nil {
            begin("text")
            bytes.append(json: payload)
        } else {
            add("base64", raw: "\"\(JSONLine.base64(payload))\"")
        }
    }

    /// Adds an error: its `kind`, the `code` where a peer sent one, and the text for people.
    mutating func add(_ error: ConnectionError) {
        add("kind", error.kind.name)
        add("code", error.code.map { "\($0)" })
        add("text", error.text)
        add("server", error.server)
        if error.retryAfter > .zero { add("retry_after", error.retryAfter) }
    }

    /// The finished line, with its end.
    var line: [UInt8] { bytes + Array("}\n".utf8) }

    private mutating func add(_ name: String, raw: String) {
        begin(name)
        bytes += raw.utf8
    }

    private mutating func begin(_ name: String) { bytes += ",\"\(name)\":".utf8 }

    /// RFC 4648, section 4.
    static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for index in 0..<3 { group = group << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
            for index in 0..<4 {
                text.append(
                    index <= count ? letters[Int(group >> UInt32(18 - 6 * index)) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension JSONLine {
    /// The answer to a message.
    static func answer(_ number: Int, _ answer: [UInt8], after elapsed: Duration) -> JSONLine {
        answered("answer", number, answer, after: elapsed)
    }

    private static func answered(_ event: String, _ number: Int, _ answer: [UInt8], after elapsed: Duration) -> JSONLine
    {
        var line = JSONLine(event)
        line.add("number", number)
        line.add("after", elapsed)
        line.add(payload: answer)
        return line
    }

    /// The outcome of a message that has no answer.
    static func failure(_ number: Int, _ error: RequestError) -> JSONLine {
        var line = JSONLine("failure")
        line.add("number", number)
        switch error {
        case .failed(let failure):
            line.add("outcome", "FAILED")
            line.add(failure)
        case .notSent(let reason): line.add("outcome", "NOT_SENT", reason)
        case .refused(let reason): line.add("outcome", "REFUSED", reason)
        case .unknown(let reason): line.add("outcome", "UNKNOWN", reason)
        }
        return line
    }

    private mutating func add(_ name: String, _ outcome: String, _ reason: RequestError.Reason) {
        add(name, outcome)
        switch reason {
        case .timedOut: add("reason", "timed_out")
        case .cancelled: add("reason", "cancelled")
        case .tooLarge(let most):
            add("reason", "too_large")
            add("most", most)
        case .refused(let failure):
            add("reason", "refused")
            add(failure)
        case .connection(let error):
            add("reason", "connection")
            add(error)
        }
    }

    private mutating func add(_ failure: RequestFailure) {
        add("code", "\(failure.code)")
        add("text", failure.text)
        if failure.retryAfter > .zero { add("retry_after", failure.retryAfter) }
    }

    /// A request of the server.
    static func request(_ number: Int, _ request: [UInt8]) -> JSONLine {
        var line = JSONLine("request")
        line.add("number", number)
        line.add(payload: request)
        return line
    }

    /// What a program has answered to a request of the server.
    static func reply(_ number: Int, _ answer: [UInt8], after elapsed: Duration) -> JSONLine {
        answered("reply", number, answer, after: elapsed)
    }

    /// Why a request of the server has no answer.
    static func reply(_ number: Int, _ failure: RequestFailure) -> JSONLine {
        var line = JSONLine("reply_failure")
        line.add("number", number)
        line.add(failure)
        return line
    }

    /// What became of all messages of --send.
    static func sent(_ counts: MessageCounts) -> JSONLine {
        var line = JSONLine("sent")
        line.add("messages", counts.sent)
        line.add("handled", counts.handled)
        line.add("unconfirmed", counts.unconfirmed)
        line.add("untold", counts.untold)
        return line
    }

    /// A one-way message of the server.
    static func message(_ message: [UInt8]) -> JSONLine {
        var line = JSONLine("message")
        line.add(payload: message)
        return line
    }
}

extension ConnectionError.Kind {
    fileprivate var name: String {
        switch self {
        case .invalidOptions: "invalid_options"
        case .unknownHost: "unknown_host"
        case .unreachable: "unreachable"
        case .timedOut: "timed_out"
        case .cancelled: "cancelled"
        case .closedByServer: "closed_by_server"
        case .dropped: "dropped"
        case .tls: "tls"
        case .broken: "broken"
        case .closedByProgram: "closed_by_program"
        }
    }
}
