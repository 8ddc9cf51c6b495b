import struct RawWire.RawFrame
import func RawWire.bigEndian
import Testing

@testable import Framing

// The bytes that these tests expect are put together by RawWire: nothing of the module under test encodes them.

func u16(_ value: UInt16) -> [UInt8] { bigEndian(value) }
func u32(_ value: UInt32) -> [UInt8] { bigEndian(value) }
func u64(_ value: UInt64) -> [UInt8] { bigEndian(value) }
func text(_ string: String) -> [UInt8] { Array(string.utf8) }

/// A frame. `length` is for frames whose header does not say the truth.
func raw(
    _ type: UInt8, flags: UInt8 = 0, reserved: UInt16 = 0, id: UInt32 = 0, length: UInt32? = nil,
    _ payload: [UInt8] = []
) -> [UInt8] {
    RawFrame(
        type: .init(number: type), flags: flags, reserved: reserved, id: id, payload: payload, claimedLength: length
    ).bytes
}

let rawPreface = RawFrame.preface

func rawHello(
    major: UInt8 = 1, minor: UInt8 = 1, flags: UInt16 = 0, pingEvery: UInt32 = 0, deadAfter: UInt32 = 0,
    maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20, options: [UInt8] = []
) -> [UInt8] {
    RawFrame.hello(
        major: major, minor: minor, flags: flags, pingEvery: pingEvery, deadAfter: deadAfter, maxFrame: maxFrame,
        maxMessage: maxMessage, options: options
    ).bytes
}

func rawWelcome(
    major: UInt8 = 1, minor: UInt8 = 1, flags: UInt16 = 0, pingEvery: UInt32 = 10_000, deadAfter: UInt32 = 30_000,
    maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20, maxInFlight: UInt32 = 256, maxQueued: UInt32 = 4 << 20,
    connection: UInt64 = 1, options: [UInt8] = []
) -> [UInt8] {
    RawFrame.welcome(
        major: major, minor: minor, flags: flags, pingEvery: pingEvery, deadAfter: deadAfter, maxFrame: maxFrame,
        maxMessage: maxMessage, maxInFlight: maxInFlight, maxQueued: maxQueued, connection: connection, options: options
    ).bytes
}

func option(_ tag: UInt16, length: UInt16? = nil, _ value: [UInt8] = []) -> [UInt8] {
    u16(tag) + u16(length ?? UInt16(value.count)) + value
}

/// The preface and the greeting, after which every other frame may come.
func opening(of sender: Side) -> [UInt8] { rawPreface + (sender == .client ? rawHello() : rawWelcome()) }

/// What a decoder found, with messages put together.
enum Found: Equatable {
    case frame(Frame)
    case message(FrameType, id: UInt32, [UInt8])
}

/// All that a decoder found until the bytes ended or broke a rule.
struct Reading: Equatable {
    var found: [Found] = []
    var violation: Violation?

    var code: Code? { violation?.code }
    /// The last frame found, if no rule was broken.
    var last: Found? { violation == nil ? found.last : nil }
}

func read(
    pieces: [[UInt8]], from sender: Side, maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20,
    agreement: FrameDecoder.Agreement = FrameDecoder.Agreement()
) -> Reading {
    var decoder = FrameDecoder(from: sender, maxFrame: maxFrame, maxMessage: maxMessage)
    decoder.agreement = agreement
    var assembler = MessageAssembler()
    var reading = Reading()
    do throws(Violation) {
        for piece in pieces {
            var offset = 0
            while let frame = try decoder.next(in: piece.span, at: &offset) {
                guard case .part(let part) = frame else {
                    reading.found.append(.frame(frame))
                    continue
                }
                if let bytes = assembler.add(part, of: piece) {
                    reading.found.append(.message(part.type, id: part.id, Array(bytes)))
                }
            }
            #expect(offset == piece.count, "every byte is read")
        }
    } catch {
        reading.violation = error
    }
    return reading
}

/// Reads `bytes` whole and byte by byte, and expects the same of both.
func read(
    _ bytes: [UInt8], from sender: Side, maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20,
    agreement: FrameDecoder.Agreement = FrameDecoder.Agreement(), location: SourceLocation = #_sourceLocation
) -> Reading {
    func read(_ pieces: [[UInt8]]) -> Reading {
        FramingTests.read(
            pieces: pieces, from: sender, maxFrame: maxFrame, maxMessage: maxMessage, agreement: agreement)
    }
    let whole = read([bytes])
    let single = read(bytes.map { [$0] })
    #expect(whole == single, "whole and byte by byte are the same", sourceLocation: location)
    return whole
}

/// The frames in `bytes`, cut by nothing but their lengths: where each begins and ends.
func boundaries(of bytes: [UInt8], from start: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var offset = start
    while offset + 12 <= bytes.count {
        let length = bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) }
        ranges.append(offset..<(offset + 12 + length))
        offset += 12 + length
    }
    return ranges
}
