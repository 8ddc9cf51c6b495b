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

extension Descriptor {
    /// Sends a copy of `descriptor`, and `words` with it, through this end of a channel, without blocking (sendmsg(2),
    /// SCM_RIGHTS in unix(7)). Returns false where the other end is gone or full, or too many descriptors are in flight.
    public func give(_ descriptor: borrowing Descriptor, _ words: UnsafeRawBufferPointer) -> Bool {
        let (channel, given) = (number, descriptor.number)
        return retryingInterrupted(.sendmsg) { cposix_send_descriptor(channel, given, words.baseAddress, words.count) }
            == 0
    }

    /// Receives the next descriptor, with CLOEXEC, and fills `words` with what came with it (recvmsg(2)).
    ///
    /// Throws EMFILE where this process has no room for the descriptor (RLIMIT_NOFILE): it is lost.
    public func take(into words: UnsafeMutableRawBufferPointer) throws(SystemError) -> ReceivedDescriptor {
        var given: Int32 = -1
        let count = transferring(.recvmsg, words.count) {
            cposix_receive_descriptor(number, &given, words.baseAddress, $0)
        }
        if count < 0, errno == EAGAIN { return .nothing }
        guard count >= 0 else { throw SystemError("recvmsg") }
        guard count > 0 else { return .end }
        guard given >= 0 else { throw SystemError("recvmsg", EMFILE) }
        let descriptor = Descriptor(owning: given)
        guard count == words.count else { throw SystemError("recvmsg", EPROTO) }
        return .descriptor(descriptor)
    }

    /// Refuses further messages. Those that were sent can still be received (SHUT_RD in shutdown(2)).
    public func refuseMore() { Glibc.shutdown(number, Int32(SHUT_RD)) }
}
