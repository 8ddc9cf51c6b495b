import CPosix
import Glibc

/// Standard output or error, written without a buffer of our own, so that nothing appears twice after a fork.
public enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// Writes all of `bytes`, waiting where it must (write(2)).
    public func write(_ bytes: some Sequence<UInt8>) throws(SystemError) { try writeAll(Array(bytes), to: rawValue) }

    /// Whether a person reads it (isatty(3)).
    public var isTerminal: Bool { isatty(rawValue) == 1 }
    /// How much a terminal shows; nil where it is none (TIOCGWINSZ in ioctl_tty(2)).
    public var windowSize: (rows: Int, columns: Int)? {
        var (rows, columns): (Int32, Int32) = (0, 0)
        guard cposix_window_size(rawValue, &rows, &columns) == 0, rows > 0, columns > 0 else { return nil }
        return (Int(rows), Int(columns))
    }
    /// Whether it is there at all; ask before anything else is opened (F_GETFD in fcntl(2)).
    public var isOpen: Bool { fcntl(rawValue, F_GETFD) != -1 }
}

/// Standard input.
public enum StandardInput {
    /// Waits for bytes and reads them into `buffer`; 0 is the end (read(2)).
    public static func read(into buffer: inout [UInt8]) throws(SystemError) -> Int {
        while true {
            let count = buffer.withUnsafeMutableBytes { bytes in
                transferring(.read, bytes.count) { Glibc.read(0, bytes.baseAddress, $0) }
            }
            if count >= 0 { return count }
            guard errno == EAGAIN else { throw SystemError("read") }
            waitUntilReady(0, POLLIN)
        }
    }

    /// Whether a person types it (isatty(3)).
    public static var isTerminal: Bool { isatty(0) == 1 }
}
