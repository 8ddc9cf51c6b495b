/// Version 2 of the header: 16 bytes, and as many as their last two say (proxy-protocol.txt, section 2.2).
struct ProxyBinaryHeader {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let fixedLength = 16
    /// Of what follows the 16 bytes: addresses take 216 bytes at most, and certificates in TLVs some thousand.
    static let maxLength = 4096

    /// What of the header has come, without what is skipped.
    private var received: [UInt8] = []
    private var skipped = 0

    private var isLocal: Bool { received[12] == 0x20 }
    private var family: UInt8 { received[13] }
    private var length: Int { Int(received[14]) << 8 | Int(received[15]) }
    /// Whether what follows the 16 bytes is read. LOCAL means that no byte of it is (not even a family that nobody knows:
    /// balancers send addresses that are dummies). UNSPEC may have addresses of a form that nobody knows, so that no TLV
    /// can be found behind them.
    private var isSkipped: Bool { isLocal || family == 0 }

    /// Takes a byte. `rest` has it and those that came with it, for the text of an error.
    mutating func take(_ byte: UInt8, rest: ArraySlice<UInt8>) throws(ProxyHeaderError) -> ProxyHeader? {
        switch received.count {
        case ..<Self.signature.count:
            guard byte == Self.signature[received.count] else {
                throw ProxyHeaderError(noHeader: received + rest.prefix(16))
            }
        case 12:
            guard byte == 0x20 || byte == 0x21 else {
                throw error(
                    "its 13th byte has to be 0x20 (version 2, LOCAL) or 0x21 (PROXY), and not \(hexadecimal(byte))")
            }
        case 13:
            if !isLocal { try judge(family: byte) }
        case 15:
            received.append(byte)
            try judgeLength()
            return length == 0 ? try header : nil
        case Self.fixedLength... where isSkipped:
            skipped += 1
            return skipped == length ? try header : nil
        default: break
        }
        received.append(byte)
        guard received.count > Self.fixedLength, received.count == Self.fixedLength + length else { return nil }
        return try header
    }

    private func error(_ what: String) -> ProxyHeaderError {
        ProxyHeaderError("a header of version 2 of the PROXY protocol is wrong: " + what)
    }

    private func hexadecimal(_ byte: UInt8) -> String { "0x" + ProxyHeaderError.hexadecimal(byte) }

    private func judge(family: UInt8) throws(ProxyHeaderError) {
        switch family {
        case 0, 0x11, 0x21, 0x31: return
        case 0x12, 0x22, 0x32:
            throw error("its family is \(hexadecimal(family)), datagrams, and this is a stream")
        default:
            throw error(
                "its family has to be 0x11 (TCP over IPv4), 0x21 (over IPv6), 0x31 (Unix) or 0 (unspecified), and not "
                    + hexadecimal(family))
        }
    }

    private func judgeLength() throws(ProxyHeaderError) {
        guard length <= Self.maxLength else {
            throw error("\(length) bytes are to follow its first 16, and at most \(Self.maxLength) may")
        }
        guard !isSkipped, length < addressLength else { return }
        throw error("\(length) bytes are to follow its first 16, and the addresses of its family take \(addressLength)")
    }

    /// Of both addresses and ports.
    private var addressLength: Int {
        switch family {
        case 0x11: 12
        case 0x21: 36
        default: 216
        }
    }

    private var header: ProxyHeader {
        get throws(ProxyHeaderError) {
            var header = ProxyHeader(version: 2, command: isLocal ? .local : .proxy)
            guard !isSkipped else { return header }
            (header.source, header.destination) = endpoints
            var fields = ProxyFields(of: received, from: Self.fixedLength + addressLength)
            try fields.read(into: &header)
            return header
        }
    }

    private var endpoints: (source: ProxyHeader.ConnectionEnd, destination: ProxyHeader.ConnectionEnd) {
        func number(_ offset: Int, _ count: Int) -> UInt128 {
            received[(Self.fixedLength + offset)...].prefix(count).reduce(0) { $0 << 8 | UInt128($1) }
        }
        func port(_ offset: Int) -> UInt16 { UInt16(number(offset, 2)) }
        func path(_ offset: Int) -> [UInt8] {
            Array(received[(Self.fixedLength + offset)...].prefix(108).prefix { $0 != 0 })
        }
        switch family {
        case 0x11:
            return (
                .ip(ProxyAddress.mapped(UInt32(number(0, 4))), port: port(8)),
                .ip(ProxyAddress.mapped(UInt32(number(4, 4))), port: port(10))
            )
        case 0x21: return (.ip(number(0, 16), port: port(32)), .ip(number(16, 16), port: port(34)))
        default: return (.unix(path(0)), .unix(path(108)))
        }
    }
}
