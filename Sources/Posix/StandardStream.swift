import Glibc

/// Standard output or error, written without a buffer of our own, so that nothing appears twice after a fork.
public enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// Writes all of `bytes`, waiting where it must (write(2)).
    public func write(_ bytes: some Sequence<UInt8>) throws(SystemError) {
        var left = Array(bytes)[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { bytes in
                retryingInterrupted { Glibc.write(rawValue, bytes.baseAddress, bytes.count) }
            }
            if count >= 0 {
                left = left.dropFirst(count)
            } else if errno == EAGAIN {
                var entry = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
                _ = Glibc.poll(&entry, 1, -1)
            } else {
                throw SystemError("write")
            }
        }
    }

    /// Whether a person reads it (isatty(3)).
    public var isTerminal: Bool { isatty(rawValue) == 1 }
}
