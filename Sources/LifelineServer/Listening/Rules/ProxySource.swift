/// Where a proxy connects from. Its connections begin with a header of the PROXY protocol.
public enum ProxySource: Hashable, Sendable, CustomStringConvertible {
    /// From one of these addresses, to a TCP socket.
    case range(AddressRange)
    /// To a Unix socket: the permissions of its file stand for a range.
    case unix

    /// Reads a range of addresses, or `unix`.
    public init(_ text: String) throws(AddressRangeError) {
        self = text == "unix" ? .unix : .range(try AddressRange(text))
    }

    /// The text that reads as this source.
    public var description: String {
        switch self {
        case .range(let range): range.description
        case .unix: "unix"
        }
    }
}

extension ProxySource {
    /// Whether every proxy of the other source is one of this.
    func covers(_ other: ProxySource) -> Bool {
        switch (self, other) {
        case (.range(let range), .range(let other)): range.covers(other)
        case (.unix, .unix): true
        default: false
        }
    }

    /// What is wrong where no listener without proxies of its own can have this one.
    var fitsNoListener: String {
        let (kind, other) =
            self == .unix
            ? ("Unix", "a range of addresses for TCP sockets") : ("TCP", "--proxy-from unix for Unix sockets")
        return
            "--proxy-from \(self) is for \(kind) sockets, and the server listens on none without proxies of its own: "
            + "leave it out, or give \(other)"
    }
}

/// The proxies of one listener: every connection there comes from one of them, and begins with a header.
struct ListenerProxies: Equatable {
    /// Empty for a Unix socket, where every peer is a proxy.
    private let ranges: [AddressRange]

    /// Those of `sources` that can connect to such a listener; nil where none can, and the listener takes no header.
    init?(_ sources: [ProxySource], isUnix: Bool) {
        ranges = sources.compactMap { source in
            if case .range(let range) = source, !isUnix { range } else { nil }
        }
        guard isUnix ? sources.contains(.unix) : !ranges.isEmpty else { return nil }
    }

    /// Whether the peer is one of them; it has no address where it came to a Unix socket.
    func contains(_ address: UInt128?) -> Bool {
        guard let address else { return ranges.isEmpty }
        return ranges.contains { $0.contains(address) }
    }
}
