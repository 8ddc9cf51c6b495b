/// Whether this side sends a message or receives it.
public enum TransferDirection: Hashable, Sendable {
    /// This side sends it.
    case sending
    /// This side receives it.
    case receiving
}

/// The progress of one message that takes longer than a second to send or to receive.
///
/// Only messages in several frames are measured. One is sent and one received at a time (Protocol.md, 3.5-3).
public struct TransferProgress: Hashable, Sendable {
    /// Whether this side sends the message or receives it.
    public let direction: TransferDirection
    /// The id of the request on its connection, for the request and for its response; nil for a one-way message.
    public let request: UInt32?
    /// The bytes that have come. Of a message that is sent, those that a PONG has proved (Protocol.md, section 5.12); where
    /// the server speaks 1.0, those that the kernel has taken.
    public let bytes: Int
    /// The length of the message; nil until the last byte of a received one has come.
    public let total: Int?
    /// Bytes a second, over the last five seconds.
    public let rate: Double
    /// The time since the first frame began to leave, or came.
    public let elapsed: Duration
    /// Whether this is the last event of this message. The message is incomplete then where `bytes` is not `total`: the request was
    /// cancelled, the server gave the response up, or the connection ended.
    public let isOver: Bool
    /// Whether `request` is a request of the server: its ids are independent of those of this side.
    public internal(set) var isServerRequest = false
    /// The number that the package's commands have given to the request; nil where it has none.
    package var number: Int?
}
