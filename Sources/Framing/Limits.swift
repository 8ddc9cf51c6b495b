/// Bounds and defaults of the protocol (Protocol.md, section 10). Lengths are in bytes.
public enum Limits {
    /// The minor version that this implementation speaks; the major one is 1 (section 13).
    public static let minorVersion: UInt8 = 1
    /// The longest HELLO and WELCOME.
    public static let handshakeLength: UInt32 = 1024
    /// The longest text of FAILURE, GOAWAY and CLOSE.
    public static let textLength: UInt32 = 512
    /// The least max_frame that a side may announce. Before WELCOME a client sends no longer frame.
    public static let leastMaxFrame: UInt32 = 256
    /// The default of max_frame. A heartbeat never waits behind more.
    public static let defaultMaxFrame: UInt32 = 16384
    /// The default of max_message.
    public static let defaultMaxMessage: UInt32 = 1 << 20
    /// The default of max_in_flight.
    public static let defaultMaxInFlight: UInt32 = 256
    /// The default of max_queued.
    public static let defaultMaxQueued: UInt32 = 4 << 20
    /// The longest TOKEN.
    public static let tokenLength = 256
    /// The longest NAME.
    public static let nameLength = 64
    /// The shortest dead_after, in milliseconds.
    public static let leastDeadAfter: UInt32 = 100
    /// The shortest ping_every, in milliseconds.
    public static let leastPingEvery: UInt32 = 20
    /// The default of the server's own interval, in milliseconds: ping_every is never longer.
    public static let defaultHeartbeat: UInt32 = 60_000
}
