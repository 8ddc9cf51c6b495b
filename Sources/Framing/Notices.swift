/// The answer to a PING, with the load of the side that sends it (Protocol.md, section 4.4).
///
///     | nonce u64 | queued bytes u32 | requests in flight u32 | longest running request u32, ms |
public struct Pong: Equatable, Sendable {
    /// The nonce of the PING that is answered.
    public var nonce: UInt64
    /// Bytes of unanswered requests.
    public var queued: UInt32
    /// Unanswered requests.
    public var inFlight: UInt32
    /// Milliseconds since the oldest unanswered request arrived.
    public var longest: UInt32

    static let length: UInt32 = 20

    /// A PONG of a side without load where nothing else is said.
    public init(nonce: UInt64, queued: UInt32 = 0, inFlight: UInt32 = 0, longest: UInt32 = 0) {
        self.nonce = nonce
        self.queued = queued
        self.inFlight = inFlight
        self.longest = longest
    }

    init(reading payload: Span<UInt8>) {
        nonce = payload.bigEndian(at: 0)
        queued = payload.bigEndian(at: 8)
        inFlight = payload.bigEndian(at: 12)
        longest = payload.bigEndian(at: 16)
    }

    func append(to buffer: inout [UInt8]) {
        buffer.append(header: .pong, length: Int(Pong.length))
        buffer.append(words: [nonce.high, nonce.low, queued, inFlight, longest])
    }
}

/// How far the other side may go with its messages, and how many of them are handled (Protocol.md, section 3.8).
///
///     | limit u64 | handled u64 |
public struct Credit: Equatable, Sendable {
    /// The other side may begin a message while those before it cost less than this together.
    public var limit: UInt64
    /// How many of its messages the handler, or the program, is done with.
    public var handled: UInt64

    static let length: UInt32 = 16

    /// A credit.
    public init(limit: UInt64, handled: UInt64) {
        self.limit = limit
        self.handled = handled
    }

    init(reading payload: Span<UInt8>) {
        limit = payload.bigEndian(at: 0)
        handled = payload.bigEndian(at: 8)
    }

    func append(to buffer: inout [UInt8]) {
        buffer.append(header: .credit, length: Int(Credit.length))
        buffer.append(words: [limit.high, limit.low, handled.high, handled.low])
    }

    /// What a message of `length` bytes costs: its bytes, and as much as the header of a frame.
    public static func cost(of length: Int) -> Int { length + FrameHeader.length }
}

/// A request that ends without a response (Protocol.md, section 4.9).
///
///     | code u16 | zero u16 | retry_after u32, ms | UTF-8 text |
public struct Failure: Error, Equatable, Sendable {
    /// Why there is no response.
    public var code: Code
    /// Milliseconds after which a repetition has a chance.
    public var retryAfter: UInt32
    /// For a person; at most 512 bytes are sent.
    public var text: String

    static let leastLength: UInt32 = 8

    /// A failure; retry_after in milliseconds.
    public init(_ code: Code, _ text: String = "", retryAfter: UInt32 = 0) {
        self.code = code
        self.retryAfter = retryAfter
        self.text = text
    }

    package init(reading payload: Span<UInt8>) throws(Violation) {
        code = Code(rawValue: payload.bigEndian(at: 0))
        try payload.requireZero(at: 2, of: "FAILURE")
        retryAfter = payload.bigEndian(at: 4)
        text = try payload.text(from: Int(Failure.leastLength), of: "FAILURE")
    }

    func append(id: UInt32, to buffer: inout [UInt8]) {
        let text = fitting(self.text)
        buffer.append(header: .failure, id: id, length: Int(Failure.leastLength) + text.count)
        buffer.append(words: [code.word, retryAfter])
        buffer.append(contentsOf: text)
    }
}

/// The request to finish and leave (Protocol.md, section 4.10).
///
///     | code u16 | zero u16 | retry_after u32, ms | spread u32, ms | UTF-8 text |
public struct GoAway: Equatable, Sendable {
    /// Why the other side should leave.
    public var code: Code
    /// Milliseconds before coming back, to which a random part of `spread` is added.
    public var retryAfter: UInt32
    /// Milliseconds; each client waits for a random part of them.
    public var spread: UInt32
    /// For a person; at most 512 bytes are sent.
    public var text: String

    static let leastLength: UInt32 = 12

    /// A GOAWAY; both times in milliseconds.
    public init(_ code: Code, _ text: String = "", retryAfter: UInt32 = 0, spread: UInt32 = 0) {
        self.code = code
        self.retryAfter = retryAfter
        self.spread = spread
        self.text = text
    }

    package init(reading payload: Span<UInt8>) throws(Violation) {
        code = Code(rawValue: payload.bigEndian(at: 0))
        try payload.requireZero(at: 2, of: "GOAWAY")
        retryAfter = payload.bigEndian(at: 4)
        spread = payload.bigEndian(at: 8)
        text = try payload.text(from: Int(GoAway.leastLength), of: "GOAWAY")
    }

    func append(to buffer: inout [UInt8]) {
        let text = fitting(self.text)
        buffer.append(header: .goAway, length: Int(GoAway.leastLength) + text.count)
        buffer.append(words: [code.word, retryAfter, spread])
        buffer.append(contentsOf: text)
    }
}

/// The last frame of a connection (Protocol.md, section 4.11).
///
///     | last_id u32 | code u16 | zero u16 | retry_after u32, ms | UTF-8 text |
public struct Close: Equatable, Sendable {
    /// Requests of the other side above it were not and will not be processed.
    public var lastID: UInt32
    /// Why the connection ends.
    public var code: Code
    /// Milliseconds before coming back.
    public var retryAfter: UInt32
    /// For a person; at most 512 bytes are sent.
    public var text: String

    static let leastLength: UInt32 = 12

    /// A CLOSE; retry_after in milliseconds.
    public init(_ code: Code, _ text: String = "", lastID: UInt32 = 0, retryAfter: UInt32 = 0) {
        self.lastID = lastID
        self.code = code
        self.retryAfter = retryAfter
        self.text = text
    }

    package init(reading payload: Span<UInt8>) throws(Violation) {
        lastID = payload.bigEndian(at: 0)
        code = Code(rawValue: payload.bigEndian(at: 4))
        try payload.requireZero(at: 6, of: "CLOSE")
        retryAfter = payload.bigEndian(at: 8)
        text = try payload.text(from: Int(Close.leastLength), of: "CLOSE")
    }

    func append(to buffer: inout [UInt8]) {
        let text = fitting(self.text)
        buffer.append(header: .close, length: Int(Close.leastLength) + text.count)
        buffer.append(words: [lastID, code.word, retryAfter])
        buffer.append(contentsOf: text)
    }

    /// The whole frame.
    public var frame: [UInt8] {
        var buffer: [UInt8] = []
        buffer.reserveCapacity(FrameHeader.length + Int(Close.leastLength) + text.utf8.count)
        append(to: &buffer)
        return buffer
    }
    /// Where in the frame `lastID` lies, big-endian.
    public static let lastIDOffset = FrameHeader.length

    /// The preface and this frame: all that a server sends on a connection that it refuses before HELLO (Protocol.md,
    /// section 7.6).
    public var refusal: [UInt8] {
        var buffer = Preface.bytes
        append(to: &buffer)
        return buffer
    }
}

extension Span<UInt8> {
    fileprivate func requireZero(at offset: Int, of frame: String) throws(Violation) {
        guard bigEndian(at: offset, as: UInt16.self) == 0 else {
            throw .breach("\(frame)'s reserved field is not zero")
        }
    }
}

extension Code {
    /// With the two zero bytes behind it.
    fileprivate var word: UInt32 { UInt32(rawValue) << 16 }
}

/// As much of `text` as a frame may carry, cut between characters.
private func fitting(_ text: String) -> Substring.UTF8View {
    var kept = text[...]
    while kept.utf8.count > Int(Limits.textLength) { kept.removeLast() }
    return kept.utf8
}
