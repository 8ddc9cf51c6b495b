import Basics
import Posix
import Synchronization

/// The log of all processes of a server: a line an event, each one write(2) of at most 4096 bytes, so that lines of
/// many processes never mix.
///
/// A log that cannot be written to loses lines, never a connection. The lines are counted, and a line says how many
/// they were once the log can be written to again. A flood of one reason is summed up.
final class Log {
    /// The part of the log that all processes of the server share.
    private struct Shared: ~Copyable {
        /// Lines that could not be written, and that no line has reported yet.
        let lost: Atomic<UInt64>
        /// Those that were ever lost.
        let everLost: Atomic<UInt64>
        /// The last line in the file has no end.
        let isTorn: Atomic<Bool>
    }

    private var level: LogLevel
    /// The level that the operator sets for all processes while the server runs.
    private let commands: ChildCommands?
    private var format: LogFormat
    /// The program's name for syslogd; nil where the lines go elsewhere.
    private let syslogName: String?
    private var floodLines: UInt64
    private let output: LogSink
    private let shared: UnsafeMutablePointer<Shared>
    private let flood: LogRateLimiter

    /// Opens the log; throws what the system says about the file or the socket.
    init(
        level: LogLevel, format: LogFormat, destination: LogDestination = .standardError, floodLines: Int = 20,
        commands: ChildCommands? = nil
    ) throws(SystemError) {
        self.level = level
        self.commands = commands
        self.format = format
        if case .syslog = destination {
            syslogName = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "server"
        } else {
            syslogName = nil
        }
        self.floodLines = Log.flood(floodLines)
        output = try Log.open(destination)
        shared = try sharedMemory(of: 1, Shared.self)
        flood = LogRateLimiter(in: try sharedMemory(of: LogRateLimiter.buckets, LogRateLimiter.Bucket.self))
    }

    /// A log that makes the lines of `log`, and writes none of them.
    convenience init(muting log: Log) {
        // This one neither reports what the log has lost nor counts in its floods.
        let shared = UnsafeMutablePointer<Shared>.allocate(capacity: 1)
        shared.initialize(to: Shared(lost: Atomic(0), everLost: Atomic(0), isTorn: Atomic(false)))
        let places = UnsafeMutableRawPointer.allocate(
            byteCount: LogRateLimiter.buckets * MemoryLayout<LogRateLimiter.Bucket>.stride,
            alignment: MemoryLayout<LogRateLimiter.Bucket>.alignment)
        places.initializeMemory(
            as: UInt8.self, repeating: 0, count: LogRateLimiter.buckets * MemoryLayout<LogRateLimiter.Bucket>.stride)
        self.init(
            like: log, to: .nowhere(), shared: shared,
            LogRateLimiter(in: places.assumingMemoryBound(to: LogRateLimiter.Bucket.self)))
    }

    /// The same log in an object that lies where memory is taken from now on. Each forked process changes the object's
    /// reference count, and so writes to its page.
    ///
    /// Without it a short connection takes 3 % more processor time, and one page fault more (tools/dev/cost).
    convenience init(movingFrom log: Log) { self.init(like: log, to: log.output, shared: log.shared, log.flood) }

    /// A log with the lines of `log`.
    private init(like log: Log, to output: LogSink, shared: UnsafeMutablePointer<Shared>, _ flood: LogRateLimiter) {
        level = log.level
        commands = log.commands
        format = log.format
        syslogName = log.syslogName
        floodLines = log.floodLines
        self.output = output
        self.shared = shared
        self.flood = flood
    }

    private static func flood(_ lines: Int) -> UInt64 { lines == 0 ? .max : UInt64(lines) }

    /// Takes over level, form and flood limit, for this process and those that are forked from it later.
    func set(_ options: ServerOptions) {
        level = options.logLevel
        commands?.logLevel = options.logLevel
        format = options.logFormat
        floodLines = Log.flood(options.logFlood)
    }

    private static func open(_ destination: LogDestination) throws(SystemError) -> LogSink {
        switch destination {
        case .standardError: .standardError()
        case .file(let path): try .file(at: path)
        case .syslog(let path): try .syslog(at: path)
        }
    }

    /// Opens the file again, which may have been renamed. Where that fails, the old one stays in use.
    func reopen() {
        do {
            try output.reopen()
            shared.pointee.isTorn.store(false, ordering: .relaxed)
        } catch {
            write(.logNotReopened) {
                $0.number(.pid, processID)
                $0.text(.text, "\(error)")
            }
        }
    }

    /// Writes one line if its level is logged; nothing of it is computed otherwise.
    ///
    /// A warning or an error is one of a kind, its event and `reason`: a flood of one kind is summed up after
    /// `floodLines` lines, or after `most`.
    ///
    /// - Parameters:
    ///   - event: says which fields the line may have.
    ///   - level: one of the levels of the event; nil for its first.
    ///   - reason: one of a few, and no words of a peer.
    ///   - most: how many lines of this kind are written in one window of the flood; nil for `floodLines`.
    ///   - fields: puts the fields into the line.
    func write(
        _ event: LogEvent, at level: LogLevel? = nil, reason: @autoclosure () -> String = "", most: UInt64? = nil,
        _ fields: (inout LogLine) -> Void = { _ in }
    ) {
        let level = level ?? event.level
        assert(event.levels.contains(level), "\(event.rawValue) has no line of the level \(level)")
        guard level <= (commands?.logLevel ?? self.level) else { return }
        if level <= .warning {
            let kind = FloodKey(level: level, event: event, reason: reason())
            let verdict = flood.happened(kind, most: floodLines == .max ? .max : most ?? floodLines, at: .now)
            if verdict.before > 0 { tell(LogRateLimiter.Suppressed(kind: kind, count: verdict.before)) }
            guard verdict.mayPass else { return }
        }
        put(level, event, fields)
    }

    /// How many lines of all processes were lost since the start.
    var linesLost: UInt64 { shared.pointee.everLost.load(ordering: .relaxed) }

    /// Reports the floods that are over (with `all` those that go on too), and the lines that were lost.
    func sweep(at now: Instant, all: Bool = false) {
        for sum in flood.sums(at: now, all: all) { tell(sum) }
        tellLost()
    }

    private func tell(_ sum: LogRateLimiter.Suppressed) {
        put(sum.kind.level, .suppressed) {
            $0.text(.of, sum.kind.event?.rawValue ?? LogRateLimiter.others)
            if !sum.kind.reason.isEmpty { $0.text(.reason, sum.kind.reason) }
            $0.number(.count, sum.count)
            $0.text(.text, "suppressed \(sum.count) in \(LogRateLimiter.window.components.seconds) s")
        }
    }

    /// Reports the lines that were lost. Where this line is lost too, the next one reports all.
    private func tellLost() {
        guard shared.pointee.lost.load(ordering: .relaxed) > 0 else { return }
        let lost = shared.pointee.lost.exchange(0, ordering: .relaxed)
        guard lost > 0 else { return }
        make(.warning, .linesLost, or: lost) {
            $0.number(.count, lost)
            $0.text(.text, "the log took no lines")
        }
    }

    private func put(_ level: LogLevel, _ event: LogEvent, _ fields: (inout LogLine) -> Void) {
        tellLost()
        make(level, event, or: 1, fields)
    }

    /// Makes one line and writes it, or else counts `lost` lines.
    private func make(_ level: LogLevel, _ event: LogEvent, or lost: UInt64, _ fields: (inout LogLine) -> Void) {
        let syslog = syslogName.map { SyslogHeader(level: level, program: $0, process: processID, time: .local) }
        LogLine.make(LogLine.Head(level: level, event: event, time: .now, syslog: syslog), format, fields) {
            guard !send($0, isDatagram: syslog != nil) else { return }
            shared.pointee.lost.add(lost, ordering: .relaxed)
            // The report of lost lines counts them a second time, but for the one that it is itself.
            if event != .linesLost { shared.pointee.everLost.add(lost, ordering: .relaxed) }
        }
    }

    /// Whether the whole line was written.
    private func send(_ line: UnsafeBufferPointer<UInt8>, isDatagram: Bool) -> Bool {
        guard !isDatagram else { return output.write(line) == .whole }
        let wasTorn =
            shared.pointee.isTorn.load(ordering: .relaxed) && shared.pointee.isTorn.exchange(false, ordering: .relaxed)
        let written = output.write(wasTorn ? line : UnsafeBufferPointer(rebasing: line.dropFirst()))
        if written == .torn || wasTorn && written == .lost { shared.pointee.isTorn.store(true, ordering: .relaxed) }
        return written == .whole
    }
}

extension Log {
    /// Writes that the system has refused something; a flood of one error is summed up.
    func write(failure event: LogEvent, _ error: SystemError) {
        write(event, reason: error.text, most: 1) { $0.text(.text, "\(error)") }
    }
}
