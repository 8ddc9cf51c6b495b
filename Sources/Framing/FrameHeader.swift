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
    func bigEndian<Value: FixedWidthInteger & UnsignedInteger>(at offset: Int, as: Value.Type = Value.self) -> Value {
        var value: Value = 0
        for index in offset..<(offset + MemoryLayout<Value>.size) {
            value = value << 8 | Value(truncatingIfNeeded: self[index])
        }
        return value
    }

    /// The text that begins at `offset` and fills the rest; throws where it is not UTF-8.
    func text(from offset: Int, of frame: String) throws(Violation) -> String {
        guard let text = try? UTF8Span(validating: extracting(offset..<count)) else {
            throw .breach("the text of \(frame) is not UTF-8")
        }
        return String(copying: text)
    }
}

extension [UInt8] {
    /// Appends `value` big-endian.
    @inline(__always)
    mutating func append<Value: FixedWidthInteger & UnsignedInteger>(bigEndian value: Value) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Appends a frame's header with one call: the length and type words are one 64-bit integer, the id follows.
    @inline(__always)
    mutating func append(header type: FrameType, _ flags: FrameFlags = [], id: UInt32 = 0, length: Int) {
        let start = UInt64(length) << 32 | UInt64(type.rawValue) << 24 | UInt64(flags.rawValue) << 16
        Swift.withUnsafeBytes(of: (start.bigEndian, id.bigEndian)) { append(contentsOf: $0) }
    }
}
