/// Why a request failed or a connection ends (Protocol.md, section 8).
///
/// A code that this version does not know is no violation: it is carried as it came and treated as `internal`.
public struct Code: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt16
    /// Creates the code with this number, known or not.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// An orderly end.
    public static let normal = Code(rawValue: 0)
    /// The peer broke a rule that has no code of its own.
    public static let protocolError = Code(rawValue: 1)
    /// The first bytes were not the preface: another protocol speaks.
    public static let badPreface = Code(rawValue: 2)
    /// The major version is not spoken here.
    public static let unsupportedVersion = Code(rawValue: 3)
    /// A frame is longer than its type, or the receiver, allows.
    public static let frameTooLarge = Code(rawValue: 4)
    /// A message is longer than the receiver accepts.
    public static let messageTooLarge = Code(rawValue: 5)
    /// The handshake was not done in time.
    public static let handshakeTimeout = Code(rawValue: 6)
    /// Nothing was heard for dead_after.
    public static let silent = Code(rawValue: 7)
    /// A frame was begun and not finished in time.
    public static let frameTimeout = Code(rawValue: 8)
    /// Bytes waited for dead_after and the peer took none.
    public static let slowReader = Code(rawValue: 9)
    /// The bucket that pays for PINGs, CANCELs and empty MESSAGEs is empty.
    public static let tooManyPings = Code(rawValue: 10)
    /// No round trip was proved for dead_after after a PING.
    public static let noRoundTrip = Code(rawValue: 11)
    /// A limit is reached; retry_after says when to come again.
    public static let busy = Code(rawValue: 12)
    /// The server ends.
    public static let shuttingDown = Code(rawValue: 13)
    /// The token is missing or wrong.
    public static let unauthorized = Code(rawValue: 14)
    /// An option that must be understood is not.
    public static let unsupportedOption = Code(rawValue: 15)
    /// The handler failed at this request.
    public static let handlerFailed = Code(rawValue: 16)
    /// The client took the request back.
    public static let cancelled = Code(rawValue: 17)
    /// The request was not and will not be processed.
    public static let refused = Code(rawValue: 18)
    /// An operator ended the connection.
    public static let kicked = Code(rawValue: 19)
    /// A fault of the side that says it.
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

    /// The code and what was said with it, for people: `HANDLER_FAILED, no such table`.
    package func with(_ text: String) -> String { text.isEmpty ? description : "\(self), \(text)" }
}

/// A breach of the protocol by the peer: the code to close with, and a sentence for a person.
public struct Violation: Error, Equatable, Sendable {
    /// What the connection is closed with.
    public let code: Code
    /// For a person; it may quote what the peer sent.
    public let text: String

    /// Creates a breach with the code to close with and a sentence for a person.
    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    static func breach(_ text: String) -> Violation { Violation(.protocolError, text) }
}
