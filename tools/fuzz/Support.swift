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

func require(_ condition: Bool, _ text: @autoclosure () -> String) {
    if !condition { fatalError(text()) }
}

/// What lives on the heap now, as AddressSanitizer counts it.
@_silgen_name("__sanitizer_get_current_allocated_bytes")
func heapBytes() -> Int

/// A frame as it is to stand on the wire, right or wrong.
func rawFrame(_ type: UInt8, flags: UInt8 = 0, id: UInt32 = 0, _ payload: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = []
    frame.append(bigEndian: UInt32(payload.count))
    frame += [type, flags, 0, 0]
    frame.append(bigEndian: id)
    return frame + payload
}

/// A small frame out of the script, often a right one.
func frame(_ script: inout Script) -> [UInt8] {
    let type = script.byte() % 13
    let flags = script.byte()
    let id = UInt32(script.byte() % 16)
    let payload: [UInt8] =
        switch type {
        case 3: [0, 0, 0, 0, 0, 0, 0] + [script.byte() % 4]
        case 4: [0, 0, 0, 0, 0, 0, 0] + [script.byte() % 32] + Array(repeating: 0, count: 12)
        case 8: []
        case 9: [0, script.byte() % 24, 0, 0, 0, 0, 0, 0]
        case 10: [0, script.byte() % 24] + Array(repeating: 0, count: 10)
        case 11: [0, 0, 0, script.byte() % 16, 0, 0, 0, 0, 0, 0, 0, 0]
        default: Array(repeating: 0x61, count: Int(script.byte()) % 80)
        }
    let carriesID = type == 5 || type == 6 || type == 8 || type == 9
    return rawFrame(
        type, flags: flags >= 0xF0 ? flags : (5...7).contains(type) ? flags & 1 : 0,
        id: carriesID ? id : flags == 0xEF ? id : 0, payload)
}

/// Decodes what a connection puts out, as its peer would: it is clean, and CLOSE is the last of it and there once.
struct Judge {
    private var decoder: FrameDecoder
    private var isClosed = false
    private(set) var endings: Set<UInt32> = []

    init(from side: Side, maxMessage: UInt32 = .max, isShort: Bool) {
        decoder = FrameDecoder(
            from: side, maxFrame: Limits.defaultMaxFrame, maxMessage: maxMessage, isShort: isShort)
    }

    mutating func read(_ bytes: [UInt8]) {
        var offset = 0
        require(!isClosed || bytes.isEmpty, "bytes behind CLOSE")
        do throws(Violation) {
            while let frame = try decoder.next(in: bytes.span, at: &offset) {
                require(!isClosed, "a frame behind CLOSE")
                switch frame {
                case .close: isClosed = true
                case .part(let part) where part.type == .response && part.isLast:
                    require(endings.insert(part.id).inserted, "a second ending of \(part.id)")
                case .failure(let id, _): require(endings.insert(id).inserted, "a second ending of \(id)")
                default: break
                }
            }
        } catch {
            fatalError("the output is broken: \(error)")
        }
        require(!isClosed || decoder.unfinishedLength == nil, "bytes behind CLOSE")
    }
}
