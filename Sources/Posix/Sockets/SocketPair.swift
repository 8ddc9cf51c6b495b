import CPosix
import Glibc

/// Two stream sockets that are connected with each other, CLOEXEC.
@frozen public struct SocketPair: ~Copyable {
    /// Owned: taking it out of here takes it over.
    public let one: Descriptor
    /// Owned as well.
    public let other: Descriptor

    /// socketpair(2).
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        let result = calling(.socketpair) { cposix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) }
        guard result == 0 else { throw SystemError("socketpair") }
        one = Descriptor(owning: ends[0])
        other = Descriptor(owning: ends[1])
    }
}
