import CPosix
import Glibc

/// A file descriptor with one owner, closed when the owner lets go of it.
public struct Descriptor: ~Copyable, Sendable {
    /// Borrowed: valid as long as the descriptor lives.
    public let number: Int32

    /// Takes over `number`.
    public init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Whether `number` is open (F_GETFD in fcntl(2)).
    public static func isOpen(_ number: Int32) -> Bool { calling(.fcntl) { fcntl(number, F_GETFD) } != -1 }

    /// Keeps it from the programs that this process becomes or starts (FD_CLOEXEC in fcntl(2)).
    public func closeOnExec() { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }

    /// Makes standard input, output and error /dev/null (dup2(2)).
    public static func discardStandardStreams() throws(SystemError) {
        let null = calling(.open) { open("/dev/null", O_RDWR | O_CLOEXEC) }
        guard null >= 0 else { throw SystemError("open") }
        let owned = Descriptor(owning: null)
        for number: Int32 in 0...2 { dup2(owned.number, number) }
    }

    /// Sees to it that standard input, output and error are open, so that no socket takes one of their numbers and is
    /// written to by mistake: a missing one becomes /dev/null (open(2)).
    public static func openMissingStandardDescriptors() {
        for number: Int32 in 0...2 where fcntl(number, F_GETFD) == -1 {
            // open(2) returns the lowest free number, which is this one.
            _ = open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY)
        }
    }
}

extension Descriptor {
    /// Writes `bytes`, waiting where it must (write(2)).
    public func write(_ bytes: [UInt8]) throws(SystemError) { try writeAll(bytes, to: number) }

    /// Waits for bytes, at most `most`; none is the end (read(2)).
    public func read(most: Int) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: most)
        let count = buffer.withUnsafeMutableBytes { buffer in
            transferring(.read, buffer.count) { Glibc.read(number, buffer.baseAddress, $0) }
        }
        guard count >= 0 else { throw SystemError("read") }
        return Array(buffer.prefix(count))
    }
}

/// Closes descriptors in a new child, of which the owners stay behind in its parent; -1 is none. Those that follow each
/// other by number too are closed with one call (close_range(2)).
public func closeInChild(_ numbers: [Int32]) {
    var next = 0
    while next < numbers.count {
        let first = numbers[next]
        var last = first
        next += 1
        guard first >= 0 else { continue }
        while next < numbers.count, numbers[next] == last + 1 || numbers[next] < 0 {
            last = max(last, numbers[next])
            next += 1
        }
        cposix_close(first, last)
    }
}
