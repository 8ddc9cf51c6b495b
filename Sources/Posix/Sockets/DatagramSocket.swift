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
        try socket.connectToSocket(at: path)
        descriptor = socket
        self.path = path
    }

    /// Sends one datagram. Returns false where it is lost, because the receiver is full or gone. Connects again to a
    /// receiver that was restarted.
    public func send(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        if trySend(bytes) { return true }
        guard isReceiverGone(), (try? descriptor.connectToSocket(at: path)) != nil else { return false }
        return trySend(bytes)
    }

    /// Sends one datagram, as above.
    public func send(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBufferPointer { send($0) } }

    private func trySend(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        sendOnce(bytes, to: descriptor.number) == bytes.count
    }
}

extension Descriptor {
    /// Connects this socket to the one at `path`, which may be abstract (connect(2)).
    func connectToSocket(at path: String) throws(SystemError) {
        guard let address = SocketAddress(unixPath: path, mayBeAbstract: true) else {
            throw SystemError("connect", ENAMETOOLONG)
        }
        let number = number
        guard address.withSockaddr({ a, l in calling(.connect) { Glibc.connect(number, a, l) } }) == 0 else {
            throw SystemError("connect")
        }
    }
}

/// Whether the last send has failed because its receiver is gone, which may have been started anew (errno(3)).
func isReceiverGone() -> Bool { [ECONNREFUSED, ENOTCONN, ECONNRESET, EPIPE].contains(errno) }
