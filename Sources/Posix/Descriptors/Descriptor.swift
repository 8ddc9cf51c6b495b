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
    public static func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) != -1 }

    /// Keeps it from the programs that this process becomes or starts (FD_CLOEXEC in fcntl(2)).
    public func closeOnExec() { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }

    /// Makes standard input, output and error /dev/null (dup2(2)).
    public static func discardStandardStreams() throws(SystemError) {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
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

/// What a read or write that does not block came to.
public enum Transfer: Equatable, Sendable {
    /// So many bytes, at least one.
    case bytes(Int)
    /// Nothing can be moved now.
    case wouldBlock
    /// End of stream; of a write only where it goes to a pipe that nobody reads.
    case end
}

extension Descriptor {
    /// recv(2) into `buffer`, without blocking.
    public func receive(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        try received(buffer.withUnsafeMutableBytes { receive($0) })
    }

    /// The same into memory of the caller.
    public func receive(into memory: UnsafeMutableRawBufferPointer) throws(SystemError) -> Transfer {
        try received(receive(memory))
    }

    private func receive(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        retryingInterrupted { recv(number, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT)) }
    }

    private func received(_ count: Int) throws(SystemError) -> Transfer {
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("recv")
    }

    /// send(2) of `bytes`, without blocking and without SIGPIPE. With `endFollows` they wait for `shutdownWriting`, so
    /// that the end of the stream goes in the same segment (MSG_MORE).
    public func send(_ bytes: ArraySlice<UInt8>, endFollows: Bool = false) throws(SystemError) -> Transfer {
        try sent(bytes.withUnsafeBytes { send($0, endFollows ? Int32(MSG_MORE) : 0) })
    }

    /// The same from memory of the caller.
    public func send(_ memory: UnsafeRawBufferPointer) throws(SystemError) -> Transfer { try sent(send(memory, 0)) }

    private func send(_ bytes: UnsafeRawBufferPointer, _ flags: Int32) -> Int {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL) | flags
        return retryingInterrupted { Glibc.send(number, bytes.baseAddress, bytes.count, flags) }
    }

    private func sent(_ count: Int) throws(SystemError) -> Transfer {
        if count >= 0 { return .bytes(count) }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("send")
    }

    /// read(2) into `buffer` of a pipe's end that does not block.
    public func readPipe(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        let count = buffer.withUnsafeMutableBytes { bytes in
            retryingInterrupted { Glibc.read(number, bytes.baseAddress, bytes.count) }
        }
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("read")
    }

    /// write(2) of `bytes` to a pipe's end that does not block; `end` where nobody reads it any more (EPIPE).
    public func writePipe(_ bytes: ArraySlice<UInt8>) throws(SystemError) -> Transfer {
        let count = bytes.withUnsafeBytes { bytes in
            retryingInterrupted { Glibc.write(number, bytes.baseAddress, bytes.count) }
        }
        if count >= 0 { return .bytes(count) }
        if errno == EAGAIN { return .wouldBlock }
        if errno == EPIPE { return .end }
        throw SystemError("write")
    }

    /// shutdown(2) of the writing side: the peer reads end of stream after what was sent.
    public func shutdownWriting() { Glibc.shutdown(number, Int32(SHUT_WR)) }

    /// shutdown(2) of both sides: the peer learns that nothing more is read or sent.
    public func shutdown() { Glibc.shutdown(number, Int32(SHUT_RDWR)) }

    /// The peer of an eventfd(2) waits in poll(2): this wakes it up.
    public func wakeUp() {
        var one: UInt64 = 1
        _ = Glibc.write(number, &one, 8)
    }

    /// Clears what `wakeUp` set.
    public func clearWakeUps() {
        var count: UInt64 = 0
        _ = Glibc.read(number, &count, 8)
    }

    /// Writes `bytes`, waiting where it must (write(2)).
    public func write(_ bytes: [UInt8]) throws(SystemError) {
        var left = bytes[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { bytes in
                retryingInterrupted { Glibc.write(number, bytes.baseAddress, bytes.count) }
            }
            guard count >= 0 else { throw SystemError("write") }
            left = left.dropFirst(count)
        }
    }

    /// Waits for bytes, at most `most`; none is the end (read(2)).
    public func read(most: Int) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: most)
        let count = buffer.withUnsafeMutableBytes { buffer in
            retryingInterrupted { Glibc.read(number, buffer.baseAddress, buffer.count) }
        }
        guard count >= 0 else { throw SystemError("read") }
        return Array(buffer.prefix(count))
    }

    /// An eventfd(2), to wake a thread up that waits in poll(2).
    public static func event() throws(SystemError) -> Descriptor {
        let number = cposix_eventfd()
        guard number >= 0 else { throw SystemError("eventfd") }
        return Descriptor(owning: number)
    }
}

/// In a new child: closes the descriptors from `first` to `last`, of which the owners stay behind in its parent
/// (close_range(2)).
public func closeInChild(_ first: Int32, through last: Int32) { cposix_close(first, last) }

/// Both ends of a pipe(2), CLOEXEC.
public struct Pipe: ~Copyable {
    let reading: Descriptor
    let writing: Descriptor

    /// pipe(2).
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("pipe") }
        reading = Descriptor(owning: ends[0])
        writing = Descriptor(owning: ends[1])
        reading.closeOnExec()
        writing.closeOnExec()
    }

    /// One end; the other is closed in this process.
    public consuming func onlyReading() -> Descriptor { reading }
    /// One end; the other is closed in this process.
    public consuming func onlyWriting() -> Descriptor { writing }
}

/// Two stream sockets that are connected with each other, CLOEXEC.
@frozen public struct SocketPair: ~Copyable {
    /// Owned: taking it out of here takes it over.
    public let one: Descriptor
    /// Owned as well.
    public let other: Descriptor

    /// socketpair(2).
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard cposix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0 else { throw SystemError("socketpair") }
        one = Descriptor(owning: ends[0])
        other = Descriptor(owning: ends[1])
    }
}
