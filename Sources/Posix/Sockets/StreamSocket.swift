import CPosix
import Glibc

extension Descriptor {
    /// A non-blocking socket that connects to `address`, from any port of the address `source` where one is given
    /// (bind(2), connect(2)).
    ///
    /// It is writable once it is connected or has failed: see `checkConnected`. Throws what fails at once.
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
        if !address.isUnix { socket.prepareForHeartbeats() }
        let result = address.withSockaddr { address, length in
            retryingInterrupted(.connect) { connect(socket.number, address, length) }
        }
        guard result == 0 || errno == EINPROGRESS else { throw SystemError("connect") }
        return socket
    }

    /// Makes close(2) reset the connection and drop unsent bytes (SO_LINGER in socket(7)).
    public func resetWhenClosed() {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(number, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    /// Throws the error that `connecting` ended with, if it failed (SO_ERROR in socket(7)).
    public func checkConnected() throws(SystemError) {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length)
        guard code == 0 else { throw SystemError("connect", code) }
    }

    /// The user of the process at the other end of a Unix socket; nil for another socket (SO_PEERCRED in unix(7)).
    public var peerUser: UInt32? {
        var user: UInt32 = 0
        return calling(.getsockopt) { cposix_peer_user(number, &user) } == 0 ? user : nil
    }

    /// The address that the socket is bound to (getsockname(2)).
    public var localAddress: SocketAddress {
        SocketAddress { address, length in getsockname(number, address, length) }
    }

    /// The address of the other end (getpeername(2)).
    public var peerAddress: SocketAddress {
        SocketAddress { address, length in getpeername(number, address, length) }
    }

    /// Lets no heartbeat wait: not for an acknowledgement (TCP_NODELAY), and not behind more unsent bytes in the kernel than
    /// a frame has (TCP_NOTSENT_LOWAT in tcp(7)). A connection inherits both from its listener.
    func prepareForHeartbeats() {
        set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        set(Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, 16384)
    }

    static func stream(_ family: Int32) throws(SystemError) -> Descriptor {
        let number = calling(.socket) { cposix_stream_socket(family) }
        guard number >= 0 else { throw SystemError("socket") }
        return Descriptor(owning: number)
    }

    func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

extension Descriptor {
    /// Reads into `buffer`, without blocking (recv(2)). Throws an error of the connection, such as ECONNRESET.
    public func receive(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        try received(buffer.withUnsafeMutableBytes { receive($0) })
    }

    /// Reads into memory of the caller, as above.
    public func receive(into memory: UnsafeMutableRawBufferPointer) throws(SystemError) -> Transfer {
        try received(receive(memory))
    }

    /// Copies what has come into `buffer` and leaves it to be received, without blocking (MSG_PEEK in recv(2)). Throws as
    /// `receive` does.
    public func peek(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        try received(
            buffer.withUnsafeMutableBytes { bytes in
                transferring(.recv, bytes.count) {
                    recv(number, bytes.baseAddress, $0, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK))
                }
            })
    }

    /// Receives `count` bytes that `peek` has shown, and drops them.
    public func skip(_ count: Int) throws(SystemError) {
        guard count > 0 else { return }
        try withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes throws(SystemError) in
            _ = try received(receive(bytes))
        }
    }

    private func receive(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        transferring(.recv, bytes.count) { recv(number, bytes.baseAddress, $0, Int32(MSG_DONTWAIT)) }
    }

    private func received(_ count: Int) throws(SystemError) -> Transfer {
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("recv")
    }

    /// Sends the first of `bytes` that the kernel takes, without blocking and without SIGPIPE (send(2)).
    ///
    /// With `endFollows` the kernel holds them back until `shutdownWriting`, so that the end of the stream goes in the same
    /// segment (MSG_MORE). Throws an error of the connection, such as EPIPE and ECONNRESET.
    public func send(_ bytes: ArraySlice<UInt8>, endFollows: Bool = false) throws(SystemError) -> Transfer {
        try sent(bytes.withUnsafeBytes { send($0, endFollows ? Int32(MSG_MORE) : 0) })
    }

    /// Sends from memory of the caller, as above.
    public func send(_ memory: UnsafeRawBufferPointer) throws(SystemError) -> Transfer { try sent(send(memory, 0)) }

    private func send(_ bytes: UnsafeRawBufferPointer, _ flags: Int32) -> Int {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL) | flags
        return transferring(.send, bytes.count) { Glibc.send(number, bytes.baseAddress, $0, flags) }
    }

    private func sent(_ count: Int) throws(SystemError) -> Transfer {
        if count >= 0 { return .bytes(count) }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("send")
    }

    /// How many bytes were sent and not acknowledged by the peer's kernel, or not read at a Unix socket (SIOCOUTQ in
    /// tcp(7)); 0 where the kernel does not tell.
    public var unacknowledged: Int {
        let count = calling(.ioctl) { cposix_unacknowledged(number) }
        return count > 0 ? Int(count) : 0
    }

    /// Ends the writing side: the peer reads end of stream after what was sent (shutdown(2)).
    public func shutdownWriting() { Glibc.shutdown(number, Int32(SHUT_WR)) }

    /// Ends both sides: the peer learns that no more bytes are read or sent (shutdown(2)).
    public func shutdown() { Glibc.shutdown(number, Int32(SHUT_RDWR)) }
}
