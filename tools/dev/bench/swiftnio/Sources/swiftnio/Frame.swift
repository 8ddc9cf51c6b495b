import NIOCore

/// The types of frames (Protocol.md section 4).
enum FrameType: UInt8 {
    case hello = 1
    case welcome, ping, pong, request, response, message, cancel, failure, goAway, close

    /// How long a payload of this type may be (section 4).
    var lengths: ClosedRange<UInt32> {
        switch self {
        case .hello: 20...1024
        case .welcome: 36...1024
        case .ping: 8...8
        case .pong: 20...20
        case .request, .response, .message: 0...Limits.maxFrame
        case .cancel: 0...0
        case .failure: 8...520
        case .goAway, .close: 12...524
        }
    }
}

enum Limits {
    static let maxFrame: UInt32 = 16384
    static let maxMessage: UInt32 = 1 << 20
    static let maxInFlight: UInt32 = 256
    static let maxQueued: UInt32 = 4 << 20
}

enum Flags {
    static let more: UInt8 = 0x01
    static let ignorable: UInt8 = 0x80
}

/// Why a connection ends (section 8).
struct Ending: Error {
    enum Code: UInt16 {
        case normal = 0
        case protocolError = 1
        case badPreface = 2
        case unsupportedVersion = 3
        case frameTooLarge = 4
        case messageTooLarge = 5
        case handshakeTimeout = 6
        case silent = 7
        case tooManyPings = 10
        case unsupportedOption = 15
        case cancelled = 17
        case refused = 18
    }

    let code: Code
    let text: String

    init(_ code: Code, _ text: String = "") {
        self.code = code
        self.text = text
    }

    static func violation(_ text: String) -> Ending { Ending(.protocolError, text) }
}

struct Frame {
    /// nil: a type that is not known, to be skipped.
    let type: FrameType?
    let flags: UInt8
    let id: UInt32
    var payload: ByteBuffer

    var hasMore: Bool { flags & Flags.more != 0 }
}

/// Cuts the stream into frames, by the length that each begins with, and judges their headers (section 9, H1 to H12).
///
/// What LengthFieldBasedFrameDecoder of swift-nio-extras does; that one takes a length for all that follows it, and
/// cannot be told of a header that the length leaves out.
struct FrameDecoder: NIOSingleStepByteToMessageDecoder {
    typealias InboundOut = Frame

    private static let preface = Array("LIFELINE".utf8)
    private static let headerSize = 12
    private var matched = 0
    private var hasGreeted = false

    mutating func decode(buffer: inout ByteBuffer) throws -> Frame? {
        if matched < FrameDecoder.preface.count, try !takePreface(&buffer) { return nil }
        guard buffer.readableBytes >= FrameDecoder.headerSize else { return nil }
        let at = buffer.readerIndex
        guard
            let length = buffer.getInteger(at: at, as: UInt32.self),
            let type = buffer.getInteger(at: at + 4, as: UInt8.self),
            let flags = buffer.getInteger(at: at + 5, as: UInt8.self),
            let zero = buffer.getInteger(at: at + 6, as: UInt16.self),
            let id = buffer.getInteger(at: at + 8, as: UInt32.self)
        else { return nil }
        let known = try judge(length: length, type: type, flags: flags, zero: zero, id: id)
        guard buffer.readableBytes >= FrameDecoder.headerSize + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: FrameDecoder.headerSize)
        guard let payload = buffer.readSlice(length: Int(length)) else { return nil }
        hasGreeted = true
        return Frame(type: known, flags: flags, id: id, payload: payload)
    }

    mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> Frame? {
        if let frame = try decode(buffer: &buffer) { return frame }
        guard buffer.readableBytes == 0, matched == 0 || hasGreeted else {
            throw Ending.violation("the stream ended inside a frame")
        }
        return nil
    }

    private mutating func takePreface(_ buffer: inout ByteBuffer) throws -> Bool {
        while matched < FrameDecoder.preface.count, let byte = buffer.readInteger(as: UInt8.self) {
            guard byte == FrameDecoder.preface[matched] else {
                throw Ending(.badPreface, "the first bytes are not LIFELINE")
            }
            matched += 1
        }
        return matched == FrameDecoder.preface.count
    }

    private func judge(length: UInt32, type: UInt8, flags: UInt8, zero: UInt16, id: UInt32) throws -> FrameType? {
        let known = FrameType(rawValue: type)
        guard zero == 0 else { throw Ending.violation("bytes 6 and 7 of a header are not 0") }
        guard flags & ~(Flags.more | Flags.ignorable) == 0 else { throw Ending.violation("a flag is not defined") }
        guard known != nil || flags & Flags.ignorable != 0 else { throw Ending.violation("a type is not known") }
        let hasMore = flags & Flags.more != 0
        switch known {
        case .request, .message: break
        case .welcome, .response, .failure: throw Ending.violation("a type that only a server sends")
        default: guard !hasMore else { throw Ending.violation("MORE on a wrong type") }
        }
        guard hasGreeted == (known != .hello) else { throw Ending.violation("HELLO is the first frame, and no other") }
        if let known {
            guard (id != 0) == (known == .request || known == .cancel) else { throw Ending.violation("a wrong id") }
        }
        let lengths = known?.lengths ?? 0...Limits.maxFrame
        guard length <= lengths.upperBound else { throw Ending(.frameTooLarge, "a frame is too long") }
        guard length >= lengths.lowerBound else { throw Ending.violation("a frame is too short") }
        guard !hasMore || length > 0 else { throw Ending.violation("MORE on an empty frame") }
        return known
    }
}
