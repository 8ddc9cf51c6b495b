import Glibc

extension SocketAddress {
    /// Names that mean an address on every machine, so that none has to be asked for: this machine (RFC 6761, section 6.3,
    /// and /etc/hosts of Debian), and all addresses.
    private static let listenNames = [
        "localhost": "127.0.0.1", "localhost.": "127.0.0.1", "ip6-localhost": "::1", "ip6-loopback": "::1", "*": "::",
    ]

    /// Reads where to listen: an address as the other initializer has it, `localhost`, or `*` for all addresses of IPv4 and
    /// IPv6. Other names are not resolved. Returns nil for anything else.
    public init?(listenHost host: String, port: UInt16) {
        self.init(host: SocketAddress.listenNames[host.lowercased()] ?? host, port: port)
    }

    /// Reads where to listen with a port, `127.0.0.1:9100`, `[::1]:9100` or `*:9100`. Returns nil for anything else.
    public init?(listenHostAndPort text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon]
        guard !host.contains(":") || host.hasPrefix("["), !host.hasPrefix("unix:") else { return nil }
        self.init(listenHost: String(host), port: port)
    }

    /// All addresses of IPv4 with the port of this one, where this is all addresses of IPv6 and the kernel has no IPv6;
    /// nil for another.
    public var withoutIPv6: SocketAddress? {
        guard isIPv6, ipNumber == 0, let port, !SocketAddress.hasIPv6 else { return nil }
        return SocketAddress(host: "0.0.0.0", port: port)
    }

    /// Whether the kernel has IPv6 (EAFNOSUPPORT of socket(2)).
    private static var hasIPv6: Bool {
        do throws(SystemError) {
            _ = try Descriptor.stream(AF_INET6)
            return true
        } catch {
            return error.code != EAFNOSUPPORT
        }
    }
}
