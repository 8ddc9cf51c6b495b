/// A header of the PROXY protocol as it is to stand on the wire, right or wrong.
package struct RawProxyHeader: Sendable {
    /// The first 12 bytes of version 2.
    package static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]
    /// The addresses and ports of TCP4: 192.0.2.7, 192.0.2.1, 50000 and 7400.
    package static let addresses: [UInt8] = [192, 0, 2, 7, 192, 0, 2, 1, 0xC3, 0x50, 0x1C, 0xE8]

    package var signature = RawProxyHeader.signature
    /// Version 2 and a command: 0x20 is LOCAL, 0x21 PROXY.
    package var command: UInt8 = 0x21
    /// Address family and transport: 0x11 is TCP4, 0x21 TCP6, 0x31 a Unix stream, 0 unspecified.
    package var family: UInt8 = 0x11
    package var addresses = RawProxyHeader.addresses
    /// What is behind the addresses.
    package var fields: [UInt8] = []
    /// The length that is announced, where that is not the right one.
    package var claimedLength: Int?

    package init(
        command: UInt8 = 0x21, family: UInt8 = 0x11, addresses: [UInt8] = RawProxyHeader.addresses,
        fields: [UInt8] = [], claimedLength: Int? = nil
    ) {
        self.command = command
        self.family = family
        self.addresses = addresses
        self.fields = fields
        self.claimedLength = claimedLength
    }

    /// Version 2.
    package var bytes: [UInt8] {
        let length = claimedLength ?? addresses.count + fields.count
        return signature + [command, family, UInt8(length >> 8 & 255), UInt8(length & 255)] + addresses + fields
    }

    /// Version 2 with a checksum behind the other fields, which is `wrong` by one bit.
    package func checked(wrong: Bool = false) -> [UInt8] {
        var whole = self
        whole.fields += RawProxyHeader.field(3, [0, 0, 0, 0])
        let zeroed = whole.bytes
        let sum = RawProxyHeader.checksum(zeroed) ^ (wrong ? 1 : 0)
        return zeroed.dropLast(4) + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) }
    }

    /// A TLV.
    package static func field(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        [type, UInt8(value.count >> 8), UInt8(value.count & 255)] + value
    }

    /// The field SSL: what the client did (1: TLS, 2 and 4: a certificate), whether that was verified (0), and names.
    package static func tls(
        client: UInt8, verify: [UInt8] = [0, 0, 0, 0], version: String = "TLSv1.3", name: [UInt8]? = nil,
        cipher: String = "TLS_AES_256_GCM_SHA384"
    ) -> [UInt8] {
        field(
            0x20,
            [client] + verify + field(0x21, Array(version.utf8)) + (name.map { field(0x22, $0) } ?? [])
                + field(0x23, Array(cipher.utf8)))
    }

    /// Version 1: PROXY, what follows it, and CRLF.
    package static func text(_ rest: String = "TCP4 192.0.2.7 192.0.2.1 50000 7400", end: String = "\r\n") -> [UInt8] {
        Array("PROXY \(rest)\(end)".utf8)
    }

    /// A header that is right, for a client of this number: an address of 192.0.2.0/24, or of a network of
    /// its own in 2001:db8::/32, and a port. So no client pays for another's failed handshakes.
    package static func client(_ number: UInt16, isText: Bool) -> [UInt8] {
        let last = UInt8(number % 254 + 1)
        // Every other pair: the kernel gives some callers even ports alone.
        let isIPv6 = number & 2 != 0
        guard !isText else {
            return text(
                isIPv6
                    ? "TCP6 2001:db8:0:\(String(last, radix: 16))::1 2001:db8::1 \(number) 7400"
                    : "TCP4 192.0.2.\(last) 192.0.2.1 \(number) 7400")
        }
        let host: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
        let ends: [UInt8] =
            isIPv6
            ? [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, last] + host + [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0] + host
            : [192, 0, 2, last, 192, 0, 2, 1]
        let header = RawProxyHeader(
            family: isIPv6 ? 0x21 : 0x11, addresses: ends + [UInt8(number >> 8), UInt8(number & 255), 0x1C, 0xE8],
            fields: field(2, Array("conformance.example".utf8)) + field(5, Array("connection-\(number)".utf8))
                + tls(client: 1))
        return header.checked()
    }

    /// CRC-32C, from the reflected polynomial by long division of the bits, the lowest first.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var rest: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            for bit in 0..<8 {
                let carry = (rest ^ UInt32(byte >> bit)) & 1
                rest >>= 1
                if carry == 1 { rest ^= 0x82F6_3B78 }
            }
        }
        return rest ^ 0xFFFF_FFFF
    }
}
