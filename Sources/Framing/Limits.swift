/// Bounds and defaults of the protocol, in bytes (Protocol.md, section 10).
public enum Limits {
    /// HELLO and WELCOME are at most this long.
    public static let handshakeLength: UInt32 = 1024
    /// The text of FAILURE, GOAWAY and CLOSE is at most this long.
    public static let textLength: UInt32 = 512
    /// No side may accept less than this in one frame; before WELCOME a client sends no more than this in one.
    public static let leastMaxFrame: UInt32 = 256
    /// max_frame where nothing else is said: a heartbeat never waits behind more.
    public static let defaultMaxFrame: UInt32 = 16384
    /// max_message where nothing else is said.
    public static let defaultMaxMessage: UInt32 = 1 << 20
    /// max_in_flight where nothing else is said.
    public static let defaultMaxInFlight: UInt32 = 256
    /// max_queued where nothing else is said.
    public static let defaultMaxQueued: UInt32 = 4 << 20
    /// TOKEN is at most this long.
    public static let tokenLength = 256
    /// NAME is at most this long.
    public static let nameLength = 64
    /// The shortest dead_after, in milliseconds.
    public static let leastDeadAfter: UInt32 = 100
    /// The shortest ping_every, in milliseconds.
    public static let leastPingEvery: UInt32 = 20
}

/// The version of this software, as CHANGELOG.md counts it; not the version of the protocol.
public let lifelineVersion = "0.1.0"
