import Glibc

/// A server of raw bytes, for tests of a client: it accepts, and the test says the rest.
package final class RawListener {
    package let address: Address
    package let descriptor: Int32
    /// Makes what lies between the bytes and the socket of each connection; nil where nothing does.
    package var securing: ((Int32) throws -> any RawStream)?
    private var isClosed = false

    /// Listens on 127.0.0.1 and `port`; 0 lets the system choose. Where it is narrow, its connections hold little on their
    /// way: short segments keep the buffer of the other side small, which the kernel sizes by them.
    package init(port: UInt16 = 0, isNarrow: Bool = false) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemError("socket") }
        self.descriptor = OpenDescriptors.add(descriptor)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        if isNarrow {
            var (buffer, segment) = (Int32(4096), Int32(536))
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, 4)
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_MAXSEG, &segment, 4)
        }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = Address.v4("127.0.0.1", port).withSockaddr { bind(descriptor, $0, $1) }
        let named = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        self.address = .v4("127.0.0.1", UInt16(bigEndian: address.sin_port))
        guard bound == 0, named == 0, listen(descriptor, 128) == 0 else { throw systemError("listen") }
    }

    deinit { close() }

    /// From now on connections are refused by the system.
    package func close() {
        // Once: by now the number may belong to somebody else.
        if !isClosed { OpenDescriptors.close(descriptor) }
        isClosed = true
    }

    /// The next connection; throws where none comes in time.
    package func accept(within limit: Duration = RawPeer.patience) throws -> RawPeer {
        guard let peer = try acceptIfAny(within: limit) else { throw Unexpected("nobody connected within \(limit)") }
        return peer
    }

    /// The next connection, nil where none comes in time.
    package func acceptIfAny(within limit: Duration) throws -> RawPeer? {
        guard waitUntilReady(descriptor, POLLIN, until: SuspendingClock.now + limit) else { return nil }
        let accepted = try OpenDescriptors.accept(descriptor)
        do {
            return RawPeer(accepted, through: try securing?(accepted))
        } catch {
            OpenDescriptors.close(accepted)
            throw error
        }
    }
}
