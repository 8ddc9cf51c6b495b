/// The decoder of one direction of a connection: it reads frames from whatever pieces the bytes come in, and throws on
/// every breach of their order and form (Protocol.md, sections 3, 4 and 9).
///
/// The decoder looks at each byte once, and judges a length before it stores anything for it. Between two calls it
/// keeps the bytes of an unfinished header or control frame alone, 1024 at most. It yields parts of messages as ranges
/// of the caller's own bytes.
public struct FrameDecoder: Sendable {
    /// How far the stream has come.
    private enum Stage {
        case preface(matched: Int)
        case header
        /// `isNew`: the first part is yielded as soon as the header is there, even if no byte of the payload is, so
        /// that what the id alone forbids is found at the header (section 9, H16).
        case payload(FrameHeader, FrameType, remaining: Int, isNew: Bool)
        case skipping(FrameHeader, remaining: Int)
    }

    /// A message whose last chunk has not come.
    private struct OpenMessage {
        let type: FrameType
        let id: UInt32
        var length: UInt64
    }

    /// What a connection may carry beside what every connection does: both sides have agreed on it.
    public struct Agreement: Equatable, Sendable {
        /// Whether CREDIT is in force (section 3.8).
        public var credit: Bool
        /// Whether the client answers requests of the server (section 3.7).
        public var answers: Bool

        /// An agreement: on nothing, where nothing is said.
        public init(credit: Bool = false, answers: Bool = false) {
            self.credit = credit
            self.answers = answers
        }
    }

    private let sender: Side
    private let maxFrame: UInt32
    private let maxMessage: UInt32
    private var stage = Stage.preface(matched: 0)
    /// An unfinished header or control payload.
    private var partial: [UInt8] = []
    private var open: OpenMessage?
    /// The highest request id that came.
    private var lastRequestID: UInt32 = 0
    /// Whether the connection carries one request only (section 7.3).
    private var isShort: Bool
    /// Whether the sender has said GOAWAY.
    private var hasGoneAway = false
    /// Whether HELLO (or WELCOME, or the CLOSE in its place) has come.
    private var greeted = false
    /// What both sides have agreed on, once the handshake is done.
    public var agreement = Agreement()
    /// How many frames have begun to come.
    public private(set) var framesBegun: UInt64 = 0

    /// A decoder for what `sender` sends; `maxFrame` and `maxMessage` are the bounds that this side announced. A client
    /// says whether the connection `isShort`; a server's decoder reads it in HELLO.
    public init(from sender: Side, maxFrame: UInt32, maxMessage: UInt32, isShort: Bool = false) {
        self.isShort = isShort
        self.sender = sender
        self.maxFrame = maxFrame
        self.maxMessage = maxMessage
    }

    /// Whether no byte has come yet.
    public var isUntouched: Bool {
        if case .preface(matched: 0) = stage { true } else { false }
    }

    /// The payload length of the frame that has begun and is not whole: 0 while its header is not whole, nil between
    /// frames. This is what the frame timeout is about (section 5.7); the preface is not a frame.
    public var unfinishedLength: UInt32? {
        switch stage {
        case .preface: nil
        case .header: partial.isEmpty ? nil : 0
        case .payload(let header, _, _, _), .skipping(let header, _): header.length
        }
    }

    /// Whether the stream may end here: after HELLO, between frames and between messages (section 7.2).
    public var isBetweenMessages: Bool { greeted && unfinishedLength == nil && open == nil }

    /// Returns the next frame in `bytes` from `offset` on, and moves `offset` behind it; nil when all is read.
    ///
    /// Throws the peer's breach of the protocol; the decoder is of no more use then.
    public mutating func next(in bytes: Span<UInt8>, at offset: inout Int) throws(Violation) -> Frame? {
        while offset < bytes.count || canGoOnWithoutBytes {
            switch stage {
            case .preface(let matched):
                try readPreface(in: bytes, at: &offset, matched: matched)
            case .header:
                if let part = readWhole(in: bytes, at: &offset) { return .part(part) }
                guard let header = readHeader(in: bytes, at: &offset) else { return nil }
                try judge(header)
            case .skipping(let header, let remaining):
                let taken = min(remaining, bytes.count - offset)
                offset += taken
                stage = taken == remaining ? .header : .skipping(header, remaining: remaining - taken)
            case .payload(let header, let type, let remaining, let isNew):
                let taken = min(remaining, bytes.count - offset)
                let range = offset..<(offset + taken)
                offset += taken
                stage =
                    taken == remaining ? .header : .payload(header, type, remaining: remaining - taken, isNew: false)
                if FrameRule.of(type).isMessage {
                    return .part(
                        MessagePart(
                            type: type, id: header.id, range: range, isFirst: isNew && !continues,
                            isLast: taken == remaining && !header.flags.contains(.more), beginsFrame: isNew))
                }
                if taken == Int(header.length) {
                    return try control(header, type, bytes.extracting(range))
                }
                for index in range { partial.append(bytes[index]) }
                if taken == remaining {
                    let payload = partial
                    partial.removeAll(keepingCapacity: true)
                    return try control(header, type, payload.span)
                }
            }
        }
        return nil
    }

    /// A frame without payload is whole as soon as its header is, and a message is announced by its header.
    private var canGoOnWithoutBytes: Bool {
        guard case .payload(_, let type, let remaining, let isNew) = stage else { return false }
        return remaining == 0 || (isNew && FrameRule.of(type).isMessage)
    }

    private mutating func readPreface(in bytes: Span<UInt8>, at offset: inout Int, matched: Int) throws(Violation) {
        var matched = matched
        while matched < Preface.bytes.count, offset < bytes.count, bytes[offset] == Preface.bytes[matched] {
            offset += 1
            matched += 1
        }
        stage = matched == Preface.bytes.count ? .header : .preface(matched: matched)
        guard matched == Preface.bytes.count || offset == bytes.count else {
            let end = min(bytes.count, offset + Preface.bytes.count - matched)
            let start = Preface.bytes[..<matched] + (offset..<end).map { bytes[$0] }
            throw Violation(
                .badPreface, "expected the preface LIFELINE, got \(Preface.recognise(Array(start)))")
        }
    }

    /// A message in one frame that has come whole and that no rule forbids; nil for all else, which is judged rule by rule.
    ///
    /// Most frames are of this kind, and are read in a third of the steps.
    @inline(__always)
    private mutating func readWhole(in bytes: Span<UInt8>, at offset: inout Int) -> MessagePart? {
        guard partial.isEmpty, greeted, !isShort, open == nil, bytes.count - offset >= FrameHeader.length else {
            return nil
        }
        let length: UInt32 = bytes.bigEndian(at: offset)
        let id: UInt32 = bytes.bigEndian(at: offset + 8)
        let start = offset + FrameHeader.length
        guard length <= min(maxFrame, maxMessage), Int(length) <= bytes.count - start else { return nil }
        let type: FrameType
        // The type, without a flag and with the zeros behind it.
        switch (bytes.bigEndian(at: offset + 4, as: UInt32.self), sender) {
        case (UInt32(FrameType.request.rawValue) << 24, .client):
            guard id > lastRequestID, !hasGoneAway else { return nil }
            lastRequestID = id
            type = .request
        case (UInt32(FrameType.response.rawValue) << 24, .server):
            guard id != 0 else { return nil }
            type = .response
        case (UInt32(FrameType.message.rawValue) << 24, _):
            guard id == 0 else { return nil }
            type = .message
        default: return nil
        }
        framesBegun += 1
        offset = start + Int(length)
        return MessagePart(type: type, id: id, range: start..<offset, isFirst: true, isLast: true)
    }

    private mutating func readHeader(in bytes: Span<UInt8>, at offset: inout Int) -> FrameHeader? {
        if partial.isEmpty {
            framesBegun += 1
            if bytes.count - offset >= FrameHeader.length {
                defer { offset += FrameHeader.length }
                return FrameHeader(reading: bytes.extracting(offset..<(offset + FrameHeader.length)))
            }
        }
        while partial.count < FrameHeader.length, offset < bytes.count {
            partial.append(bytes[offset])
            offset += 1
        }
        guard partial.count == FrameHeader.length else { return nil }
        defer { partial.removeAll(keepingCapacity: true) }
        return FrameHeader(reading: partial.span)
    }

    /// Every check that a header allows, in the order of section 9; the stage is set for its payload.
    private mutating func judge(_ header: FrameHeader) throws(Violation) {
        guard header.reserved == 0 else { throw .breach("a header's reserved field is not zero") }
        guard FrameFlags.known.isSuperset(of: header.flags) else {
            throw .breach("a header has unknown flags \(header.flags.rawValue)")
        }
        guard let type = FrameType(rawValue: header.type), type != .credit || agreement.credit else {
            return try judgeUnknown(header)
        }
        let rule = FrameRule.of(type)
        let more = header.flags.contains(.more)
        guard rule.isMessage || !more else { throw .breach("\(type) has the flag MORE") }
        guard rule.sender == nil || rule.sender == sender || agreement.answers && type.isOfRequests else {
            throw .breach("\(type) came from the wrong side")
        }
        try judgeGreeting(type)
        guard (header.id != 0) == rule.carriesID else {
            throw .breach(rule.carriesID ? "\(type) has the id 0" : "\(type) has an id that is not 0")
        }
        let most = rule.isMessage ? maxFrame : rule.lengths.upperBound
        guard header.length <= most else {
            throw Violation(.frameTooLarge, "\(type) of \(header.length) bytes; at most \(most) are allowed")
        }
        guard header.length >= rule.lengths.lowerBound else {
            throw .breach("\(type) of \(header.length) bytes; at least \(rule.lengths.lowerBound) are needed")
        }
        guard !more || header.length > 0 else { throw .breach("a chunk with the flag MORE is empty") }
        if rule.isMessage { try judgeMessage(header, type, more: more) }
        if type == .cancel { try judgeCancel(header.id) }
        if type == .goAway { try judgeShort(type) }
        // The ids of the two sides are independent: it ends a response, and never a request of its own sender.
        if type == .failure, open?.type == .response, open?.id == header.id { open = nil }
        stage = .payload(header, type, remaining: Int(header.length), isNew: true)
    }

    private mutating func judgeUnknown(_ header: FrameHeader) throws(Violation) {
        guard header.flags.contains(.ignorable) else { throw .breach("frame type \(header.type) is unknown") }
        guard header.flags == .ignorable else { throw .breach("frame type \(header.type) has the flag MORE") }
        guard greeted else { throw .breach("frame type \(header.type) came before the handshake") }
        guard header.length <= maxFrame else {
            throw Violation(.frameTooLarge, "a frame of \(header.length) bytes; at most \(maxFrame) are allowed")
        }
        stage = header.length == 0 ? .header : .skipping(header, remaining: Int(header.length))
    }

    private mutating func judgeGreeting(_ type: FrameType) throws(Violation) {
        let greeting: FrameType = sender == .client ? .hello : .welcome
        if greeted {
            guard type != greeting else { throw .breach("\(type) came a second time") }
        } else {
            guard type == greeting || (sender == .server && type == .close) else {
                throw .breach("\(type) came before \(greeting)")
            }
            greeted = true
        }
    }

    /// The rules of chunks and of rising ids; `open` is moved on.
    private mutating func judgeMessage(_ header: FrameHeader, _ type: FrameType, more: Bool) throws(Violation) {
        var message = open ?? OpenMessage(type: type, id: header.id, length: 0)
        continues = open != nil
        guard message.type == type, message.id == header.id else {
            throw .breach("\(type) \(header.id) came between the chunks of \(message.type) \(message.id)")
        }
        if type == .request, !continues, header.id <= lastRequestID {
            throw .breach("request id \(header.id) is not above \(lastRequestID)")
        }
        message.length += UInt64(header.length)
        guard message.length <= UInt64(maxMessage) else {
            throw Violation(
                .messageTooLarge, "a message of \(message.length) bytes or more; at most \(maxMessage) are allowed")
        }
        if type == .message { try judgeShort(type) }
        if type == .request, !continues {
            guard !hasGoneAway || sender == .server else { throw .breach("a request came after the client's GOAWAY") }
            guard !isShort || lastRequestID == 0 else { throw .breach("a second request came on a SHORT connection") }
            lastRequestID = header.id
        }
        open = more ? message : nil
    }

    /// GOAWAY of a server is the one of these that a SHORT connection knows.
    private func judgeShort(_ type: FrameType) throws(Violation) {
        guard !isShort || (type == .goAway && sender == .server) else {
            throw .breach("\(type) came on a SHORT connection")
        }
    }

    /// Whether the frame being read goes on with a message that an earlier frame began.
    private var continues = false

    private mutating func judgeCancel(_ id: UInt32) throws(Violation) {
        guard id <= lastRequestID else { throw .breach("CANCEL of request \(id), which was never sent") }
        if open?.type == .request, open?.id == id { open = nil }
    }

    private mutating func control(_ header: FrameHeader, _ type: FrameType, _ payload: Span<UInt8>) throws(Violation)
        -> Frame
    {
        switch type {
        case .hello:
            let hello = try Hello(reading: payload)
            isShort = hello.short
            return .hello(hello)
        case .welcome: return .welcome(try Welcome(reading: payload))
        case .ping: return .ping(nonce: payload.bigEndian(at: 0))
        case .pong: return .pong(Pong(reading: payload))
        case .cancel: return .cancel(id: header.id)
        case .failure: return .failure(id: header.id, try Failure(reading: payload))
        case .goAway:
            hasGoneAway = true
            return .goAway(try GoAway(reading: payload))
        case .close: return .close(try Close(reading: payload))
        case .credit: return .credit(Credit(reading: payload))
        case .request, .response, .message: preconditionFailure("messages are yielded in parts")
        }
    }
}
