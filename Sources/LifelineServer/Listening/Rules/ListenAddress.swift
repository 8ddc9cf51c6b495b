import Basics

/// One of the addresses that a server listens on, as an operator writes it: a host and a port, or `unix:` and a path.
public struct ListenAddress: Hashable, Sendable {
    /// As `ServerOptions.host` has it.
    public let host: String
    /// 0 lets the system choose. A Unix socket has none.
    public let port: UInt16

    /// Reads `127.0.0.1:7400`, `[::1]:7400` or `unix:/path`. Throws what is wrong, with what is expected.
    public init(_ text: String) throws(StartError) {
        func wrong(_ what: String) -> StartError {
            StartError(
                .badOptions,
                "'\(text)' \(what): expected an address and a port, such as 127.0.0.1:7400 or [::]:7400, or unix:/path")
        }
        if text.hasPrefix(ListenAddress.unixPrefix) {
            guard text != ListenAddress.unixPrefix else { throw wrong("has no path") }
            host = text
            port = 0
            return
        }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { throw wrong("has no port") }
        let host = text[..<colon]
        let ending = text[text.index(after: colon)...]
        guard !host.isEmpty else { throw wrong("has no address") }
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { throw wrong("has no ] behind its address") }
        } else if host.contains(":") {
            throw wrong("is an IPv6 address without [ and ]")
        }
        guard ending.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(ending) else {
            throw wrong("has the port '\(ending)', which is no number from 0 to 65535")
        }
        self.host = String(host)
        self.port = port
    }

    /// `host` as `ServerOptions.host` has it, and `port`.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = host.hasPrefix(ListenAddress.unixPrefix) ? 0 : port
    }

    package static let unixPrefix = "unix:"

    /// The text that reads as this address.
    public var text: String { addressText(host: host, port: port) }
}
