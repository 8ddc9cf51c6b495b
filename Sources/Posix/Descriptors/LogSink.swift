import CPosix
import Glibc

/// What lines of a log are written to: each in one call, and never waiting for a reader.
public final class LogSink {
    /// What became of a line.
    public enum Written: Equatable, Sendable {
        case whole
        /// Nothing of it was written.
        case lost
        /// The disk was full before its end, which is lost.
        case torn
    }

    private enum Way {
        /// A file or a device takes every write at once.
        case direct
        /// A pipe or a terminal under an open file description of our own that does not block.
        case nonblocking
        /// The same under one that others share: poll(2) tells whether there is room.
        case polled
        /// A stream socket, as the journal gives.
        case socket
        /// Nobody reads it.
        case nowhere
    }

    private let number: Int32
    /// What `number` is of, if it is ours alone.
    private var descriptor: Descriptor?
    private var syslog: DatagramSocket?
    /// The file that is opened anew.
    private let path: String?
    private var way: Way

    private init(_ number: Int32, isOurs: Bool, path: String? = nil, _ way: Way) {
        self.number = number
        self.path = path
        self.way = way
        if isOurs { descriptor = Descriptor(owning: number) }
    }

    /// Takes every line and keeps none.
    public static func nowhere() -> LogSink { LogSink(-1, isOurs: false, .nowhere) }

    /// Standard error, whatever that is connected to.
    ///
    /// poll(2) promises room for a line in a pipe, but to every process that asks at the same time. So a pipe or a
    /// terminal is opened once more, without blocking; the flag must not be set on what we share with others.
    public static func standardError() -> LogSink {
        let number = StandardStream.error.rawValue
        let way = way(of: number)
        guard way == .nonblocking else { return LogSink(number, isOurs: false, way) }
        let again = Glibc.open("/proc/self/fd/\(number)", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        return again >= 0 ? LogSink(again, isOurs: true, way) : LogSink(number, isOurs: false, .polled)
    }

    /// Appends to the file at `path`, which is made for its owner to write and its group to read (open(2)). A FIFO
    /// must have a reader.
    public static func file(at path: String) throws(SystemError) -> LogSink {
        let number = try open(path)
        return LogSink(number, isOurs: true, path: path, way(of: number))
    }

    private static func open(_ path: String) throws(SystemError) -> Int32 {
        let number = retryingInterrupted {
            Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0o640)
        }
        guard number >= 0 else { throw SystemError("open") }
        return number
    }

    /// The daemon of syslog(3) that listens at `path`; it may be started anew.
    public static func syslog(at path: String) throws(SystemError) -> LogSink {
        let output = LogSink(-1, isOurs: false, .direct)
        output.syslog = try DatagramSocket(to: path)
        return output
    }

    /// Opens the file anew under the same number; where that fails the old one stays. What is no file stays as it is.
    public func reopen() throws(SystemError) {
        guard let path else { return }
        let new = Descriptor(owning: try LogSink.open(path))
        guard dup2(new.number, number) >= 0 else { throw SystemError("dup2") }
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        way = LogSink.way(of: number)
    }

    private static func way(of number: Int32) -> Way {
        var status = stat()
        guard fstat(number, &status) == 0 else { return .polled }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: .direct
        case S_IFCHR: isatty(number) == 1 ? .nonblocking : .direct
        case S_IFSOCK: .socket
        default: .nonblocking
        }
    }

    /// Writes `line`, at most 4096 bytes long: PIPE_BUF, of which a pipe takes all or nothing.
    public func write(_ line: UnsafeBufferPointer<UInt8>) -> Written {
        if way == .nowhere { return .whole }
        if let isSent = syslog?.send(line) { return isSent ? .whole : .lost }
        if way == .polled {
            var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            guard Glibc.poll(&entry, 1, 0) == 1, entry.revents & Int16(POLLOUT) != 0 else { return .lost }
        }
        let count = retryingInterrupted {
            way == .socket
                ? send(number, line.baseAddress, line.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
                : Glibc.write(number, line.baseAddress, line.count)
        }
        return count == line.count ? .whole : count > 0 ? .torn : .lost
    }
}
