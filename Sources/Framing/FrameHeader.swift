/// The twelve bytes before every payload (Protocol.md, section 3.3).
///
///     0        4      5       6          8       12
///     | length | type | flags | zero u16 | id u32 | payload: length bytes
struct FrameHeader {
    static let length = 12

    var length: UInt32
    /// As it came: it may be a type that this version does not know.
    var type: UInt8
    var flags: FrameFlags
    var reserved: UInt16
    var id: UInt32

    /// Reads the twelve bytes at the start of `bytes`.
    init(reading bytes: Span<UInt8>) {
        length = bytes.bigEndian(at: 0)
        type = bytes[4]
        flags = FrameFlags(rawValue: bytes[5])
        reserved = bytes.bigEndian(at: 6)
        id = bytes.bigEndian(at: 8)
    }
}

extension Span<UInt8> {
    /// The big-endian integer at `offset`; the caller has checked that it is within bounds, else this traps.
    @inline(__always)
    func bigEndian<Value: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        at offset: Int, as: Value.Type = Value.self
    ) -> Value {
        bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self).bigEndian
    }

    /// The text that begins at `offset` and fills the rest; throws where it is not UTF-8.
    func text(from offset: Int, of frame: String) throws(Violation) -> String {
        guard let text = try? UTF8Span(validating: extracting(offset..<count)) else {
            throw .breach("the text of \(frame) is not UTF-8")
        }
        return String(copying: text)
    }
}

extension UInt64 {
    var high: UInt32 { UInt32(truncatingIfNeeded: self >> 32) }
    var low: UInt32 { UInt32(truncatingIfNeeded: self) }
}

extension [UInt8] {
    /// Appends words big-endian, all with one call.
    @inline(__always)
    mutating func append<let count: Int>(words: InlineArray<count, UInt32>) {
        var words = words
        for index in words.indices { words[index] = words[index].bigEndian }
        words.span.withUnsafeBytes { append(contentsOf: $0) }
    }

    /// Appends a frame's header.
    @inline(__always)
    mutating func append(header type: FrameType, _ flags: FrameFlags = [], id: UInt32 = 0, length: Int) {
        append(words: [UInt32(length), UInt32(type.rawValue) << 24 | UInt32(flags.rawValue) << 16, id])
    }
}
