import Glibc

/// An address as the commands print and take it: `127.0.0.1:7400`, `[::1]:7400`, `unix:/path`.
package enum Address: Equatable, CustomStringConvertible {
    case v4(String, UInt16)
    case v6(String, UInt16)
    case unix(String)

    package init?(_ text: some StringProtocol) {
        if text.hasPrefix("unix:") {
            self = .unix(String(text.dropFirst(5)))
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon]
        self = host.hasPrefix("[") ? .v6(String(host.dropFirst().dropLast()), port) : .v4(String(host), port)
    }

    /// Whether the system can read it: no name, and a path that is not empty.
    package var isNumeric: Bool {
        var address = sockaddr_in6()
        return switch self {
        case .v4(let host, _): inet_pton(AF_INET, host, &address) == 1
        case .v6(let host, _): inet_pton(AF_INET6, String(host.prefix { $0 != "%" }), &address.sin6_addr) == 1
        case .unix(let path): !path.isEmpty
        }
    }

    package var port: UInt16? {
        switch self {
        case .v4(_, let port), .v6(_, let port): port
        case .unix: nil
        }
    }

    package var description: String {
        switch self {
        case .v4(let host, let port): "\(host):\(port)"
        case .v6(let host, let port): "[\(host)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    package var family: Int32 {
        switch self {
        case .v4: AF_INET
        case .v6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// Calls `body` with the address as the system wants it.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        func pass<Value>(_ value: Value) -> Result {
            withUnsafePointer(to: value) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<Value>.size))
                }
            }
        }
        switch self {
        case .v4(let host, let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            return pass(address)
        case .v6(let host, let port):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            let parts = host.split(separator: "%", maxSplits: 1).map(String.init)
            inet_pton(AF_INET6, parts.first ?? "", &address.sin6_addr)
            if parts.count == 2 {
                let zone = if_nametoindex(parts[1])
                address.sin6_scope_id = zone == 0 ? UInt32(parts[1]) ?? 0 : zone
            }
            return pass(address)
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
            return pass(address)
        }
    }
}
