import CPosix
import Glibc

/// Standard output or standard error. Writes have no buffer, so no byte appears twice after a fork.
public enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// Writes all of `bytes`, and waits where it must (write(2)).
    public func write(_ bytes: some Sequence<UInt8>) throws(SystemError) { try writeAll(Array(bytes), to: rawValue) }

    /// Whether it is a terminal (isatty(3)).
    public var isTerminal: Bool { isatty(rawValue) == 1 }
    /// The size of the terminal in characters; nil where it is no terminal (TIOCGWINSZ in ioctl_tty(2)).
    public var windowSize: (rows: Int, columns: Int)? {
        var (rows, columns): (Int32, Int32) = (0, 0)
        guard cposix_window_size(rawValue, &rows, &columns) == 0, rows > 0, columns > 0 else { return nil }
        return (Int(rows), Int(columns))
    }
}

/// Makes the C library write what a program prints on standard output at the end of each line, whatever standard output
/// is, and writes what it kept until now: a fork copies what is kept (setvbuf(3)).
public func writeOutputByLine() { cposix_write_output_by_line() }

/// Writes the line that a program has begun to print, which `_exit(2)` would lose. It never waits: a line for which a pipe
/// has no room is lost (fflush(3)).
public func writeUnfinishedOutput() { cposix_write_unfinished_output() }

/// Standard input.
public enum StandardInput {
    /// Waits for bytes, reads them into `buffer` and returns their number; 0 is the end of the stream (read(2)).
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

    /// Whether it is a terminal (isatty(3)).
    public static var isTerminal: Bool { isatty(0) == 1 }

    /// Makes a terminal deliver single bytes, and not show them, until `restoreLines` or the end of the process: signals that
    /// end, stop or crash it give the terminal its own mode again, but for SIGKILL (termios(3)).
    ///
    /// When the process goes on after a stop, it writes to the eventfd(2) `wakeUps`. Throws where it is no terminal.
    public static func editLines(wakeUps: Int32) throws(SystemError) {
        guard cposix_edit_lines(wakeUps) == 0 else { throw SystemError("tcsetattr") }
    }

    /// Gives the terminal the mode that it had before `editLines`.
    public static func restoreLines() { cposix_restore_lines() }
}
