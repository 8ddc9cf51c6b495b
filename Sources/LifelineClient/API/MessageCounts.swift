/// What became of the one-way messages that a `LongConnection` has sent, over all of its connections.
///
/// A message is handled when the server's handler is done with it. A server tells that where it gives credit (Protocol.md,
/// section 3.8); `ConnectionTerms.confirmsMessages` says whether it does. The rest is on its way: `sent` is the sum of the other
/// numbers once the session is closed.
public struct MessageCounts: Hashable, Sendable {
    /// The messages that were sent: one for each `send` that has returned.
    public internal(set) var sent = 0
    /// Those that the server has told to be handled.
    public internal(set) var handled = 0
    /// Those whose connection has ended before the server told. Nothing is known of them.
    public internal(set) var unconfirmed = 0
    /// Those to a server that tells nothing, such as one of Protocol 1.0.
    public internal(set) var untold = 0

    /// Whether the server has told that every message is handled.
    public var areAllHandled: Bool { handled == sent }

    init() {}

    /// The counts with those of a further connection.
    func adding(_ messages: MessagesToServer) -> MessageCounts {
        var counts = self
        counts.sent += messages.sent
        counts.handled += messages.handled
        if !messages.isCredited { counts.untold += messages.sent }
        return counts
    }
}
