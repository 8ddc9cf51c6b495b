import CPosix
import Glibc

/// Two ends of a way on which connections go from one process to another (socketpair(2)), CLOEXEC.
///
/// A message is whole or not there, and the end is read when the other end is closed in every process.
@frozen public struct DescriptorChannel: ~Copyable {
    /// The end that gives. It is owned: taking it out of here takes it over.
    public let giving: Descriptor
    /// The end that takes. It is owned as well.
    public let taking: Descriptor

    /// socketpair(2).
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard cposix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0 else { throw SystemError("socketpair") }
        giving = Descriptor(owning: ends[0])
        taking = Descriptor(owning: ends[1])
    }
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
        return retryingInterrupted { cposix_send_descriptor(channel, given, words.baseAddress, words.count) } == 0
    }

    /// The next descriptor that was given, with CLOEXEC, and what was said of it, which fills `words` (recvmsg(2)). One
    /// that there is no room for in this process (RLIMIT_NOFILE) is thrown as EMFILE, and lost.
    public func take(into words: UnsafeMutableRawBufferPointer) throws(SystemError) -> ReceivedDescriptor {
        var given: Int32 = -1
        let count = retryingInterrupted { cposix_receive_descriptor(number, &given, words.baseAddress, words.count) }
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

/// How many descriptors this process has open (/proc/self/fd in proc(5)).
public struct DescriptorCount: ~Copyable {
    private let directory: Descriptor

    /// open(2); it is one of them itself.
    public init() throws(SystemError) {
        let number = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw SystemError("open") }
        directory = Descriptor(owning: number)
    }

    /// How many there are now (fstat(2)); 0 where the kernel does not say it, which those before 6.2 do not.
    public var now: Int {
        var status = stat()
        return fstat(directory.number, &status) == 0 ? Int(status.st_size) : 0
    }
}
