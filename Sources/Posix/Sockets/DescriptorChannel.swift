import CPosix
import Glibc

/// Two ends of a way on which connections go from one process to another (socketpair(2)), CLOEXEC.
///
/// A message is whole or not there, and the end is read when the other end is closed in every process.
public struct DescriptorChannel: ~Copyable {
    private let giving: Descriptor
    private let taking: Descriptor

    /// socketpair(2).
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        let result = calling(.socketpair) { cposix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) }
        guard result == 0 else { throw SystemError("socketpair") }
        giving = Descriptor(owning: ends[0])
        taking = Descriptor(owning: ends[1])
    }

    /// The end that gives; the other is closed in this process.
    public consuming func onlyGiving() -> Descriptor { giving }
    /// The end that takes; the other is closed in this process.
    public consuming func onlyTaking() -> Descriptor { taking }
}

/// What came through a channel.
public enum ReceivedDescriptor: ~Copyable {
    /// A descriptor, which is owned.
    case descriptor(Descriptor)
    /// Nothing waits.
    case nothing
    /// Nobody can give anything any more.
    case end
}

extension Descriptor {
    /// Gives a copy of `descriptor` away through this end of a channel, with `words` about it, and never waits (sendmsg(2),
    /// SCM_RIGHTS in unix(7)). False where the other end is gone or full, or too many descriptors are on their way.
    public func give(_ descriptor: borrowing Descriptor, _ words: UnsafeRawBufferPointer) -> Bool {
        let (channel, given) = (number, descriptor.number)
        return retryingInterrupted(.sendmsg) { cposix_send_descriptor(channel, given, words.baseAddress, words.count) }
            == 0
    }

    /// The next descriptor that was given, with CLOEXEC, and what was said of it, which fills `words` (recvmsg(2)). One
    /// that there is no room for in this process (RLIMIT_NOFILE) is thrown as EMFILE, and lost.
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

    /// Lets nobody give anything any more; what was given can still be taken (SHUT_RD in shutdown(2)).
    public func refuseMore() { Glibc.shutdown(number, Int32(SHUT_RD)) }
}
