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

    /// A socket on its way to `address`, from the address `source` and any port of it, where one is given; it is
    /// writable once it is connected or has failed (bind(2), connect(2)).
    public static func connecting(
        to address: SocketAddress, from source: SocketAddress? = nil
    ) throws(SystemError) -> Descriptor {
        let socket = try stream(address.family)
        if let source {
            // With the port chosen by connect(2), one of the same number can serve for each address of a server.
            cposix_bind_without_port(socket.number)
            let bound = source.withSockaddr { source, length in
                calling(.bind) { bind(socket.number, source, length) }
            }
            guard bound == 0 else { throw SystemError("bind") }
        }
        if !address.isUnix { socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
        let result = address.withSockaddr { address, length in
            retryingInterrupted(.connect) { connect(socket.number, address, length) }
        }
        guard result == 0 || errno == EINPROGRESS else { throw SystemError("connect") }
        return socket
    }

    private static func stream(_ family: Int32) throws(SystemError) -> Descriptor {
        let number = calling(.socket) { cposix_stream_socket(family) }
        guard number >= 0 else { throw SystemError("socket") }
        return Descriptor(owning: number)
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Lets the socket end in a reset when it is closed, and what waits in it be lost (SO_LINGER in socket(7)).
    public func resetWhenClosed() {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(number, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    /// How `connecting` ended: throws what went wrong (SO_ERROR in socket(7)).
    public func checkConnected() throws(SystemError) {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length)
        guard code == 0 else { throw SystemError("connect", code) }
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

    /// The user of the process at the other end of a Unix socket (SO_PEERCRED in unix(7)).
    public var peerUser: UInt32? {
        var user: UInt32 = 0
        return calling(.getsockopt) { cposix_peer_user(number, &user) } == 0 ? user : nil
    }

    /// The address that the socket is bound to (getsockname(2)).
    public var localAddress: SocketAddress {
        SocketAddress { address, length in getsockname(number, address, length) }
    }
}

/// Whether there is a Unix socket at `address` that nobody listens on, as a server that was killed leaves it.
public func isAbandonedSocket(at address: SocketAddress) -> Bool {
    guard let path = address.unixPath else { return false }
    var status = stat()
    guard calling(.lstat, { lstat(path, &status) }) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
    do {
        _ = try Descriptor.connecting(to: address)
        return false
    } catch {
        return error.code == ECONNREFUSED
    }
}

/// The file of a Unix socket, as long as it is the same.
public struct SocketFile: Sendable {
    private let path: String
    private let number: UInt64

    /// The file that is at `path` now.
    public init?(at path: String) {
        guard let number = fileNumber(at: path) else { return nil }
        self.path = path
        self.number = number
    }

    /// Removes it, where another has not taken its place.
    public func remove() {
        if fileNumber(at: path) == number { removeFile(at: path) }
    }
}

/// unlink(2), as far as it is possible.
public func removeFile(at path: String) { unlink(path) }

/// The number of the file at `path`, to tell whether it is still the same (stat(2)).
public func fileNumber(at path: String) -> UInt64? {
    var status = stat()
    return calling(.lstat) { lstat(path, &status) } == 0 ? UInt64(status.st_ino) : nil
}
