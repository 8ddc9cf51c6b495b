import CPosix
import Glibc

/// A connection that accept(2) returned, and the address of its peer.
@frozen public struct Accepted: ~Copyable {
    /// The connection. Owned: moving it out of here moves the ownership.
    public let connection: Descriptor
    /// The address of the peer.
    public let peer: SocketAddress
}

/// Who may connect to the file of a Unix socket.
public enum SocketAccess: Sendable {
    /// As the process's umask says.
    case byMask
    /// The file's owner and its group.
    case group
    /// The file's owner.
    case owner

    /// The permissions that the file does not get; nil for the process's own mask.
    fileprivate var mask: mode_t? {
        switch self {
        case .byMask: nil
        case .group: 0o117
        case .owner: 0o177
        }
    }
}

extension Descriptor {
    /// A socket that listens at `address`, with CLOEXEC and non-blocking (socket(2), bind(2), listen(2)).
    ///
    /// Accepted connections inherit what heartbeats need (`prepareForHeartbeats`), so no call is needed for each.
    /// An IPv6 wildcard accepts IPv4 too. Throws what the kernel refuses, such as EADDRINUSE and EACCES.
    ///
    /// - Parameters:
    ///   - address: an IP address with a port, 0 for any, or a path
    ///   - backlog: the most connections that wait to be accepted
    ///   - access: who may connect to the file of a Unix socket (umask(2))
    ///   - isIPv6Only: an IPv6 wildcard leaves IPv4 to another socket (IPV6_V6ONLY in ipv6(7))
    public static func listening(
        at address: SocketAddress, backlog: Int32, access: SocketAccess = .byMask, isIPv6Only: Bool = false
    ) throws(SystemError) -> Descriptor {
        let listener = try stream(address.family)
        if !address.isUnix {
            listener.set(SOL_SOCKET, SO_REUSEADDR, 1)
            listener.prepareForHeartbeats()
        }
        if address.family == AF_INET6 { listener.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, isIPv6Only ? 1 : 0) }
        let mask = access.mask.map { umask($0) }
        let bound = address.withSockaddr { address, length in
            calling(.bind) { bind(listener.number, address, length) }
        }
        // umask(2) cannot fail, and leaves errno alone.
        if let mask { umask(mask) }
        guard bound == 0 else { throw SystemError("bind") }
        guard calling(.listen, { Glibc.listen(listener.number, backlog) }) == 0 else { throw SystemError("listen") }
        return listener
    }

    /// Whether the descriptor `number` is a TCP or Unix stream socket that listens (SO_ACCEPTCONN, SO_TYPE and SO_DOMAIN in
    /// socket(7)).
    public static func isListeningStream(_ number: Int32) -> Bool {
        func get(_ option: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return calling(.getsockopt) { getsockopt(number, SOL_SOCKET, option, &value, &length) } == 0 ? value : nil
        }
        guard get(SO_ACCEPTCONN) == 1, get(SO_TYPE) == Int32(SOCK_STREAM.rawValue), let family = get(SO_DOMAIN) else {
            return false
        }
        return [AF_INET, AF_INET6, AF_UNIX].contains(family)
    }

    /// Sets what `listening` sets on a listener that another process has opened: CLOEXEC, non-blocking accept(2), and
    /// what heartbeats need.
    public func prepareHandedOverListener() {
        closeOnExec()
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
        if !localAddress.isUnix { prepareForHeartbeats() }
    }

    /// The next connection, with CLOEXEC and non-blocking; nil where none waits (accept(2)).
    ///
    /// Throws `isConnectionGone` where a connection ended before it was accepted, and `isOutOfDescriptors`, ENFILE or ENOMEM
    /// where a resource is short.
    public func accept() throws(SystemError) -> Accepted? { try Descriptor.accept(on: number) }

    /// The next connection of the listener with this number, as above: for whoever need not touch its owner.
    public static func accept(on listener: Int32) throws(SystemError) -> Accepted? {
        var number: Int32 = -1
        let peer = SocketAddress { address, length in
            number = retryingInterrupted(.accept) { cposix_accept(listener, address, length) }
        }
        if number >= 0 { return Accepted(connection: Descriptor(owning: number), peer: peer) }
        if errno == EAGAIN { return nil }
        throw SystemError("accept")
    }

    /// Lets a TCP listener begin no more handshakes (SO_ATTACH_FILTER in socket(7)).
    ///
    /// Handshakes that have begun still end, and their connections can be accepted. A new client's SYN gets no answer, and
    /// its kernel repeats it a second later.
    public func dropNewHandshakes() { _ = cposix_drop_new_handshakes(number) }
}
