import CPosix
import Glibc

/// Two ends of a channel on which one process gives descriptors to another, with CLOEXEC (socketpair(2), SOCK_SEQPACKET).
///
/// A message comes whole or not at all. An end reads end of stream when every process has closed the other end.
@frozen public struct DescriptorChannel: ~Copyable {
    /// The end that gives. It is owned: taking it out of here takes it over.
    public let giving: Descriptor
    /// The end that takes. It is owned as well.
    public let taking: Descriptor

    /// Makes both ends (socketpair(2)). Throws EMFILE and ENFILE.
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        let result = calling(.socketpair) { cposix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) }
        guard result == 0 else { throw SystemError("socketpair") }
        giving = Descriptor(owning: ends[0])
        taking = Descriptor(owning: ends[1])
    }
}

/// What one receive from a channel found.
public enum ReceivedDescriptor: ~Copyable {
    /// A descriptor, which the receiver owns.
    case descriptor(Descriptor)
    /// No message waits.
    case nothing
    /// End of stream: every process has closed the giving end.
    case end
}

/// What became of a message that was given to a channel.
public enum GiveResult: Sendable {
    /// It is on its way.
    case given
    /// The channel is full, or too many descriptors are in flight: later there may be room.
    case full
    /// The other end is closed.
    case gone
}

/// The descriptors that came in one message of a channel, each owned by whoever takes it out. What is left is closed.
public struct ReceivedDescriptors: ~Copyable {
    private var numbers: InlineArray<64, Int32>
    private var next = 0
    /// How many came.
    public let count: Int
    /// How many bytes of words came with them.
    public let bytes: Int

    fileprivate init(_ numbers: InlineArray<64, Int32>, count: Int, bytes: Int) {
        self.numbers = numbers
        self.count = count
        self.bytes = bytes
    }

    /// Takes the next one out, in the order in which they were given; nil behind the last.
    public mutating func takeNext() -> Descriptor? {
        guard next < count else { return nil }
        defer { next += 1 }
        return Descriptor(owning: numbers[next])
    }

    deinit {
        for index in next..<count { _ = Descriptor(owning: numbers[index]) }
    }
}

extension Descriptor {
    /// The most descriptors in one message of a channel.
    public static var mostGiven: Int { Int(CPOSIX_GIVEN) }

    /// Sends a copy of `descriptor`, and `words` with it, through this end of a channel, without blocking (sendmsg(2),
    /// SCM_RIGHTS in unix(7)). Returns false where the other end is gone or full, or too many descriptors are in flight.
    public func give(_ descriptor: borrowing Descriptor, _ words: UnsafeRawBufferPointer) -> Bool {
        var given = descriptor.number
        return give(&given, count: 1, words) == .given
    }

    /// Sends copies of descriptors by their numbers, up to `mostGiven`, and `words` with them, as `give(_:_:)` does.
    public func give(numbers: [Int32], _ words: UnsafeRawBufferPointer) -> GiveResult {
        numbers.withUnsafeBufferPointer { give($0.baseAddress!, count: $0.count, words) }
    }

    private func give(_ numbers: UnsafePointer<Int32>, count: Int, _ words: UnsafeRawBufferPointer) -> GiveResult {
        let channel = number
        let result = retryingInterrupted(.sendmsg) {
            cposix_send_descriptors(channel, numbers, count, words.baseAddress, words.count)
        }
        if result == 0 { return .given }
        return [EPIPE, ECONNRESET, ENOTCONN].contains(errno) ? .gone : .full
    }

    /// Receives the next descriptor, with CLOEXEC, and fills `words` with what came with it (recvmsg(2)).
    ///
    /// Throws EMFILE where this process has no room for the descriptor (RLIMIT_NOFILE): it is lost.
    public func take(into words: UnsafeMutableRawBufferPointer) throws(SystemError) -> ReceivedDescriptor {
        guard var received = try takeSeveral(into: words) else { return .nothing }
        guard received.bytes > 0 else { return .end }
        guard let descriptor = received.takeNext() else { throw SystemError("recvmsg", EMFILE) }
        guard received.bytes == words.count else { throw SystemError("recvmsg", EPROTO) }
        return .descriptor(descriptor)
    }

    /// Receives the next message, up to `mostGiven` descriptors with CLOEXEC, and fills `words` with what came with them
    /// (recvmsg(2)). Returns nil where none waits; `bytes` is 0 at the end of the channel.
    ///
    /// Fewer descriptors than the words are for have come where this process has no room for all (RLIMIT_NOFILE): the last
    /// ones are lost.
    public func takeSeveral(into words: UnsafeMutableRawBufferPointer) throws(SystemError) -> ReceivedDescriptors? {
        var numbers = InlineArray<64, Int32>(repeating: -1)
        var room = min(numbers.count, Descriptor.mostGiven)
        let count = transferring(.recvmsg, words.count) { length in
            withUnsafeMutablePointer(to: &numbers) { pointer in
                pointer.withMemoryRebound(to: Int32.self, capacity: room) {
                    cposix_receive_descriptors(number, $0, &room, words.baseAddress, length)
                }
            }
        }
        if count < 0, errno == EAGAIN { return nil }
        guard count >= 0 else { throw SystemError("recvmsg") }
        return ReceivedDescriptors(numbers, count: count > 0 ? room : 0, bytes: count)
    }

    /// Refuses further messages. Those that were sent can still be received (SHUT_RD in shutdown(2)).
    public func refuseMore() { Glibc.shutdown(number, Int32(SHUT_RD)) }
}
