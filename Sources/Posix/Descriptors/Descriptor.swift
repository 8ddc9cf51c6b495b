import Glibc

/// A file descriptor with one owner. It is closed when its owner's scope ends.
public struct Descriptor: ~Copyable, Sendable {
    /// The number of the descriptor. Borrowed: valid while this value lives.
    public let number: Int32

    /// Takes the ownership of `number`, which must be open.
    public init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Whether the descriptor `number` is open (F_GETFD in fcntl(2)).
    public static func isOpen(_ number: Int32) -> Bool { calling(.fcntl) { fcntl(number, F_GETFD) } != -1 }

    /// Closes the descriptor in programs that this process becomes or starts (FD_CLOEXEC in fcntl(2)).
    public func closeOnExec() { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }

    /// Another descriptor of the same open file, with CLOEXEC (F_DUPFD_CLOEXEC in fcntl(2)). Throws EMFILE.
    public func duplicated() throws(SystemError) -> Descriptor {
        let copy = calling(.fcntl) { fcntl(number, F_DUPFD_CLOEXEC, 0) }
        guard copy >= 0 else { throw SystemError("fcntl") }
        return Descriptor(owning: copy)
    }

    /// Replaces standard input, output and error by /dev/null (dup2(2)).
    public static func discardStandardStreams() throws(SystemError) {
        let null = calling(.open) { open("/dev/null", O_RDWR | O_CLOEXEC) }
        guard null >= 0 else { throw SystemError("open") }
        let owned = Descriptor(owning: null)
        for number: Int32 in 0...2 { dup2(owned.number, number) }
    }
}

extension Descriptor {
    /// Writes all of `bytes`, and waits where it must (write(2)). Throws EPIPE, ENOSPC and other errors of the file.
    public func write(_ bytes: [UInt8]) throws(SystemError) { try writeAll(bytes, to: number) }

    /// Waits for bytes and returns up to `most`; an empty array is the end of the stream (read(2)).
    public func read(most: Int) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: most)
        let count = buffer.withUnsafeMutableBytes { buffer in
            transferring(.read, buffer.count) { Glibc.read(number, buffer.baseAddress, $0) }
        }
        guard count >= 0 else { throw SystemError("read") }
        return Array(buffer.prefix(count))
    }
}

/// Closes, in a new child, a descriptor whose owner is the parent's (close(2)).
public func closeInChild(_ number: Int32) { close(number) }
