import Glibc

/// What a descriptor leads to, as far as a write to it may wait (fstat(2), isatty(3)).
public enum DescriptorKind: Sendable {
    /// A regular file, or a device that is no terminal: a write waits for no reader.
    case file
    /// A socket.
    case socket
    /// A pipe, a terminal, or another thing whose reader may keep a write waiting.
    case stream
    /// It is not open.
    case closed

    /// The kind of `number`, which is borrowed.
    public init(of number: Int32) {
        var status = stat()
        guard calling(.fstat, { fstat(number, &status) }) == 0 else {
            self = .closed
            return
        }
        self =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFCHR: isatty(number) == 1 ? .stream : .file
            case S_IFSOCK: .socket
            default: .stream
            }
    }
}

extension Descriptor {
    private static let appendingFlags = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC

    /// Opens the file at `path` for appending, and makes it for its owner to write and its group to read (open(2)).
    /// Throws ENXIO for a FIFO without a reader.
    public static func appending(toFile path: String) throws(SystemError) -> Descriptor {
        let number = retryingInterrupted(.open) { open(path, appendingFlags | O_CREAT, 0o640) }
        guard number >= 0 else { throw SystemError("open") }
        return Descriptor(owning: number)
    }

    /// Opens what `number` leads to once more, so that O_NONBLOCK is set for this process alone (proc_pid_fd(5)). Returns
    /// nil where that may not be.
    public static func appendingAnew(to number: Int32) -> Descriptor? {
        let again = calling(.open) { open("/proc/self/fd/\(number)", appendingFlags) }
        return again >= 0 ? Descriptor(owning: again) : nil
    }

    /// Makes `number` lead to the same as this descriptor (dup2(2)), closed in the programs that this process starts.
    public func takePlace(of number: Int32) throws(SystemError) {
        guard calling(.dup2, { dup2(self.number, number) }) >= 0 else { throw SystemError("dup2") }
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    }
}

/// Writes as much of `bytes` as one write(2) takes. Returns the number of bytes, or -1.
public func writeOnce(_ bytes: UnsafeBufferPointer<UInt8>, to number: Int32) -> Int {
    transferring(.write, bytes.count) { write(number, bytes.baseAddress, $0) }
}

/// Sends as much of `bytes` as one send(2) takes without waiting and without SIGPIPE. Returns the number of bytes, or -1.
public func sendOnce(_ bytes: UnsafeBufferPointer<UInt8>, to number: Int32) -> Int {
    transferring(.send, bytes.count) {
        send(number, bytes.baseAddress, $0, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }
}

/// Whether a write to `number` has room now (POLLOUT in poll(2)).
public func hasRoom(_ number: Int32) -> Bool {
    var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
    return calling(.poll) { Glibc.poll(&entry, 1, 0) } == 1 && entry.revents & Int16(POLLOUT) != 0
}
