/// Reads the fuzzer's bytes as a script: what is missing at its end is zero.
struct Script {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ start: UnsafePointer<UInt8>, _ count: Int) {
        bytes = Array(UnsafeBufferPointer(start: start, count: count))
    }

    var isOver: Bool { offset >= bytes.count }

    mutating func byte() -> UInt8 {
        guard !isOver else { return 0 }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func word() -> UInt32 { (0..<4).reduce(0) { sum, _ in sum << 8 | UInt32(byte()) } }
    mutating func take(_ count: Int) -> [UInt8] {
        let end = min(bytes.count, offset + count)
        defer { offset = end }
        return Array(bytes[offset..<end])
    }
    mutating func rest() -> [UInt8] { take(bytes.count) }
    mutating func text(_ most: Int) -> String { String(decoding: take(Int(byte()) % (most + 1)), as: UTF8.self) }
}

/// What went in or came out: a whole message, or a frame that belongs to none.
enum Found: Equatable {
    case message(FrameType, id: UInt32, [UInt8])
    case frame(Frame)
}

func require(_ condition: Bool, _ text: @autoclosure () -> String) {
    if !condition { fatalError(text()) }
}

/// What lives on the heap now, as AddressSanitizer counts it.
@_silgen_name("__sanitizer_get_current_allocated_bytes")
func heapBytes() -> Int

/// A frame as it is to stand on the wire, right or wrong.
func rawFrame(_ type: UInt8, flags: UInt8 = 0, id: UInt32 = 0, _ payload: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = []
    frame.append(words: [UInt32(payload.count), UInt32(type) << 24 | UInt32(flags) << 16, id])
    return frame + payload
}
