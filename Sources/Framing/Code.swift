/// Why a request failed or a connection ends (Protocol.md, section 8).
///
/// A code that this version does not know is no violation: it is carried as it came and treated as `internal`.
public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let normal = Code(rawValue: 0)
    public static let protocolError = Code(rawValue: 1)
    public static let badPreface = Code(rawValue: 2)
    public static let unsupportedVersion = Code(rawValue: 3)
    public static let frameTooLarge = Code(rawValue: 4)
    public static let messageTooLarge = Code(rawValue: 5)
    public static let handshakeTimeout = Code(rawValue: 6)
    public static let silent = Code(rawValue: 7)
    public static let frameTimeout = Code(rawValue: 8)
    public static let slowReader = Code(rawValue: 9)
    public static let tooManyPings = Code(rawValue: 10)
    public static let noRoundTrip = Code(rawValue: 11)
    public static let busy = Code(rawValue: 12)
    public static let shuttingDown = Code(rawValue: 13)
    public static let unauthorized = Code(rawValue: 14)
    public static let unsupportedOption = Code(rawValue: 15)
    public static let handlerFailed = Code(rawValue: 16)
    public static let cancelled = Code(rawValue: 17)
    public static let refused = Code(rawValue: 18)
    public static let kicked = Code(rawValue: 19)
    public static let `internal` = Code(rawValue: 20)

    private static let names = [
        "NORMAL", "PROTOCOL_ERROR", "BAD_PREFACE", "UNSUPPORTED_VERSION", "FRAME_TOO_LARGE", "MESSAGE_TOO_LARGE",
        "HANDSHAKE_TIMEOUT", "SILENT", "FRAME_TIMEOUT", "SLOW_READER", "TOO_MANY_PINGS", "NO_ROUND_TRIP", "BUSY",
        "SHUTTING_DOWN", "UNAUTHORIZED", "UNSUPPORTED_OPTION", "HANDLER_FAILED", "CANCELLED", "REFUSED", "KICKED",
        "INTERNAL",
    ]
}

extension Code: CustomStringConvertible {
    /// The name in Protocol.md, or `CODE_n` for a code that this version does not know.
    public var description: String {
        rawValue < Code.names.count ? Code.names[Int(rawValue)] : "CODE_\(rawValue)"
    }
}

/// A breach of the protocol by the peer: the code to close with, and a sentence for a person.
public struct Violation: Error, Equatable, Sendable {
    public let code: Code
    public let text: String

    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    static func breach(_ text: String) -> Violation { Violation(.protocolError, text) }
}
