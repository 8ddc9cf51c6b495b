/// Addresses as inet_pton(3) takes them: each has few spellings, so that two readers of a header see the same client.
enum ProxyAddress {
    /// The number of an IPv4 address in the form of IPv6 (RFC 4291, section 2.5.5.2).
    static func mapped(_ number: UInt32) -> UInt128 { 0xFFFF_0000_0000 | UInt128(number) }

    static func isInIPv4(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || byte == 0x2E }

    static func isInIPv6(_ byte: UInt8) -> Bool { hexadecimal(byte) != nil || byte == 0x3A || byte == 0x2E }

    static func parseIPv4(_ text: ArraySlice<UInt8>) -> UInt128? { fourNumbers(text).map(mapped) }

    static func parseIPv6(_ text: ArraySlice<UInt8>) -> UInt128? {
        // `::` parts the groups in two halves; it stands for one group of zeros at least.
        var halves: [[UInt16]] = [[]]
        var rest = text
        if rest.starts(with: [0x3A, 0x3A]) {
            halves.append([])
            rest = rest.dropFirst(2)
            if rest.isEmpty { return 0 }
        }
        while true {
            let end = rest.firstIndex(of: 0x3A) ?? rest.endIndex
            let group = rest[..<end]
            if end == rest.endIndex, group.contains(0x2E) {
                guard let four = fourNumbers(group) else { return nil }
                halves[halves.count - 1] += [UInt16(four >> 16), UInt16(truncatingIfNeeded: four)]
                break
            }
            guard let number = self.group(group) else { return nil }
            halves[halves.count - 1].append(number)
            rest = rest[end...].dropFirst()
            if end == text.endIndex { break }
            if rest.first == 0x3A {
                guard halves.count == 1 else { return nil }
                halves.append([])
                rest = rest.dropFirst()
                if rest.isEmpty { break }
            }
            // A single colon at the end.
            if rest.isEmpty { return nil }
        }
        let count = halves.reduce(0) { $0 + $1.count }
        guard halves.count == 1 ? count == 8 : count < 8 else { return nil }
        let zeros = [UInt16](repeating: 0, count: 8 - count)
        return (halves[0] + zeros + (halves.count == 1 ? [] : halves[1])).reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func group(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(text.count) else { return nil }
        var number: UInt16 = 0
        for byte in text {
            guard let digit = hexadecimal(byte) else { return nil }
            number = number << 4 | UInt16(digit)
        }
        return number
    }

    private static func fourNumbers(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != 0x30 else { return nil }
            var octet: UInt32 = 0
            for byte in part {
                guard (0x30...0x39).contains(byte) else { return nil }
                octet = octet * 10 + UInt32(byte - 0x30)
            }
            guard octet <= 255 else { return nil }
            number = number << 8 | octet
        }
        return number
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
