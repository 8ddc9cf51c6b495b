import CPosix
import Glibc

/// Two stream sockets that are connected with each other, with CLOEXEC.
@frozen public struct SocketPair: ~Copyable {
    /// One end. Owned: moving it out of here moves the ownership.
    public let one: Descriptor
    /// The other end, owned likewise.
    public let other: Descriptor

    /// Makes both ends (socketpair(2)). Throws EMFILE and ENFILE.
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        let result = calling(.socketpair) { cposix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) }
        guard result == 0 else { throw SystemError("socketpair") }
        one = Descriptor(owning: ends[0])
        other = Descriptor(owning: ends[1])
    }
}
