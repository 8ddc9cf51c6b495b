/// A message from another connection, or from a back-end.
public struct Publication: Sendable {
    /// The topic that it was published to; nil where it was sent to this connection alone, or to all.
    public let topic: String?
    /// The message.
    public let bytes: ArraySlice<UInt8>
    /// The number of the connection that it comes from: a client's, or that of a back-end.
    public let publisher: UInt64

    /// The message as text. Bytes that are not UTF-8 become U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Messages of others that a connection did not get.
public struct MessageGap: Hashable, Sendable {
    /// Their topic; nil for messages that were sent to this connection alone, or to all.
    public let topic: String?
    /// How many there were; nil where nobody knows, because the router has died.
    public let count: Int?
}
