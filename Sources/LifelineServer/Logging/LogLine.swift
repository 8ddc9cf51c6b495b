import Basics
import Framing
import Posix

/// A line of the log while it is made: its head, then the fields one by one, each written where it stays.
struct LogLine: ~Copyable {
    /// What stands before the fields.
    struct Head {
        let level: LogLevel
        let event: LogEvent
        let time: WallTime
        /// Set where the line goes to syslogd, which adds the time and ends lines itself.
        let syslog: SyslogHeader?
    }

    /// PIPE_BUF: a pipe takes up to this many bytes whole, or none.
    static let most = 4096
    /// A value is cut off here.
    private static let longestValue = 2500
    /// The most that a number, or the signs round a text, may take.
    private static let reserve = 32

    private let event: LogEvent
    private let format: LogFormat
    private let endsLine: Bool
    private var text: TextBuffer

    private init(_ head: Head, _ format: LogFormat, in memory: consuming TextBuffer) {
        event = head.event
        self.format = format
        text = memory
        endsLine = head.syslog == nil
        // A line that was torn off by another one is ended by this.
        if endsLine { text.put(UInt8(ascii: "\n")) }
        head.syslog?.put(into: &self.text)
        switch format {
        case .text:
            if endsLine {
                put(head.time)
                text.put(UInt8(ascii: " "))
            }
            put(head.level.rawValue)
            text.put(UInt8(ascii: " "))
            put(head.event.rawValue)
        case .json:
            put("{\"time\":\"")
            put(head.time)
            put("\",\"level\":\"")
            put(head.level.rawValue)
            put("\",\"event\":\"")
            put(head.event.rawValue)
            text.put(UInt8(ascii: "\""))
        }
    }

    /// Makes a line, and gives `body` its bytes. They begin with the end of the line before it, which a file needs where
    /// that was torn; syslogd gets none.
    static func make(
        _ head: Head, _ format: LogFormat, _ fields: (inout LogLine) -> Void,
        _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        TextBuffer.with(most: LogLine.most) { text in
            var line = LogLine(head, format, in: text)
            fields(&line)
            if format == .json { line.text.put(UInt8(ascii: "}")) }
            if line.endsLine { line.text.put(UInt8(ascii: "\n")) }
            line.text.withBytes(body)
        }
    }

    // MARK: Fields

    mutating func number(_ field: LogField, _ number: some BinaryInteger) {
        guard begin(field) else { return }
        text.put(decimal: UInt64(number))
    }

    mutating func seconds(_ field: LogField, _ duration: Duration) {
        guard begin(field) else { return }
        text.put(duration)
        if format == .text { text.put(UInt8(ascii: "s")) }
    }

    /// Not to be trusted: it is escaped.
    mutating func text(_ field: LogField, _ value: String) {
        guard begin(field) else { return }
        let isWord = LogLine.isWord(value)
        let isQuoted = format == .json || !isWord
        let most = min(LogLine.longestValue, text.room - LogLine.reserve)
        if isQuoted { text.put(UInt8(ascii: "\"")) }
        if isWord, value.utf8.count <= most {
            put(value)
        } else {
            text.put(value, as: format == .json ? .json : .plain, most: most)
        }
        if isQuoted { text.put(UInt8(ascii: "\"")) }
    }

    mutating func address(_ field: LogField, _ address: SocketAddress) {
        guard !address.isUnix else { return text(field, address.description) }
        guard begin(field) else { return }
        if format == .json { text.put(UInt8(ascii: "\"")) }
        address.put(into: &text)
        if format == .json { text.put(UInt8(ascii: "\"")) }
    }

    /// Whether the value is to follow. One field that has no room is left out: what is there stays a whole line.
    private mutating func begin(_ field: LogField) -> Bool {
        assert(event.specification.fields.contains(field), "\(event.rawValue) has no field \(field.rawValue)")
        let key = field.rawValue
        guard text.room > key.utf8.count + 3 * LogLine.reserve else { return false }
        if format == .json {
            put(",\"")
            text.put(key)
            put("\":")
        } else {
            text.put(UInt8(ascii: " "))
            text.put(key)
            text.put(UInt8(ascii: "="))
        }
        return true
    }

    /// Whether it can stand without quotes: it has no space in it, and nothing that is escaped.
    private static func isWord(_ value: String) -> Bool {
        !value.isEmpty
            && value.utf8.prefix(LogLine.longestValue).allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
    }

    private mutating func put(_ string: String) { text.put(string) }

    private mutating func put(_ time: WallTime) {
        func put(_ number: Int32, _ digits: Int, _ separator: Unicode.Scalar, _ text: inout TextBuffer) {
            text.put(decimal: UInt64(number), digits: digits)
            text.put(UInt8(ascii: separator))
        }
        put(time.year, 4, "-", &text)
        put(time.month, 2, "-", &text)
        put(time.day, 2, "T", &text)
        put(time.hour, 2, ":", &text)
        put(time.minute, 2, ":", &text)
        put(time.second, 2, ".", &text)
        put(time.millisecond, 3, "Z", &text)
    }
}
