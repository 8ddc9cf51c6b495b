/// Reads a header of the PROXY protocol from bytes as they come.
///
/// The first byte tells version 1 from version 2. A byte that cannot stand where it does is an error at once, as far as one
/// byte tells: a client that has come without its proxy gets its answer after its first byte. A header has 107 bytes at
/// most in version 1 and 16 + 4096 in version 2. The decoder stores what has come, and nothing for a length that the peer
/// only claims.
package struct ProxyHeaderDecoder: Sendable {
    /// What is known after some bytes.
    package enum HeaderProgress: Equatable, Sendable {
        /// All bytes so far belong to the header, and more have to come.
        case needsMore
        /// The header is whole. It took this many of the bytes that were passed last; those behind are the client's.
        case whole(ProxyHeader, taken: Int)
    }

    private enum Stage {
        case start
        case text(ProxyTextHeader)
        case binary(ProxyBinaryHeader)
    }

    private var stage = Stage.start

    package init() {}

    /// How many bytes of the header have come.
    package private(set) var received = 0

    /// Takes the next bytes. Throws where they are no header; nothing may be passed afterwards.
    package mutating func take(_ bytes: ArraySlice<UInt8>) throws(ProxyHeaderError) -> HeaderProgress {
        for index in bytes.indices {
            guard let header = try take(bytes[index], rest: bytes[index...]) else {
                received += 1
                continue
            }
            received += 1
            return .whole(header, taken: index - bytes.startIndex + 1)
        }
        return .needsMore
    }

    private mutating func take(_ byte: UInt8, rest: ArraySlice<UInt8>) throws(ProxyHeaderError) -> ProxyHeader? {
        switch stage {
        case .start:
            switch byte {
            case ProxyTextHeader.keyword[0]: stage = .text(ProxyTextHeader())
            case ProxyBinaryHeader.signature[0]: stage = .binary(ProxyBinaryHeader())
            default: throw ProxyHeaderError(noHeader: Array(rest.prefix(16)))
            }
            return try take(byte, rest: rest)
        case .text(var header):
            stage = .start  // So that the array of `header` has one owner, and is not copied for each byte.
            let whole = try header.take(byte, rest: rest)
            stage = .text(header)
            return whole
        case .binary(var header):
            stage = .start
            let whole = try header.take(byte, rest: rest)
            stage = .binary(header)
            return whole
        }
    }
}
