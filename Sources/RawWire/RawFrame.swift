/// A frame as Protocol.md, section 3.3 draws it, with every field free to be wrong.
///
///     | length u32 | type u8 | flags u8 | zero u16 | id u32 | payload ...
///
/// Written from that text alone: it shares nothing with the code that these tests judge.
package struct RawFrame: Equatable {
    package var type: Kind
    package var flags: UInt8 = 0
    package var reserved: UInt16 = 0
    package var id: UInt32 = 0
    package var payload: [UInt8] = []
    /// What the length field says, where that is not the truth.
    package var claimedLength: UInt32?

    package init(
        type: Kind, flags: UInt8 = 0, reserved: UInt16 = 0, id: UInt32 = 0, payload: [UInt8] = [],
        claimedLength: UInt32? = nil
    ) {
        self.type = type
        self.flags = flags
        self.reserved = reserved
        self.id = id
        self.payload = payload
        self.claimedLength = claimedLength
    }

    package static let headerLength = 12
    package static let preface: [UInt8] = [0x4C, 0x49, 0x46, 0x45, 0x4C, 0x49, 0x4E, 0x45]
    package static let more: UInt8 = 0x01
    package static let ignorable: UInt8 = 0x80

    /// The type of a frame (section 4).
    package struct Kind: Equatable, Hashable {
        package let number: UInt8

        package init(number: UInt8) { self.number = number }

        package static let hello = Kind(number: 0x01)
        package static let welcome = Kind(number: 0x02)
        package static let ping = Kind(number: 0x03)
        package static let pong = Kind(number: 0x04)
        package static let request = Kind(number: 0x05)
        package static let response = Kind(number: 0x06)
        package static let message = Kind(number: 0x07)
        package static let cancel = Kind(number: 0x08)
        package static let failure = Kind(number: 0x09)
        package static let goAway = Kind(number: 0x0A)
        package static let close = Kind(number: 0x0B)
        package static let credit = Kind(number: 0x0C)

        fileprivate static let names = [
            "type 0", "HELLO", "WELCOME", "PING", "PONG", "REQUEST", "RESPONSE", "MESSAGE", "CANCEL", "FAILURE",
            "GOAWAY", "CLOSE", "CREDIT",
        ]
    }

    package var bytes: [UInt8] {
        bigEndian(claimedLength ?? UInt32(payload.count)) + [type.number, flags] + bigEndian(reserved) + bigEndian(id)
            + payload
    }

    package var hasMore: Bool { flags & RawFrame.more != 0 }
    package var text: String { String(decoding: payload, as: UTF8.self) }

    /// The same frame, changed.
    package func with(_ change: (inout RawFrame) -> Void) -> RawFrame {
        var frame = self
        change(&frame)
        return frame
    }
}

extension RawFrame {
    /// The first frame in `bytes`, and nil where it is not whole.
    package init?(parsing bytes: ArraySlice<UInt8>) {
        guard bytes.count >= RawFrame.headerLength else { return nil }
        let start = bytes.startIndex
        let length = Int(UInt32(bigEndian: bytes[start...]))
        guard bytes.count >= RawFrame.headerLength + length else { return nil }
        let end = start + RawFrame.headerLength
        self.init(
            type: Kind(number: bytes[start + 4]), flags: bytes[start + 5],
            reserved: UInt16(bigEndian: bytes[(start + 6)...]), id: UInt32(bigEndian: bytes[(start + 8)...]),
            payload: Array(bytes[end..<(end + length)]))
    }
}

extension RawFrame.Kind: CustomStringConvertible {
    package var description: String {
        number < RawFrame.Kind.names.count ? RawFrame.Kind.names[Int(number)] : "type 0x" + String(number, radix: 16)
    }
}

extension RawFrame: CustomStringConvertible {
    /// The type and its fields, such as `PING nonce 1`.
    package var description: String {
        ([type.description] + fields.map { "\($0.name) \($0.value)" }).joined(separator: " ")
    }
}

// MARK: Integers

package func bigEndian<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
    (0..<Integer.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}

extension FixedWidthInteger {
    /// The integer at the start of `bytes`.
    package init(bigEndian bytes: ArraySlice<UInt8>) {
        precondition(bytes.count >= Self.bitWidth / 8)
        self = bytes.prefix(Self.bitWidth / 8).reduce(0) { $0 << 8 | Self($1) }
    }
}

package func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}
