/// Reads a header of the PROXY protocol from bytes as they come.
package struct ProxyHeaderDecoder: Sendable {
    /// What is known after some bytes.
    package enum Progress: Equatable, Sendable {
        /// All bytes so far belong to the header, and more have to come.
        case needsMore
        /// The header is whole. It took this many of the bytes that were passed last; those behind are the client's.
        case whole(ProxyHeader, taken: Int)
    }

    package init() {}

    /// Takes the next bytes. Throws where they are no header; nothing may be passed afterwards.
    package mutating func take(_ bytes: ArraySlice<UInt8>) throws(ProxyHeaderError) -> Progress { .needsMore }
}

/// Why bytes are no header of the PROXY protocol.
package struct ProxyHeaderError: Error, Equatable, Sendable {
    /// For people: what was wrong and what was expected.
    package let text: String
}
