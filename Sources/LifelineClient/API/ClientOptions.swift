import Framing

/// What a client may choose about its connections (Protocol.md, sections 5, 6 and 10).
public struct ClientOptions: Sendable {
    /// A name for the server's log and status: at most 64 bytes of UTF-8.
    public var name: String?
    /// Proves to the server who the client is: at most 256 bytes. The library never logs it.
    public var token: [UInt8]?
    /// The program and its version, for the server's log: at most 256 bytes of UTF-8.
    public var agent: String? = "lifeline-client/\(lifelineVersion)"
    /// How often the round trip is proved; nil lets the server choose. Whole milliseconds; the server clamps it.
    public var pingEvery: Duration?
    /// The silence after which either side drops the other; nil lets the server choose. Whole milliseconds; the server
    /// may shorten it, never lengthen it (but to 100 ms).
    public var deadAfter: Duration?
    /// The longest that `open` takes, and each later attempt to connect: the name, the connection and the handshake.
    public var connectTimeout: Duration = .seconds(30)
    /// What happens when the connection is lost.
    public var reconnect = ReconnectPolicy()
    /// The longest frame that this side accepts, in bytes; at least 256.
    public var maxFrame: UInt32 = Limits.defaultMaxFrame
    /// The longest message that this side accepts, in bytes.
    public var maxMessage: UInt32 = Limits.defaultMaxMessage
    /// How many bytes of one-way messages wait for the program to read them; over it the oldest are dropped and
    /// counted in `ConnectionEvent.messagesDropped`, because a client that stopped reading would miss heartbeats.
    public var unreadMessages = 4 << 20

    /// The defaults: whatever the server chooses, and reconnecting for ever.
    public init() {}

    /// The HELLO that says all this; throws where an option is out of its bounds.
    func hello(short: Bool) throws(ConnectionError) -> Hello {
        func check(_ holds: Bool, _ text: String) throws(ConnectionError) {
            guard holds else { throw ConnectionError(.invalidOptions, text) }
        }
        func milliseconds(_ duration: Duration?, _ name: String) throws(ConnectionError) -> UInt32 {
            guard let duration else { return 0 }
            let count = duration / .milliseconds(1)
            try check(count >= 1 && count <= Double(UInt32.max), "\(name) is not within 1 ms and 49 days")
            return UInt32(count)
        }
        try check((name ?? "").utf8.count <= Limits.nameLength, "the name is over \(Limits.nameLength) bytes")
        try check((token ?? []).count <= Limits.tokenLength, "the token is over \(Limits.tokenLength) bytes")
        try check((agent ?? "").utf8.count <= 256, "the agent is over 256 bytes")
        try check(maxFrame >= Limits.leastMaxFrame, "maxFrame is under \(Limits.leastMaxFrame) bytes")
        try check(connectTimeout > .zero, "connectTimeout is not above zero")
        return Hello(
            short: short, pingEvery: try milliseconds(pingEvery, "pingEvery"),
            deadAfter: try milliseconds(deadAfter, "deadAfter"), maxFrame: maxFrame, maxMessage: maxMessage,
            options: Options(token: token, name: name, agent: agent))
    }
}
