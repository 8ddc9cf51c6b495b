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

/// What the kernel knows of the TCP connections of this machine (/proc/net/tcp).
struct TCPEntry {
    static let established = 1
    static let timeWait = 6

    let localPort: UInt16
    let remotePort: UInt16
    let state: Int
    /// Bytes that the peer has not acknowledged.
    let unacknowledged: Int
    let unread: Int

    static var all: [TCPEntry] {
        guard let file = fopen("/proc/net/tcp", "r") else { return [] }
        defer { fclose(file) }
        var entries: [TCPEntry] = []
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, 512, file) != nil {
            let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            let words = text.split(separator: " ")
            guard words.count > 4, let state = Int(words[3], radix: 16) else { continue }
            let queues = words[4].split(separator: ":").compactMap { Int($0, radix: 16) }
            let ports = words[1...2].compactMap { $0.split(separator: ":").last }.compactMap { UInt16($0, radix: 16) }
            guard queues.count == 2, ports.count == 2 else { continue }
            entries.append(
                TCPEntry(
                    localPort: ports[0], remotePort: ports[1], state: state, unacknowledged: queues[0],
                    unread: queues[1]))
        }
        return entries
    }

    /// What the client behind `peer` has handed to the kernel, and nobody has read.
    static func held(by peer: RawPeer) -> Int {
        let (client, server) = (peer.remotePort, peer.localPort)
        return all.reduce(0) { sum, entry in
            if entry.localPort == client, entry.remotePort == server { return sum + entry.unacknowledged }
            if entry.localPort == server, entry.remotePort == client { return sum + entry.unread }
            return sum
        }
    }
}
