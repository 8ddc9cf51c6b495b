import CPosix
import Glibc

/// A socket that sends datagrams to another process of this machine and never blocks (unix(7)).
public struct DatagramSocket: ~Copyable {
    private let descriptor: Descriptor
    private let path: String
    /// The descriptor; borrowed.
    public var number: Int32 { descriptor.number }

    /// Connects to the socket at `path`. A path that begins with `@` names an abstract socket, which has no file.
    /// Throws ENOENT or ECONNREFUSED where no process receives there.
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

    /// Sends one datagram. Returns false where it is lost, because the receiver is full or gone. Connects again to a
    /// receiver that was restarted.
    public func send(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        if trySend(bytes) { return true }
        guard errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET || errno == EPIPE else { return false }
        guard (try? DatagramSocket.connect(descriptor, to: path)) != nil else { return false }
        return trySend(bytes)
    }

    /// Sends one datagram, as above.
    public func send(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBufferPointer { send($0) } }

    private func trySend(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return transferring(.send, bytes.count) { Glibc.send(descriptor.number, bytes.baseAddress, $0, flags) }
            == bytes.count
    }
}
