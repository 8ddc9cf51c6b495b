/// The type byte of a frame (Protocol.md, section 4).
public enum FrameType: UInt8, Sendable, CaseIterable {
    case hello = 0x01
    case welcome = 0x02
    case ping = 0x03
    case pong = 0x04
    case request = 0x05
    case response = 0x06
    case message = 0x07
    case cancel = 0x08
    case failure = 0x09
    case goAway = 0x0A
    case close = 0x0B
    case credit = 0x0C
}

extension FrameType: CustomStringConvertible {
    /// The name in Protocol.md, such as `PING`.
    public var description: String {
        switch self {
        case .hello: "HELLO"
        case .welcome: "WELCOME"
        case .ping: "PING"
        case .pong: "PONG"
        case .request: "REQUEST"
        case .response: "RESPONSE"
        case .message: "MESSAGE"
        case .cancel: "CANCEL"
        case .failure: "FAILURE"
        case .goAway: "GOAWAY"
        case .close: "CLOSE"
        case .credit: "CREDIT"
        }
    }
}

extension FrameType {
    /// Whether it is of a request: a server may send what is the client's of these, and a client what is the server's,
    /// where the client answers requests (section 3.7).
    var isOfRequests: Bool { self == .request || self == .response || self == .cancel || self == .failure }
}

/// The flag byte of a frame (Protocol.md, section 3.4).
public struct FrameFlags: OptionSet, Sendable {
    /// The byte on the wire.
    public let rawValue: UInt8
    /// The flags in this byte, known or not.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The message goes on in the next frame of this type and id.
    public static let more = FrameFlags(rawValue: 0x01)
    /// A receiver that does not know the type skips the frame.
    public static let ignorable = FrameFlags(rawValue: 0x80)

    static let known: FrameFlags = [.more, .ignorable]
}

/// One of the two sides of a connection.
public enum Side: String, Sendable {
    case client, server
}

/// What the header of each type may say: one row a type, so that a rule stands in one place (Protocol.md, section 4).
package struct FrameRule {
    /// The side that may send it always; nil is both. Frames of requests may come from the other too, where
    /// that is agreed (`FrameDecoder.Agreement`).
    package let sender: Side?
    /// Whether the id is a request's (not 0) or must be 0.
    package let carriesID: Bool
    /// Whether the payload is (a chunk of) a message, of any length up to the receiver's max_frame.
    package let isMessage: Bool
    /// The payload lengths allowed; for a message the upper bound is the receiver's max_frame instead.
    package let lengths: ClosedRange<UInt32>

    private init(_ sender: Side?, id: Bool = false, message: Bool = false, _ lengths: ClosedRange<UInt32>) {
        self.sender = sender
        carriesID = id
        isMessage = message
        self.lengths = lengths
    }

    package static func of(_ type: FrameType) -> FrameRule {
        switch type {
        case .hello: FrameRule(.client, Hello.leastLength...Limits.handshakeLength)
        case .welcome: FrameRule(.server, Welcome.leastLength...Limits.handshakeLength)
        case .ping: FrameRule(nil, 8...8)
        case .pong: FrameRule(nil, Pong.length...Pong.length)
        case .request: FrameRule(.client, id: true, message: true, 0...0)
        case .response: FrameRule(.server, id: true, message: true, 0...0)
        case .message: FrameRule(nil, message: true, 0...0)
        case .cancel: FrameRule(.client, id: true, 0...0)
        case .failure: FrameRule(.server, id: true, Failure.leastLength...(Failure.leastLength + Limits.textLength))
        case .goAway: FrameRule(nil, GoAway.leastLength...(GoAway.leastLength + Limits.textLength))
        case .close: FrameRule(nil, Close.leastLength...(Close.leastLength + Limits.textLength))
        case .credit: FrameRule(nil, Credit.length...Credit.length)
        }
    }
}
