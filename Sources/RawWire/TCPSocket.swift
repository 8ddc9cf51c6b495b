import Glibc

/// What the kernel says of a TCP socket over IPv4 (sock_diag(7)), of whichever process of this machine it is.
package struct TCPSocket {
    /// Where one end of a connection is.
    package struct SocketEnd: Equatable {
        fileprivate let address: in_addr_t
        package let port: UInt16

        package static func == (one: SocketEnd, other: SocketEnd) -> Bool {
            one.address == other.address && one.port == other.port
        }

        /// An end on 127.0.0.1.
        package static func loopback(_ port: UInt16) -> SocketEnd {
            SocketEnd(address: INADDR_LOOPBACK.bigEndian, port: port)
        }
    }

    package enum State: UInt8 {
        case established = 1
        case timeWait = 6
    }

    package let local: SocketEnd
    package let remote: SocketEnd
    /// Nil for all other states.
    package let state: State?
    /// Bytes that came and were not read.
    package let unread: Int
    /// Bytes that the other end has not acknowledged.
    package let unacknowledged: Int

    /// The socket between two ends; nil where there is none.
    ///
    /// The kernel finds it by its addresses. To read /proc/net/tcp it goes through a table with a place for a hundred
    /// thousand sockets, and that took a third of the processor time of `conformance server`.
    package static func find(_ local: SocketEnd, to remote: SocketEnd) throws -> TCPSocket? {
        // Where there is no connection, it answers with the listener.
        try ask(local, remote, flags: asks).first { $0.local == local && $0.remote == remote }
    }

    /// The sockets on loopback with this port at either end.
    package static func all(withPort port: UInt16) throws -> [TCPSocket] {
        let (this, none) = (SocketEnd(address: 0, port: port), SocketEnd(address: 0, port: 0))
        let remote = try ask(none, this, flags: asks | dumps).filter { $0.local.port != port }
        return try ask(this, none, flags: asks | dumps) + remote
    }

    /// The bytes on their way between two ends on loopback: those that the first has sent and the other has not read.
    package static func queued(from port: UInt16, to other: UInt16) throws -> Int {
        let (from, to) = (SocketEnd.loopback(port), SocketEnd.loopback(other))
        return (try find(from, to: to)?.unacknowledged ?? 0) + (try find(to, to: from)?.unread ?? 0)
    }

    // MARK: The conversation with the kernel

    // netlink(7): NLM_F_REQUEST, NLM_F_DUMP, NLMSG_ERROR, SOCK_DIAG_BY_FAMILY.
    private static let asks: UInt16 = 1
    private static let dumps: UInt16 = 0x300
    private static let error: UInt16 = 2
    private static let byFamily: UInt16 = 20
    private static let headerLength = 16
    /// struct inet_diag_req_v2, of which the ends are the last 48 bytes.
    private static let requestLength = 56

    private static func ask(_ local: SocketEnd, _ remote: SocketEnd, flags: UInt16) throws -> [TCPSocket] {
        let number = socket(AF_NETLINK, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 4)  // NETLINK_SOCK_DIAG
        guard number >= 0 else { throw systemError("socket (sock_diag)") }
        let descriptor = OpenDescriptors.add(number)
        defer { OpenDescriptors.close(descriptor) }
        let message = bytes(local, remote, flags: flags)
        guard send(descriptor, message, message.count, 0) == message.count else {
            throw systemError("send (sock_diag)")
        }
        var sockets: [TCPSocket] = []
        var buffer = [UInt8](repeating: 0, count: 32768)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= headerLength else { throw systemError("recv (sock_diag)") }
            var start = 0
            while start + headerLength <= count {
                let length: UInt32 = buffer.native(at: start)
                switch buffer.native(at: start + 4, as: UInt16.self) {
                case byFamily: if let socket = TCPSocket(buffer, at: start + headerLength) { sockets.append(socket) }
                case error where start + headerLength + 4 <= count:
                    let code: Int32 = buffer.native(at: start + headerLength)
                    if code == 0 || code == -ENOENT { return sockets }
                    errno = -code
                    throw systemError("sock_diag")
                default: return sockets
                }
                guard Int(length) >= headerLength else { return sockets }
                start += (Int(length) + 3) & ~3
            }
            if flags == asks { return sockets }
        }
    }

    private static func bytes(_ local: SocketEnd, _ remote: SocketEnd, flags: UInt16) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: headerLength + requestLength)
        bytes.put(UInt32(bytes.count), at: 0)
        bytes.put(byFamily, at: 4)
        bytes.put(flags, at: 6)
        bytes[16] = UInt8(AF_INET)
        bytes[17] = UInt8(IPPROTO_TCP)
        bytes.put(UInt32.max, at: 20)  // All states.
        bytes.put(local.port.bigEndian, at: 24)
        bytes.put(remote.port.bigEndian, at: 26)
        bytes.put(local.address, at: 28)
        bytes.put(remote.address, at: 44)
        bytes.put(UInt64.max, at: 64)  // INET_DIAG_NOCOOKIE
        return bytes
    }

    /// Reads a struct inet_diag_msg.
    private init?(_ bytes: [UInt8], at start: Int) {
        guard bytes.count >= start + 72 else { return nil }
        // A socket of IPv6 has the addresses of IPv4 behind ten zeros and two bytes of ones.
        let isMapped =
            bytes[start] == AF_INET6 && bytes.native(at: start + 16, as: UInt32.self) == UInt32(0xFFFF).bigEndian
        guard bytes[start] == AF_INET || isMapped else { return nil }
        let place = start + 8 + (isMapped ? 12 : 0)
        state = State(rawValue: bytes[start + 1])
        local = SocketEnd(
            address: bytes.native(at: place), port: UInt16(bigEndian: bytes.native(at: start + 4)))
        remote = SocketEnd(
            address: bytes.native(at: place + 16), port: UInt16(bigEndian: bytes.native(at: start + 6)))
        unread = Int(bytes.native(at: start + 56, as: UInt32.self))
        unacknowledged = Int(bytes.native(at: start + 60, as: UInt32.self))
    }
}

extension RawPeer {
    /// The two ends of the connection; nil where it is not over IPv4.
    package var ends: (local: TCPSocket.SocketEnd, remote: TCPSocket.SocketEnd)? {
        guard let local = end(getsockname), let remote = end(getpeername) else { return nil }
        return (local, remote)
    }

    /// What the kernel says of the other side's socket, where that is of this machine.
    package var otherSocket: TCPSocket? { ends.flatMap { try? TCPSocket.find($0.remote, to: $0.local) } }

    /// The bytes that the kernel has for this side, and that it has not read (FIONREAD in tcp(7)).
    package var unreadInKernel: Int {
        var count: Int32 = 0
        return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }

    /// The bytes that the other side has sent and this one has not read; nil where the kernel does not tell of the other.
    package var bytesInKernel: Int? { otherSocket.map { unreadInKernel + $0.unacknowledged } }

    private func end(
        _ call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> TCPSocket.SocketEnd? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, &length) }
        }
        guard status == 0, address.sin_family == AF_INET else { return nil }
        return TCPSocket.SocketEnd(address: address.sin_addr.s_addr, port: UInt16(bigEndian: address.sin_port))
    }
}

extension [UInt8] {
    fileprivate func native<Value: FixedWidthInteger & BitwiseCopyable>(at place: Int, as: Value.Type = Value.self)
        -> Value
    {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: Value.self) }
    }

    fileprivate mutating func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at place: Int) {
        withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: place, as: Value.self) }
    }
}
