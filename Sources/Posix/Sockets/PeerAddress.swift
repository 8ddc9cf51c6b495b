import Glibc

/// The address of the other end in the memory that it takes: 28 bytes for one of IPv6, where every `SocketAddress` has 128.
public struct PeerAddress: Sendable {
    private static let most = 28

    /// An address that does not fit, which is a path.
    private final class LongAddress: Sendable {
        let address: SocketAddress

        init(_ address: SocketAddress) { self.address = address }
    }

    private var bytes = InlineArray<28, UInt8>(repeating: 0)
    private var count: UInt8 = 0
    private var long: LongAddress?

    /// Keeps `address`.
    public init(_ address: SocketAddress) {
        let count = address.withSockaddr { source, length in
            guard length <= PeerAddress.most else { return 0 }
            withUnsafeMutableBytes(of: &bytes) { $0.copyMemory(from: .init(start: source, count: Int(length))) }
            return Int(length)
        }
        self.count = UInt8(count)
        if count == 0 { long = LongAddress(address) }
    }

    /// The address.
    public var address: SocketAddress {
        if let long { return long.address }
        return withUnsafeBytes(of: bytes) {
            SocketAddress(
                copying: $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length: socklen_t(count))
        }
    }
}
