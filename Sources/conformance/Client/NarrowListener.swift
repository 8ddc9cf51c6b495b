import Glibc
import RawWire
import SystemTLS

/// A listener whose connections hold little on their way: the client soon has bytes that its kernel does not take.
///
/// Short segments keep the client's own buffer small, which the kernel sizes by them.
final class NarrowListener {
    let port: UInt16
    private let descriptor: Int32
    private let tls: TLSContext?

    /// Listens; with `tls` its connections speak TLS.
    init(_ tls: TLSContext?) throws {
        self.tls = tls
        let descriptor = OpenDescriptors.add(socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        guard descriptor >= 0 else { throw systemError("socket") }
        self.descriptor = descriptor
        var buffer: Int32 = 4096
        var segment: Int32 = 536
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, 4)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_MAXSEG, &segment, 4)
        let bound = Address.v4("127.0.0.1", 0).withSockaddr { bind(descriptor, $0, $1) }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let named = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard bound == 0, named == 0, listen(descriptor, 8) == 0 else { throw systemError("listen") }
    }

    deinit { OpenDescriptors.close(descriptor) }

    func accept() throws -> RawPeer {
        guard waitUntilReady(descriptor, POLLIN, until: .now + RawPeer.patience) else {
            throw Unexpected("nobody connected within \(RawPeer.patience)")
        }
        let accepted = Glibc.accept(descriptor, nil, nil)
        guard accepted >= 0 else { throw systemError("accept") }
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        return RawPeer(
            OpenDescriptors.add(accepted),
            through: try tls.map { try JudgesTLS(accepted, $0, within: RawPeer.patience) })
    }
}
