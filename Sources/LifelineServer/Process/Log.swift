import Posix

/// The log on standard error: a line an event, each one write(2) of at most 4096 bytes, so that lines of many
/// processes never mix.
///
/// A log that cannot be written to loses lines, never a connection: they are counted, and the next line that can be
/// written says how many.
final class Log {
    enum Value {
        /// Not to be trusted: it is escaped.
        case text(String)
        case number(UInt64)
        case seconds(Duration)
    }

    typealias Field = (key: String, value: Value)

    /// A value is cut off here; with what a line carries otherwise it stays within 4096 bytes.
    private static let longestValue = 2500

    private let level: LogLevel
    /// Where an operator says another level, while the server runs.
    private let orders: Orders?
    private let format: LogFormat
    private let output: LogOutput
    private var lost: UInt64 = 0

    init(level: LogLevel, format: LogFormat, orders: Orders? = nil) {
        self.level = level
        self.orders = orders
        self.format = format
        output = LogOutput(.error)
    }

    /// Writes one line if `level` is logged; `fields` are made only then.
    func write(_ level: LogLevel, _ event: String, _ fields: @autoclosure () -> [Field]) {
        guard level <= (orders?.logLevel ?? self.level) else { return }
        var all = fields()
        if lost > 0 { all.append(("lost_lines", .number(lost))) }
        let line = format == .json ? json(level, event, all) : text(level, event, all)
        if output.write(Array(line.utf8)) { lost = 0 } else { lost += 1 }
    }

    private var timestamp: String {
        let now = WallTime.now
        func padded(_ number: Int32, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(now.year, 4))-\(padded(now.month, 2))-\(padded(now.day, 2))T\(padded(now.hour, 2)):"
            + "\(padded(now.minute, 2)):\(padded(now.second, 2)).\(padded(now.millisecond, 3))Z"
    }

    func text(_ level: LogLevel, _ event: String, _ fields: [Field]) -> String {
        var line = "\(timestamp) \(level.rawValue) \(event)"
        for (key, value) in fields {
            switch value {
            case .text(let text):
                let escaped = Text.plain(text, most: Log.longestValue)
                let isPlain = !escaped.isEmpty && !escaped.utf8.contains { $0 == 0x20 || $0 == 0x22 || $0 == 0x5C }
                line += isPlain ? " \(key)=\(escaped)" : " \(key)=\"\(escaped)\""
            case .number(let number): line += " \(key)=\(number)"
            case .seconds(let duration): line += " \(key)=\(Text.seconds(duration))s"
            }
        }
        return line + "\n"
    }

    func json(_ level: LogLevel, _ event: String, _ fields: [Field]) -> String {
        var line = "{\"time\":\"\(timestamp)\",\"level\":\"\(level.rawValue)\",\"event\":\"\(event)\""
        for (key, value) in fields {
            switch value {
            case .text(let text): line += ",\"\(key)\":\"\(Text.json(text, most: Log.longestValue))\""
            case .number(let number): line += ",\"\(key)\":\(number)"
            case .seconds(let duration): line += ",\"\(key)\":\(Text.seconds(duration))"
            }
        }
        return line + "}\n"
    }
}
