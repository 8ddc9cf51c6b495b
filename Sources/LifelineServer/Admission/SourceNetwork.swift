import Posix

/// How many leading bits of an address make a source: a network that one subscriber holds, not one machine.
public struct SourcePrefix: Equatable, Sendable, CustomStringConvertible {
    private let v4: Int
    private let v6: Int

    /// From 1 to 32 bits of IPv4, and from 1 to 128 of IPv6, where /64 is what a single subscriber has (RFC 6177).
    public init(v4: Int = 32, v6: Int = 64) {
        precondition((1...32).contains(v4) && (1...128).contains(v6))
        self.v4 = v4
        self.v6 = v6
    }

    /// `32,64`.
    public var description: String { "\(v4),\(v6)" }

    /// The source of an address as `SocketAddress.ipNumber` has it: one of IPv4 is one of IPv4 on every listener.
    func source(of address: UInt128) -> SourceNetwork {
        let shared = AddressRange.isV4(address) ? 96 + v4 : v6
        return SourceNetwork(first: address & ~(UInt128.max >> UInt128(shared)), shared: UInt8(shared))
    }
}

/// Clients that are counted as one, because the first bits of their addresses are the same.
struct SourceNetwork: Hashable, Sendable, CustomStringConvertible {
    /// The first of the addresses.
    let first: UInt128
    /// How many bits all of them share, those of IPv4 as bits of ::ffff:a.b.c.d.
    let shared: UInt8

    /// `192.0.2.7`, `10.0.0.0/24`, `2001:db8::/64`.
    var description: String {
        let length = AddressRange.isV4(first) ? Int(shared) - 96 : Int(shared)
        let isWhole = shared == 128
        return SocketAddress.text(ofIPNumber: first) + (isWhole ? "" : "/\(length)")
    }
}
