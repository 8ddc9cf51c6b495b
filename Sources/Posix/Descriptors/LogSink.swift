import CPosix
import Glibc

/// The file, pipe, terminal or socket that lines of a log go to. Each line is one system call, which never blocks.
public final class LogSink {
    /// The result of writing one line.
    public enum Written: Equatable, Sendable {
        /// All of it was written.
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

    /// A sink that discards every line.
    public static func nowhere() -> LogSink { LogSink(-1, isOurs: false, .nowhere) }

    /// Standard error, of whatever kind it is.
    ///
    /// poll(2) promises room for a line in a pipe, but to every process that asks at the same time. So a pipe or a
    /// terminal is opened once more, without blocking; the flag must not be set on what we share with others.
    public static func standardError() -> LogSink {
        let number = StandardStream.error.rawValue
        let way = way(of: number)
        guard way == .nonblocking else { return LogSink(number, isOurs: false, way) }
        let again = calling(.open) {
            Glibc.open("/proc/self/fd/\(number)", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        }
        return again >= 0 ? LogSink(again, isOurs: true, way) : LogSink(number, isOurs: false, .polled)
    }

    /// Appends to the file at `path`, and makes it where there is none: its owner may write it, its group may read it
    /// (open(2)). A FIFO must have a reader.
    public static func file(at path: String) throws(SystemError) -> LogSink {
        let number = try open(path)
        return LogSink(number, isOurs: true, path: path, way(of: number))
    }

    private static func open(_ path: String) throws(SystemError) -> Int32 {
        let number = retryingInterrupted(.open) {
            Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0o640)
        }
        guard number >= 0 else { throw SystemError("open") }
        return number
    }

    /// The daemon of syslog(3) that receives at `path`. It may be restarted.
    public static func syslog(at path: String) throws(SystemError) -> LogSink {
        let output = LogSink(-1, isOurs: false, .direct)
        output.syslog = try DatagramSocket(to: path)
        return output
    }

    /// Opens the file again under the same descriptor; where that fails the old file stays. A sink without a path stays as it
    /// is.
    public func reopen() throws(SystemError) {
        guard let path else { return }
        let new = Descriptor(owning: try LogSink.open(path))
        guard calling(.dup2, { dup2(new.number, number) }) >= 0 else { throw SystemError("dup2") }
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        way = LogSink.way(of: number)
    }

    private static func way(of number: Int32) -> Way {
        var status = stat()
        guard calling(.fstat, { fstat(number, &status) }) == 0 else { return .polled }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: .direct
        case S_IFCHR: isatty(number) == 1 ? .nonblocking : .direct
        case S_IFSOCK: .socket
        default: .nonblocking
        }
    }

    /// Writes `line`, which has up to 4096 bytes (PIPE_BUF): a pipe takes all of them or none.
    public func write(_ line: UnsafeBufferPointer<UInt8>) -> Written {
        if way == .nowhere { return .whole }
        if let isSent = syslog?.send(line) { return isSent ? .whole : .lost }
        if way == .polled {
            var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            guard calling(.poll, { Glibc.poll(&entry, 1, 0) }) == 1, entry.revents & Int16(POLLOUT) != 0 else {
                return .lost
            }
        }
        let count =
            way == .socket
            ? transferring(.send, line.count) {
                send(number, line.baseAddress, $0, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            : transferring(.write, line.count) { Glibc.write(number, line.baseAddress, $0) }
        return count == line.count ? .whole : count > 0 ? .torn : .lost
    }
}
