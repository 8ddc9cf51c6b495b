import Posix

/// The place that lines of a log are written to: each line in one call, which waits for no reader.
final class LogSink {
    /// What became of a line.
    enum Written: Equatable {
        case whole
        /// Nothing of it was written.
        case lost
        /// The disk was full before its end, which is lost.
        case torn
    }

    private enum Method {
        /// A file or a device takes every write at once. So does a pipe or a terminal under an open file description of
        /// our own, which does not block.
        case direct
        /// A pipe or a terminal under an open file description that others share: poll(2) tells whether there is room.
        case polled
        /// A stream socket, as the journal gives.
        case socket
        /// No line is kept.
        case nowhere
    }

    private let number: Int32
    /// What `number` is of, if it is ours alone.
    private var descriptor: Descriptor?
    private var syslog: SyslogSocket?
    /// The file that is opened anew.
    private let path: String?
    private var method: Method

    private init(_ number: Int32, _ method: Method) {
        self.number = number
        self.method = method
        path = nil
    }

    private init(owning descriptor: consuming Descriptor, path: String? = nil) {
        number = descriptor.number
        self.path = path
        method = LogSink.method(of: descriptor.number)
        self.descriptor = consume descriptor
    }

    /// Takes every line and keeps none.
    static func nowhere() -> LogSink { LogSink(-1, .nowhere) }

    /// Standard error, whatever that is connected to.
    ///
    /// poll(2) promises room for a line in a pipe, but to every process that asks at the same time. So a pipe or a
    /// terminal is opened once more, without blocking; the flag must not be set on what we share with others.
    static func standardError() -> LogSink { inherited(StandardStream.error.rawValue) }

    /// A descriptor that the process was started with.
    private static func inherited(_ number: Int32) -> LogSink {
        switch DescriptorKind(of: number) {
        case .file: return LogSink(number, .direct)
        case .socket: return LogSink(number, .socket)
        case .stream:
            guard let again = Descriptor.appendingAnew(to: number) else { return LogSink(number, .polled) }
            return LogSink(owning: again)
        case .closed: return LogSink(number, .polled)
        }
    }

    /// Appends to the file at `path`, which is made for its owner to write and its group to read. A FIFO must have a
    /// reader. A path that names a descriptor of the process, as /dev/stderr does, is that descriptor.
    static func file(at path: String) throws(SystemError) -> LogSink {
        if let number = ownDescriptor(atPath: path) {
            guard Descriptor.isUsable(number, forWriting: true) else { throw .notWritable }
            return inherited(number)
        }
        return LogSink(owning: try Descriptor.appending(toFile: path), path: path)
    }

    /// The daemon of syslog(3) that listens at `path`; it may be started anew.
    static func syslog(at path: String) throws(SystemError) -> LogSink {
        let sink = LogSink(-1, .direct)
        sink.syslog = try SyslogSocket(to: path)
        return sink
    }

    /// Opens the file anew under the same number; where that fails the old one stays. What is no file stays as it is.
    func reopen() throws(SystemError) {
        guard let path else { return }
        try Descriptor.appending(toFile: path).takePlace(of: number)
        method = LogSink.method(of: number)
    }

    private static func method(of number: Int32) -> Method {
        switch DescriptorKind(of: number) {
        case .file, .stream: .direct
        case .socket: .socket
        case .closed: .polled
        }
    }

    /// Writes `line`, at most 4096 bytes long: a pipe takes all of PIPE_BUF bytes or nothing.
    func write(_ line: UnsafeBufferPointer<UInt8>) -> Written {
        if method == .nowhere { return .whole }
        if let isSent = syslog?.send(line) { return isSent ? .whole : .lost }
        if method == .polled, !hasRoom(number) { return .lost }
        let count = method == .socket ? sendOnce(line, to: number) : writeOnce(line, to: number)
        return count == line.count ? .whole : count > 0 ? .torn : .lost
    }
}
