import Liveness
import Posix
import Synchronization

/// The log of all processes of a server: a line an event, each one write(2) of at most 4096 bytes, so that lines of
/// many processes never mix.
///
/// A log that cannot be written to loses lines, never a connection: they are counted, and a line says how many once it
/// can be written to again. A flood of one reason is summed up.
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

    /// What all processes of the server have in common.
    private struct Shared: ~Copyable {
        /// Lines that could not be written, and have not been told of.
        let lost: Atomic<UInt64>
        /// The last line in the file has no end.
        let isTorn: Atomic<Bool>
    }

    private var level: LogLevel
    /// What says another level to all processes, while the server runs.
    private let orders: Orders?
    private var format: LogFormat
    private let destination: LogDestination
    private var floodLines: UInt64
    private let output: LogOutput
    private let shared: UnsafeMutablePointer<Shared>
    private let flood: Flood

    /// Opens the log; throws what the system says about the file or the socket.
    init(
        level: LogLevel, format: LogFormat, destination: LogDestination = .standardError, floodLines: Int = 20,
        orders: Orders? = nil
    ) throws(SystemError) {
        self.level = level
        self.orders = orders
        self.format = format
        self.destination = destination
        self.floodLines = Log.flood(floodLines)
        output = try Log.open(destination)
        shared = try sharedMemory(of: 1, Shared.self)
        flood = Flood(in: try sharedMemory(of: Flood.places, Flood.Place.self))
    }

    /// A log that makes the lines of `log`, and writes none of them.
    init(muting log: Log) {
        level = log.level
        orders = log.orders
        format = log.format
        destination = log.destination
        floodLines = log.floodLines
        output = .nowhere()
        // What the log has lost is still to be told, and its floods are no business of this one.
        shared = .allocate(capacity: 1)
        shared.initialize(to: Shared(lost: Atomic(0), isTorn: Atomic(false)))
        let places = UnsafeMutableRawPointer.allocate(
            byteCount: Flood.places * MemoryLayout<Flood.Place>.stride, alignment: MemoryLayout<Flood.Place>.alignment)
        places.initializeMemory(as: UInt8.self, repeating: 0, count: Flood.places * MemoryLayout<Flood.Place>.stride)
        flood = Flood(in: places.assumingMemoryBound(to: Flood.Place.self))
    }

    private static func flood(_ lines: Int) -> UInt64 { lines == 0 ? .max : UInt64(lines) }

    /// From now on this much is logged, in this form, by this process and those that are forked from it later.
    func set(_ options: ServerOptions) {
        level = options.logLevel
        orders?.logLevel = options.logLevel
        format = options.logFormat
        floodLines = Log.flood(options.logFlood)
    }

    private static func open(_ destination: LogDestination) throws(SystemError) -> LogOutput {
        switch destination {
        case .standardError: .standardError()
        case .file(let path): try .file(at: path)
        case .syslog(let path): try .syslog(at: path)
        }
    }

    /// Opens the file anew, which may have been renamed since. Where that fails the old one is written to.
    func reopen() {
        do {
            try output.reopen()
            shared.pointee.isTorn.store(false, ordering: .relaxed)
        } catch {
            write(.error, "log not reopened", [("pid", .number(UInt64(processID))), ("text", .text("\(error)"))])
        }
    }

    /// Writes one line if `level` is logged; `fields` are made only then.
    ///
    /// A warning or an error is one of a kind, its event and `reason`: a flood of one kind is summed up after
    /// `floodLines` lines, or after `most`. The reason must be one of a few, and no one else's words.
    func write(
        _ level: LogLevel, _ event: String, reason: String = "", most: UInt64? = nil,
        _ fields: @autoclosure () -> [Field]
    ) {
        guard level <= (orders?.logLevel ?? self.level) else { return }
        if level <= .warning {
            let kind = "\(level.rawValue),\(event),\(reason)"
            let verdict = flood.happened(kind, most: floodLines == .max ? .max : most ?? floodLines, at: .now)
            if verdict.before > 0 { tell(Flood.Sum(kind: kind, count: verdict.before)) }
            guard verdict.mayPass else { return }
        }
        put(level, event, fields())
    }

    /// Tells the sums of floods that are over (with `all` of those that go on too), and of lines that were lost.
    func sweep(at now: Instant, all: Bool = false) {
        for sum in flood.sums(at: now, all: all) { tell(sum) }
        tellLost()
    }

    private func tell(_ sum: Flood.Sum) {
        let parts = sum.kind.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        var fields: [Field] = [("of", .text(parts[1]))]
        if !parts[2].isEmpty { fields.append(("reason", .text(parts[2]))) }
        fields.append(("count", .number(sum.count)))
        fields.append(("text", .text("suppressed \(sum.count) in \(Flood.window.components.seconds) s")))
        put(LogLevel(rawValue: parts[0]) ?? .warning, "suppressed", fields)
    }

    private func tellLost() {
        let lost = shared.pointee.lost.exchange(0, ordering: .relaxed)
        guard lost > 0 else { return }
        let line = line(.warning, "lines lost", [("count", .number(lost)), ("text", .text("the log took no lines"))])
        // Of itself it says nothing when it is lost.
        if !send(line) { shared.pointee.lost.add(lost, ordering: .relaxed) }
    }

    private func put(_ level: LogLevel, _ event: String, _ fields: [Field]) {
        let line = line(level, event, fields)
        tellLost()
        if !send(line) { shared.pointee.lost.add(1, ordering: .relaxed) }
    }

    /// Whether the whole line was written.
    private func send(_ line: String) -> Bool {
        let wasTorn = shared.pointee.isTorn.exchange(false, ordering: .relaxed)
        let written = output.write(Array((wasTorn ? "\n" + line : line).utf8))
        if written == .torn || wasTorn && written == .lost { shared.pointee.isTorn.store(true, ordering: .relaxed) }
        return written == .whole
    }

    private func line(_ level: LogLevel, _ event: String, _ fields: [Field]) -> String {
        let line = format == .json ? json(level, event, fields) : text(level, event, fields)
        guard case .syslog = destination else { return line }
        // The time and the end of the line are syslog's own matter.
        let bare = format == .json ? line.dropLast() : line.dropFirst(timestamp.utf8.count + 1).dropLast()
        return SyslogHeader(level, of: processID, at: .local).text + bare
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
