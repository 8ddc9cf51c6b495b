import RawWire

/// What both sides say of credit and of requests of the server, in raw bytes (sections 3.7, 3.8 and 4.13).
extension RawFrame.Kind {
    /// CREDIT.
    static let grant = RawFrame.Kind(number: 0x0C)
}

extension RawFrame {
    /// WELCOME of 1.1, which offers credit where `credit` is not nil.
    static func twoWay(
        credit: UInt64? = nil, pingEvery: UInt32 = 10000, deadAfter: UInt32 = 30000, maxMessage: UInt32 = 1 << 20
    ) -> RawFrame {
        welcome(
            minor: 1, pingEvery: pingEvery, deadAfter: deadAfter, maxMessage: maxMessage,
            options: credit.map { option(4, bigEndian($0)) } ?? [])
    }

    static func grant(limit: UInt64, handled: UInt64) -> RawFrame {
        RawFrame(type: .grant, payload: bigEndian(limit) + bigEndian(handled))
    }

    /// The limit of CREDIT.
    var limit: UInt64 { UInt64(bigEndian: payload[...]) }
    /// The `handled` of CREDIT.
    var handled: UInt64 { UInt64(bigEndian: payload[8...]) }
}

extension HelloFields {
    /// The value of an option; nil where it is not there.
    func option(_ tag: UInt16) -> [UInt8]? {
        var rest = options[...]
        while rest.count >= 4 {
            let length = Int(UInt16(bigEndian: rest.dropFirst(2)))
            let value = rest.dropFirst(4).prefix(length)
            if UInt16(bigEndian: rest) == tag { return Array(value) }
            rest = rest.dropFirst(4 + length)
        }
        return nil
    }
}
