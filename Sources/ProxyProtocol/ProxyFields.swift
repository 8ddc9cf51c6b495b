/// The TLVs behind the addresses of a header of version 2 (proxy-protocol.txt, sections 2.2.1 to 2.2.8).
///
/// A type that is read may stand once: of two names, two readers could take a different one each. Where what a proxy writes
/// by itself breaks the rules, the header is wrong. What a client has put in (its host name, the name in its certificate)
/// cannot make it wrong: a name that is no plain text is left out as a whole. To change it, by escaping or cutting, could
/// make it equal another's.
struct ProxyFields {
    private static let maxUniqueID = 128
    /// A name in a certificate has 64 characters at most (RFC 5280, appendix A.1, ub-common-name), of 4 bytes each at most.
    private static let maxName = 256
    /// A name of a host (RFC 1035, section 2.3.4), and of a protocol within TLS (RFC 7301, section 3.1).
    private static let maxHostName = 255
    /// Names of versions and ciphers of TLS.
    private static let maxLabel = 64

    private let bytes: [UInt8]
    private let start: Int
    private var seen: Set<UInt16> = []

    /// The TLVs in a whole header from an offset on.
    init(of header: [UInt8], from start: Int) {
        bytes = header
        self.start = start
    }

    /// Reads all of them; throws where one is wrong.
    mutating func read(into header: inout ProxyHeader) throws(ProxyHeaderError) {
        var checksum: Range<Int>?
        var rest = start..<bytes.count
        while let (type, value) = try next(in: &rest) {
            switch type {
            case 0x01:
                header.alpn = try takeBytes(of: type, value, Self.maxHostName, "ALPN")
            case 0x02:
                try once(type, "AUTHORITY")
                header.authority = plainText(value, Self.maxHostName)
            case 0x03:
                try once(type, "CRC32C")
                guard value.count == 4 else { throw error("CRC32C has 4 bytes, and not \(value.count)") }
                checksum = value
            case 0x05:
                header.uniqueID = try takeBytes(of: type, value, Self.maxUniqueID, "UNIQUE_ID")
            case 0x20:
                try once(type, "SSL")
                header.tls = try readTLS(value)
            default: break  // NOOP, and what others may need.
            }
        }
        if let checksum { try check(checksum) }
    }

    private func error(_ what: String) -> ProxyHeaderError {
        ProxyHeaderError("a header of version 2 of the PROXY protocol is wrong: " + what)
    }

    private func next(in rest: inout Range<Int>) throws(ProxyHeaderError) -> (type: UInt8, value: Range<Int>)? {
        guard !rest.isEmpty else { return nil }
        guard rest.count >= 3 else { throw error("a TLV has 3 bytes at least, and \(rest.count) are left") }
        let type = bytes[rest.lowerBound]
        let count = Int(bytes[rest.lowerBound + 1]) << 8 | Int(bytes[rest.lowerBound + 2])
        let left = rest.count - 3
        guard count <= left else {
            throw error(
                "its TLV of type 0x\(ProxyHeaderError.hexadecimal(type)) has \(count) bytes, and \(left) are left")
        }
        let value = (rest.lowerBound + 3)..<(rest.lowerBound + 3 + count)
        rest = value.upperBound..<rest.upperBound
        return (type, value)
    }

    /// Types within SSL are numbers of their own.
    private mutating func once(_ type: UInt8, within outer: UInt8 = 0, _ name: String) throws(ProxyHeaderError) {
        guard seen.insert(UInt16(outer) << 8 | UInt16(type)).inserted else {
            throw error("\(name) stands in it twice")
        }
    }

    /// What nobody reads as text.
    private mutating func takeBytes(
        of type: UInt8, _ value: Range<Int>, _ most: Int, _ name: String
    ) throws(ProxyHeaderError) -> [UInt8] {
        try once(type, name)
        try bound(value, most, name)
        return Array(bytes[value])
    }

    private func bound(_ value: Range<Int>, _ most: Int, _ name: String) throws(ProxyHeaderError) {
        guard value.count <= most else { throw error("\(name) has \(value.count) bytes, and may have \(most)") }
    }

    /// What a client has put in: nil where it is empty, too long, not UTF-8, or has control characters or ends of lines.
    private func plainText(_ value: Range<Int>, _ most: Int) -> String? {
        guard (1...most).contains(value.count),
            let text = String(validating: bytes[value], as: UTF8.self),
            text.unicodeScalars.allSatisfy({ scalar in
                switch scalar.properties.generalCategory {
                case .control, .lineSeparator, .paragraphSeparator: false
                default: true
                }
            })
        else { return nil }
        return text
    }

    private func label(_ value: Range<Int>, _ name: String) throws(ProxyHeaderError) -> String? {
        try bound(value, Self.maxLabel, name)
        guard bytes[value].allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw error("\(name) has to be printable ASCII, and not \(ProxyHeaderError.quoted(bytes[value]))")
        }
        return value.isEmpty ? nil : String(decoding: bytes[value], as: UTF8.self)
    }

    private mutating func readTLS(_ value: Range<Int>) throws(ProxyHeaderError) -> ProxyHeader.TLS? {
        guard value.count >= 5 else { throw error("SSL has 5 bytes at least, and not \(value.count)") }
        let client = bytes[value.lowerBound]
        let isVerified = bytes[(value.lowerBound + 1)..<(value.lowerBound + 5)].allSatisfy { $0 == 0 }
        // On this connection (2), or on one that this one has resumed (4).
        let hasCertificate = client & 0x06 != 0
        var tls = ProxyHeader.TLS()
        var rest = (value.lowerBound + 5)..<value.upperBound
        while let (type, value) = try next(in: &rest) {
            switch type {
            case 0x21:
                try once(type, within: 0x20, "the version of SSL")
                tls.version = try label(value, "the version of SSL")
            case 0x22:
                try once(type, within: 0x20, "the common name of SSL")
                if hasCertificate && isVerified { tls.provedName = plainText(value, Self.maxName) }
            case 0x23:
                try once(type, within: 0x20, "the cipher of SSL")
                tls.cipher = try label(value, "the cipher of SSL")
            default: break
            }
        }
        // Without this bit the client has not spoken TLS, whatever else is said.
        return client & 0x01 != 0 ? tls : nil
    }

    private func check(_ field: Range<Int>) throws(ProxyHeaderError) {
        let said = bytes[field].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        var zeroed = bytes
        for index in field { zeroed[index] = 0 }
        let computed = crc32c(zeroed)
        guard said == computed else {
            throw error(
                "its CRC32C is 0x\(String(said, radix: 16)), and that of its bytes is 0x\(String(computed, radix: 16))")
        }
    }
}

/// The checksum of RFC 9260, appendix A. It is computed bit by bit: a header has some hundred bytes, and comes once for each
/// connection.
func crc32c(_ bytes: [UInt8]) -> UInt32 {
    var checksum = UInt32.max
    for byte in bytes {
        checksum ^= UInt32(byte)
        for _ in 0..<8 { checksum = checksum >> 1 ^ (checksum & 1 == 1 ? 0x82F6_3B78 : 0) }
    }
    return ~checksum
}
