import CPosix
import Glibc

/// A connection that accept(2) returned, with the address of its other end.
@frozen public struct Accepted: ~Copyable {
    /// Owned: taking it out of here takes it over.
    public let connection: Descriptor
    /// Where the connection comes from.
    public let peer: SocketAddress
}

extension Descriptor {
    /// A socket that listens at `address` with CLOEXEC and without blocking (socket(2), bind(2), listen(2)).
    ///
    /// Connections inherit TCP_NODELAY from it, so that no frame waits for an acknowledgement and no call is spent on
    /// each of them. An IPv6 wildcard takes IPv4 too. The file of a Unix socket can be `forOwnerAlone`: others may not
    /// connect (umask(2)).
    public static func listening(
        at address: SocketAddress, backlog: Int32, forOwnerAlone: Bool = false
    ) throws(SystemError) -> Descriptor {
        let listener = try stream(address.family)
        if !address.isUnix {
            listener.set(SOL_SOCKET, SO_REUSEADDR, 1)
            listener.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        }
        if address.family == AF_INET6 { listener.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        let mask = forOwnerAlone ? umask(0o177) : nil
        let bound = address.withSockaddr { address, length in
            calling(.bind) { bind(listener.number, address, length) }
        }
        // umask(2) cannot fail, and leaves errno alone.
        if let mask { umask(mask) }
        guard bound == 0 else { throw SystemError("bind") }
        guard calling(.listen, { Glibc.listen(listener.number, backlog) }) == 0 else { throw SystemError("listen") }
        return listener
    }

    /// Whether `number` is a TCP or Unix stream socket that listens (SO_ACCEPTCONN, SO_TYPE and SO_DOMAIN in socket(7)).
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

    /// Gives a listener that was handed over what one of our own has from the start: CLOEXEC, accept(2) that does not
    /// block, and TCP_NODELAY.
    public func prepareHandedOverListener() {
        closeOnExec()
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
        if !localAddress.isUnix { set(Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
    }

    /// The next connection, CLOEXEC and without blocking; nil where none waits (accept(2)).
    public func accept() throws(SystemError) -> Accepted? {
        var number: Int32 = -1
        let peer = SocketAddress { address, length in
            number = retryingInterrupted(.accept) { cposix_accept(self.number, address, length) }
        }
        if number >= 0 { return Accepted(connection: Descriptor(owning: number), peer: peer) }
        if errno == EAGAIN { return nil }
        throw SystemError("accept")
    }

    /// Lets a TCP listener begin no more handshakes, while those that have begun still end and can be accepted. A
    /// client that knocks gets no answer, and knocks again a second later (SO_ATTACH_FILTER in socket(7)).
    public func dropNewHandshakes() { _ = cposix_drop_new_handshakes(number) }
}
