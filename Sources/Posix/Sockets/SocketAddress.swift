import Basics
import Glibc

/// The address of one end of a stream socket: IPv4, IPv6 or a Unix path (ip(7), ipv6(7), unix(7)).
public struct SocketAddress: BitwiseCopyable, Sendable {
    private var storage = sockaddr_storage()
    private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

    private init() {}

    /// Reads `host`: a numeric IPv4 address, a numeric IPv6 address, or `unix:` and a path.
    ///
    /// An IPv6 address may stand in brackets and may have a zone. Names are not resolved. Returns nil for anything else.
    public init?(host: String, port: UInt16) {
        if host.hasPrefix("unix:") {
            self.init(unixPath: String(host.dropFirst("unix:".count)))
        } else {
            self.init(numeric: host, port: port)
        }
    }

    /// With `mayBeAbstract` a path that begins with `@` is the name of a socket without a file.
    init?(unixPath path: String, mayBeAbstract: Bool = false) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        // One byte is left for the zero that ends it.
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        let isAbstract = mayBeAbstract && path.hasPrefix("@")
        if isAbstract { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        set(address)
        // An abstract name ends where the address does, and zeros behind it would be part of it.
        if isAbstract { length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count) }
    }

    private init?(numeric host: String, port: UInt16) {
        var v4 = sockaddr_in()
        if inet_pton(AF_INET, host, &v4.sin_addr) == 1 {
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = port.bigEndian
            set(v4)
            return
        }
        var bare = host[...]
        if bare.hasPrefix("["), bare.hasSuffix("]") { bare = bare.dropFirst().dropLast() }
        let parts = bare.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var v6 = sockaddr_in6()
        guard inet_pton(AF_INET6, String(parts[0]), &v6.sin6_addr) == 1 else { return nil }
        if parts.count == 2 {
            // By its name or its number (RFC 4007, section 11.2).
            v6.sin6_scope_id = if_nametoindex(String(parts[1]))
            if v6.sin6_scope_id == 0 { v6.sin6_scope_id = UInt32(parts[1]) ?? 0 }
            guard v6.sin6_scope_id != 0 else { return nil }
        }
        v6.sin6_family = sa_family_t(AF_INET6)
        v6.sin6_port = port.bigEndian
        set(v6)
    }

    /// Copies an address that a resolver returned (getaddrinfo(3)).
    public init(copying address: UnsafePointer<sockaddr>, length: socklen_t) {
        withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: .init(start: address, count: Int(length))) }
        self.length = length
    }

    /// An address that `fill` writes, as accept(2) and getsockname(2) do.
    init(filledBy fill: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Void) {
        var length = self.length
        withUnsafeMutableBytes(of: &storage) { bytes in
            fill(bytes.assumingMemoryBound(to: sockaddr.self).baseAddress!, &length)
        }
        self.length = length
    }

    private mutating func set<Address>(_ address: Address) {
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: address, as: Address.self) }
        length = socklen_t(MemoryLayout<Address>.size)
    }

    /// The address family: AF_INET, AF_INET6 or AF_UNIX.
    public var family: Int32 { Int32(storage.ss_family) }
    /// Whether it is an IPv6 address.
    public var isIPv6: Bool { family == AF_INET6 }
    /// Whether it is the address of a Unix socket.
    public var isUnix: Bool { family == AF_UNIX }

    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body($0.assumingMemoryBound(to: sockaddr.self).baseAddress!, length) }
    }

    private func load<Address>(as: Address.Type) -> Address {
        withUnsafeBytes(of: storage) { $0.loadUnaligned(as: Address.self) }
    }

    /// The IP address as one number; nil for a Unix socket. An IPv4 address has its IPv6 form, ::ffff:a.b.c.d (RFC 4291,
    /// section 2.5.5.2).
    public var ipNumber: UInt128? {
        switch family {
        case AF_INET: 0xFFFF << 32 | UInt128(UInt32(bigEndian: load(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6:
            withUnsafeBytes(of: load(as: sockaddr_in6.self).sin6_addr) {
                UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self))
            }
        default: nil
        }
    }

    /// The address with this `ipNumber`, and a port.
    public init(ipNumber number: UInt128, port: UInt16) {
        if number >> 32 == 0xFFFF {
            var v4 = sockaddr_in()
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_addr.s_addr = UInt32(truncatingIfNeeded: number).bigEndian
            v4.sin_port = port.bigEndian
            set(v4)
        } else {
            var v6 = sockaddr_in6()
            v6.sin6_family = sa_family_t(AF_INET6)
            withUnsafeMutableBytes(of: &v6.sin6_addr) { $0.storeBytes(of: number.bigEndian, as: UInt128.self) }
            v6.sin6_port = port.bigEndian
            set(v6)
        }
    }

    /// The text of an IP address in the form of `ipNumber`: `10.0.0.0` or `2001:db8::`.
    public static func text(ofIPNumber number: UInt128) -> String {
        var address = sockaddr_in6()
        withUnsafeMutableBytes(of: &address.sin6_addr) { $0.storeBytes(of: number.bigEndian, as: UInt128.self) }
        var whole = SocketAddress()
        address.sin6_family = sa_family_t(AF_INET6)
        whole.set(address)
        return TextBuffer.string { whole.putHost(into: &$0, inBrackets: false) }
    }

    /// The path of a Unix socket, empty where it has no name, as a client's has none; nil for an IP address.
    public var unixPath: String? {
        guard isUnix else { return nil }
        let address = load(as: sockaddr_un.self)
        let most = Int(length) - MemoryLayout<sa_family_t>.size
        return withUnsafeBytes(of: address.sun_path) { path in
            String(decoding: path.prefix(max(0, most)).prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension SocketAddress {
    /// The IP address as text, without brackets and with its zone; nil for a Unix socket. An IPv4 client of an IPv6 listener
    /// has its IPv4 address.
    public var host: String? {
        family == AF_INET || family == AF_INET6 ? TextBuffer.string { putHost(into: &$0, inBrackets: false) } : nil
    }

    /// The port; nil for a Unix socket.
    public var port: UInt16? {
        switch family {
        case AF_INET: UInt16(bigEndian: load(as: sockaddr_in.self).sin_port)
        case AF_INET6: UInt16(bigEndian: load(as: sockaddr_in6.self).sin6_port)
        default: nil
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:7400`, `[::1]:7400`, `[fe80::1%eth0]:7400`, `unix:/path`, or `unix` for an unnamed Unix socket.
    public var description: String { TextBuffer.string { put(into: &$0) } }

    /// Appends the description to `text`, without a String.
    package func put(into text: inout TextBuffer) {
        if let port {
            putHost(into: &text, inBrackets: true)
            text.put(UInt8(ascii: ":"))
            text.put(decimal: UInt64(port))
        } else if let unixPath {
            text.put(unixPath.isEmpty ? "unix" : "unix:")
            text.put(unixPath)
        } else {
            text.put("family \(family)")
        }
    }

    /// Four numbers for IPv4, however they are carried; inet_ntop(3) would print each with sprintf(3).
    private func putHost(into text: inout TextBuffer, inBrackets: Bool) {
        if let number = ipNumber, number >> 32 == 0xFFFF {
            for shift: UInt128 in [24, 16, 8, 0] {
                text.put(decimal: UInt64(truncatingIfNeeded: number >> shift & 0xFF))
                if shift > 0 { text.put(UInt8(ascii: ".")) }
            }
        } else {
            if inBrackets { text.put(UInt8(ascii: "[")) }
            putIPv6(into: &text)
            if inBrackets { text.put(UInt8(ascii: "]")) }
        }
    }

    private func putIPv6(into text: inout TextBuffer) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
            withUnsafeBytes(of: load(as: sockaddr_in6.self).sin6_addr) { address in
                _ = inet_ntop(AF_INET6, address.baseAddress, buffer.baseAddress, socklen_t(buffer.count))
            }
            let length = strlen(buffer.baseAddress!)
            buffer.withMemoryRebound(to: UInt8.self) { text.put(UnsafeBufferPointer(rebasing: $0[..<length])) }
        }
        let zone = load(as: sockaddr_in6.self).sin6_scope_id
        if zone != 0 { put(zone: zone, into: &text) }
    }

    /// The interface of a link-local address, which is another machine's on another link (RFC 4007, section 11).
    private func put(zone: UInt32, into text: inout TextBuffer) {
        text.put(UInt8(ascii: "%"))
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(IF_NAMESIZE)) { buffer in
            guard let name = if_indextoname(zone, buffer.baseAddress) else { return text.put(decimal: UInt64(zone)) }
            text.put(String(cString: name))
        }
    }
}
