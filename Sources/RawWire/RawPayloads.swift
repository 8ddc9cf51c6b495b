/// What the frames of section 4 carry: built for sending, and read from what came.
extension RawFrame {
    // MARK: From a client

    package static func hello(
        major: UInt8 = 1, minor: UInt8 = 0, flags: UInt16 = 0, pingEvery: UInt32 = 0, deadAfter: UInt32 = 0,
        maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20, options: [UInt8] = []
    ) -> RawFrame {
        RawFrame(
            type: .hello,
            payload: [major, minor] + bigEndian(flags) + bigEndian(pingEvery) + bigEndian(deadAfter)
                + bigEndian(maxFrame) + bigEndian(maxMessage) + options)
    }

    /// A HELLO for a connection of one request.
    package static let short = RawFrame.hello(flags: 1)

    package static func option(_ tag: UInt16, _ value: [UInt8], length: UInt16? = nil) -> [UInt8] {
        bigEndian(tag) + bigEndian(length ?? UInt16(value.count)) + value
    }

    package static func name(_ name: String) -> [UInt8] { option(2, Array(name.utf8)) }

    /// The option CREDIT, of HELLO or of WELCOME: the first limit of what the other side may send.
    package static func credit(from limit: UInt64) -> [UInt8] { option(4, bigEndian(limit)) }

    /// The option ANSWERS: this client answers requests of the server.
    package static func answers(maxInFlight: UInt32 = 16, maxQueued: UInt32 = 1 << 20) -> [UInt8] {
        option(5, bigEndian(maxInFlight) + bigEndian(maxQueued))
    }

    package static func request(_ id: UInt32, _ payload: [UInt8], more: Bool = false) -> RawFrame {
        RawFrame(type: .request, flags: more ? RawFrame.more : 0, id: id, payload: payload)
    }

    package static func request(_ id: UInt32, _ text: String = "hello", more: Bool = false) -> RawFrame {
        request(id, Array(text.utf8), more: more)
    }

    package static func cancel(_ id: UInt32) -> RawFrame { RawFrame(type: .cancel, id: id) }

    // MARK: From both

    package static func ping(_ nonce: UInt64) -> RawFrame { RawFrame(type: .ping, payload: bigEndian(nonce)) }

    package static func pong(_ nonce: UInt64, queued: UInt32 = 0, inFlight: UInt32 = 0, longest: UInt32 = 0) -> RawFrame
    {
        RawFrame(
            type: .pong,
            payload: bigEndian(nonce) + bigEndian(queued) + bigEndian(inFlight) + bigEndian(longest))
    }

    /// The answer to the PING `frame`.
    package static func pong(to frame: RawFrame) -> RawFrame { pong(UInt64(bigEndian: frame.payload[...])) }

    package static func message(_ payload: [UInt8], more: Bool = false) -> RawFrame {
        RawFrame(type: .message, flags: more ? RawFrame.more : 0, payload: payload)
    }

    package static func message(_ text: String, more: Bool = false) -> RawFrame {
        message(Array(text.utf8), more: more)
    }

    /// What a message of so many bytes costs where credit is in force (section 3.8).
    package static func cost(of length: Int) -> UInt64 { UInt64(length + headerLength) }

    package static func credit(limit: UInt64, handled: UInt64) -> RawFrame {
        RawFrame(type: .credit, payload: bigEndian(limit) + bigEndian(handled))
    }

    package static func goAway(
        _ code: RawCode = .normal, retryAfter: UInt32 = 0, spread: UInt32 = 0, _ text: String = ""
    ) -> RawFrame {
        RawFrame(
            type: .goAway,
            payload: bigEndian(code.number) + [0, 0] + bigEndian(retryAfter) + bigEndian(spread) + Array(text.utf8))
    }

    package static func close(
        _ code: RawCode = .normal, lastID: UInt32 = 0, retryAfter: UInt32 = 0, _ text: String = ""
    ) -> RawFrame {
        RawFrame(
            type: .close,
            payload: bigEndian(lastID) + bigEndian(code.number) + [0, 0] + bigEndian(retryAfter) + Array(text.utf8))
    }

    /// A frame of a type that the protocol does not define.
    package static func unknown(_ number: UInt8, flags: UInt8, id: UInt32 = 0, _ payload: [UInt8] = []) -> RawFrame {
        RawFrame(type: Kind(number: number), flags: flags, id: id, payload: payload)
    }

    // MARK: From a server

    package static func welcome(
        major: UInt8 = 1, minor: UInt8 = 0, flags: UInt16 = 0, pingEvery: UInt32 = 10000, deadAfter: UInt32 = 30000,
        maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20, maxInFlight: UInt32 = 256,
        maxQueued: UInt32 = 4 << 20, connection: UInt64 = 1, options: [UInt8] = []
    ) -> RawFrame {
        let times = bigEndian(pingEvery) + bigEndian(deadAfter)
        let limits = bigEndian(maxFrame) + bigEndian(maxMessage) + bigEndian(maxInFlight) + bigEndian(maxQueued)
        return RawFrame(
            type: .welcome,
            payload: [major, minor] + bigEndian(flags) + times + limits + bigEndian(connection) + options)
    }

    package static func response(_ id: UInt32, _ payload: [UInt8], more: Bool = false) -> RawFrame {
        RawFrame(type: .response, flags: more ? RawFrame.more : 0, id: id, payload: payload)
    }

    package static func response(_ id: UInt32, _ text: String, more: Bool = false) -> RawFrame {
        response(id, Array(text.utf8), more: more)
    }

    package static func failure(_ id: UInt32, _ code: RawCode, retryAfter: UInt32 = 0, _ text: String = "") -> RawFrame
    {
        RawFrame(
            type: .failure, id: id,
            payload: bigEndian(code.number) + [0, 0] + bigEndian(retryAfter) + Array(text.utf8))
    }
}

/// Why something ended (section 8).
package struct RawCode: Equatable, Hashable, CustomStringConvertible {
    package let number: UInt16

    package init(number: UInt16) { self.number = number }

    package static let normal = RawCode(number: 0)
    package static let protocolError = RawCode(number: 1)
    package static let badPreface = RawCode(number: 2)
    package static let unsupportedVersion = RawCode(number: 3)
    package static let frameTooLarge = RawCode(number: 4)
    package static let messageTooLarge = RawCode(number: 5)
    package static let handshakeTimeout = RawCode(number: 6)
    package static let silent = RawCode(number: 7)
    package static let frameTimeout = RawCode(number: 8)
    package static let slowReader = RawCode(number: 9)
    package static let tooManyPings = RawCode(number: 10)
    package static let noRoundTrip = RawCode(number: 11)
    package static let busy = RawCode(number: 12)
    package static let shuttingDown = RawCode(number: 13)
    package static let unauthorized = RawCode(number: 14)
    package static let unsupportedOption = RawCode(number: 15)
    package static let handlerFailed = RawCode(number: 16)
    package static let cancelled = RawCode(number: 17)
    package static let refused = RawCode(number: 18)
    package static let kicked = RawCode(number: 19)
    package static let internalError = RawCode(number: 20)

    private static let names = [
        "NORMAL", "PROTOCOL_ERROR", "BAD_PREFACE", "UNSUPPORTED_VERSION", "FRAME_TOO_LARGE", "MESSAGE_TOO_LARGE",
        "HANDSHAKE_TIMEOUT", "SILENT", "FRAME_TIMEOUT", "SLOW_READER", "TOO_MANY_PINGS", "NO_ROUND_TRIP", "BUSY",
        "SHUTTING_DOWN", "UNAUTHORIZED", "UNSUPPORTED_OPTION", "HANDLER_FAILED", "CANCELLED", "REFUSED", "KICKED",
        "INTERNAL",
    ]
    package var description: String { number < RawCode.names.count ? RawCode.names[Int(number)] : "code \(number)" }
}

// MARK: Read from what came

/// WELCOME (section 4.2).
package struct WelcomeFields: Equatable {
    package let major: UInt8
    package let minor: UInt8
    package let flags: UInt16
    package let pingEvery: UInt32
    package let deadAfter: UInt32
    package let maxFrame: UInt32
    package let maxMessage: UInt32
    package let maxInFlight: UInt32
    package let maxQueued: UInt32
    package let connection: UInt64
    package let options: [UInt8]
}

/// HELLO (section 4.1).
package struct HelloFields: Equatable {
    package let major: UInt8
    package let minor: UInt8
    package let flags: UInt16
    package let pingEvery: UInt32
    package let deadAfter: UInt32
    package let maxFrame: UInt32
    package let maxMessage: UInt32
    package let options: [UInt8]
}

/// The option ANSWERS (section 4.12).
package struct AnswerFields: Equatable, Sendable {
    package let maxInFlight: UInt32
    package let maxQueued: UInt32
}

extension HelloFields {
    /// The first limit of the credit; nil where HELLO has none, or none of 8 bytes.
    package var credit: UInt64? { rawOption(4, in: options).map { UInt64(bigEndian: $0) } }
    package var answers: AnswerFields? {
        rawOption(5, in: options).map {
            AnswerFields(maxInFlight: UInt32(bigEndian: $0), maxQueued: UInt32(bigEndian: $0.dropFirst(4)))
        }
    }
    package var isShort: Bool { flags & 1 != 0 }
}

extension WelcomeFields {
    /// The first limit of the credit; nil where WELCOME has none, or none of 8 bytes.
    package var credit: UInt64? { rawOption(4, in: options).map { UInt64(bigEndian: $0) } }
}

/// The 8 bytes of the first option with this tag.
private func rawOption(_ tag: UInt16, in options: [UInt8]) -> ArraySlice<UInt8>? {
    var rest = options[...]
    while rest.count >= 4 {
        let length = Int(UInt16(bigEndian: rest.dropFirst(2)))
        let value = rest.dropFirst(4).prefix(length)
        if UInt16(bigEndian: rest) == tag { return value.count == 8 && length == 8 ? value : nil }
        rest = rest.dropFirst(4 + length)
    }
    return nil
}

/// CREDIT (section 4.13).
package struct CreditFields: Equatable {
    package let limit: UInt64
    package let handled: UInt64
}

/// PONG (section 4.4).
package struct PongFields: Equatable {
    package let nonce: UInt64
    package let queued: UInt32
    package let inFlight: UInt32
    package let longest: UInt32
}

/// FAILURE, GOAWAY and CLOSE, which share most of their fields (sections 4.9 to 4.11).
package struct Notice: Equatable, CustomStringConvertible {
    package let code: RawCode
    package var lastID: UInt32 = 0
    package let zero: UInt16
    package let retryAfter: UInt32
    package var spread: UInt32 = 0
    package let text: [UInt8]

    package var description: String {
        "\(code) last_id \(lastID) retry_after \(retryAfter) spread \(spread) "
            + "'\(String(decoding: text, as: UTF8.self))'"
    }
}

extension RawFrame {
    private func field<Integer: FixedWidthInteger>(_ offset: Int) -> Integer { Integer(bigEndian: payload[offset...]) }

    package var welcome: WelcomeFields? {
        guard type == .welcome, payload.count >= 36 else { return nil }
        return WelcomeFields(
            major: payload[0], minor: payload[1], flags: field(2), pingEvery: field(4), deadAfter: field(8),
            maxFrame: field(12), maxMessage: field(16), maxInFlight: field(20), maxQueued: field(24),
            connection: field(28), options: Array(payload[36...]))
    }

    package var hello: HelloFields? {
        guard type == .hello, payload.count >= 20 else { return nil }
        return HelloFields(
            major: payload[0], minor: payload[1], flags: field(2), pingEvery: field(4), deadAfter: field(8),
            maxFrame: field(12), maxMessage: field(16), options: Array(payload[20...]))
    }

    package var nonce: UInt64? { (type == .ping || type == .pong) && payload.count >= 8 ? field(0) : nil }

    package var pong: PongFields? {
        guard type == .pong, payload.count == 20 else { return nil }
        return PongFields(nonce: field(0), queued: field(8), inFlight: field(12), longest: field(16))
    }

    package var credit: CreditFields? {
        guard type == .credit, payload.count == 16 else { return nil }
        return CreditFields(limit: field(0), handled: field(8))
    }

    package var notice: Notice? {
        switch type {
        case .failure where payload.count >= 8:
            Notice(code: RawCode(number: field(0)), zero: field(2), retryAfter: field(4), text: Array(payload[8...]))
        case .goAway where payload.count >= 12:
            Notice(
                code: RawCode(number: field(0)), zero: field(2), retryAfter: field(4), spread: field(8),
                text: Array(payload[12...]))
        case .close where payload.count >= 12:
            Notice(
                code: RawCode(number: field(4)), lastID: field(0), zero: field(6), retryAfter: field(8),
                text: Array(payload[12...]))
        default: nil
        }
    }
}
