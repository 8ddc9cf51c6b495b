/// Version 1 of the header: `PROXY TCP4 192.0.2.1 192.0.2.2 50000 7400` and CRLF (proxy-protocol.txt, section 2.1).
struct ProxyTextHeader {
    static let keyword = Array("PROXY ".utf8)
    /// With CRLF.
    static let maxLength = 107

    /// What a line has behind PROXY, in this order.
    private enum Field: Int {
        case family, source, destination, sourcePort, destinationPort
        /// What is behind UNKNOWN: nobody reads it.
        case ignored
        case lineFeed
    }

    private var received: [UInt8] = []
    private var field = Field.family
    private var fieldStart = ProxyTextHeader.keyword.count
    private var isIPv6 = false
    private var addresses: [UInt128] = []
    private var ports: [UInt16] = []

    /// Takes a byte. `rest` has it and those that came with it, for the text of an error.
    mutating func take(_ byte: UInt8, rest: ArraySlice<UInt8>) throws(ProxyHeaderError) -> ProxyHeader? {
        if received.count < Self.keyword.count {
            guard byte == Self.keyword[received.count] else {
                throw ProxyHeaderError(noHeader: received + rest.prefix(16))
            }
            received.append(byte)
            return nil
        }
        received.append(byte)
        if field == .lineFeed {
            guard byte == 0x0A else {
                throw error("its CR has to be followed by LF, and not by \(ProxyHeaderError.quoted([byte]))")
            }
            return header
        }
        guard received.count < Self.maxLength else {
            throw error("CR and LF have to end it within \(Self.maxLength) bytes")
        }
        switch field {
        case .ignored: if byte == 0x0D { field = .lineFeed }
        case .family: try takeFamily(byte)
        case .source, .destination: try takeAddress(byte)
        case .sourcePort: try takePort(byte, end: 0x20, next: .destinationPort)
        case .destinationPort: try takePort(byte, end: 0x0D, next: .lineFeed)
        case .lineFeed: break
        }
        return nil
    }

    private var text: ArraySlice<UInt8> { received[fieldStart...] }

    private var header: ProxyHeader {
        guard addresses.count == 2 else { return ProxyHeader(version: 1, command: .proxy) }
        return ProxyHeader(
            version: 1, command: .proxy, source: .ip(addresses[0], port: ports[0]),
            destination: .ip(addresses[1], port: ports[1]))
    }

    private func error(_ what: String) -> ProxyHeaderError {
        ProxyHeaderError("a header of version 1 of the PROXY protocol is wrong at byte \(received.count): " + what)
    }

    private mutating func begin(_ next: Field) {
        field = next
        fieldStart = received.count
    }

    private mutating func takeFamily(_ byte: UInt8) throws(ProxyHeaderError) {
        let families = ["TCP4 ", "TCP6 ", "UNKNOWN"]
        guard let family = families.first(where: { Array($0.utf8).starts(with: text) }) else {
            throw error(
                "TCP4, TCP6 or UNKNOWN and one space have to follow PROXY, and not \(ProxyHeaderError.quoted(text))")
        }
        guard family.utf8.count == text.count else { return }
        isIPv6 = family == "TCP6 "
        begin(family == "UNKNOWN" ? .ignored : .source)
    }

    private mutating func takeAddress(_ byte: UInt8) throws(ProxyHeaderError) {
        let name = field == .source ? "the source's address" : "the destination's address"
        guard byte == 0x20 else {
            guard isIPv6 ? ProxyAddress.isInIPv6(byte) : ProxyAddress.isInIPv4(byte), text.count <= (isIPv6 ? 45 : 15)
            else { throw error("\(name) and one space have to stand here, and not \(ProxyHeaderError.quoted(text))") }
            return
        }
        let spelled = text.dropLast()
        guard let address = isIPv6 ? ProxyAddress.parseIPv6(spelled) : ProxyAddress.parseIPv4(spelled) else {
            throw error(
                "\(name) has to be one of IPv\(isIPv6 ? 6 : 4), as inet_pton takes it, and not "
                    + ProxyHeaderError.quoted(spelled))
        }
        addresses.append(address)
        begin(field == .source ? .destination : .sourcePort)
    }

    private mutating func takePort(_ byte: UInt8, end: UInt8, next: Field) throws(ProxyHeaderError) {
        let name = field == .sourcePort ? "the source's port" : "the destination's port"
        let spelled = byte == end ? text.dropLast() : text
        // Checked at each digit, so that the number has a bound.
        guard spelled.allSatisfy({ (0x30...0x39).contains($0) }), byte != end || !spelled.isEmpty,
            spelled.count == 1 || spelled.first != 0x30,
            let port = UInt16(spelled.isEmpty ? "0" : String(decoding: spelled, as: UTF8.self))
        else {
            throw error(
                "\(name), 0 to 65535 without leading zeros, and \(end == 0x20 ? "one space" : "CR and LF") have to stand "
                    + "here, and not \(ProxyHeaderError.quoted(text))")
        }
        guard byte == end else { return }
        ports.append(port)
        begin(next)
    }
}
