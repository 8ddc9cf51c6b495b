import CPosix
import Glibc

/// A socket that sends datagrams to another process of this machine and never waits for it (unix(7)).
public struct DatagramSocket: ~Copyable {
    private let descriptor: Descriptor
    private let path: String
    /// Borrowed.
    public var number: Int32 { descriptor.number }

    /// Connects to the socket at `path`; one that begins with `@` is abstract and has no file. ENOENT and ECONNREFUSED
    /// say that nobody listens there.
    public init(to path: String) throws(SystemError) {
        let number = calling(.socket) { cposix_datagram_socket() }
        guard number >= 0 else { throw SystemError("socket") }
        let socket = Descriptor(owning: number)
        try DatagramSocket.connect(socket, to: path)
        descriptor = socket
        self.path = path
    }

    private static func connect(_ socket: borrowing Descriptor, to path: String) throws(SystemError) {
        guard let address = SocketAddress(unixPath: path, mayBeAbstract: true) else {
            throw SystemError("connect", ENAMETOOLONG)
        }
        let number = socket.number
        guard address.withSockaddr({ a, l in calling(.connect) { Glibc.connect(number, a, l) } }) == 0 else {
            throw SystemError("connect")
        }
    }

    /// Sends one datagram; false where it is lost, because the receiver is full or gone. One that was started anew is
    /// found again.
    public func send(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        if trySend(bytes) { return true }
        guard errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET || errno == EPIPE else { return false }
        guard (try? DatagramSocket.connect(descriptor, to: path)) != nil else { return false }
        return trySend(bytes)
    }

    /// The same for bytes that somebody keeps.
    public func send(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBufferPointer { send($0) } }

    private func trySend(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return transferring(.send, bytes.count) { Glibc.send(descriptor.number, bytes.baseAddress, $0, flags) }
            == bytes.count
    }
}
