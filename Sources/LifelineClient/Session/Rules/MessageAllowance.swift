import Framing

/// The messages that may follow at once those that are on their way on a connection: as long as it lasts, their callers need
/// not ask the session.
///
/// It has the bounds of the session (Protocol.md, 3.8-1 and 4.2), and counts like it.
struct MessageAllowance: Equatable, Sendable {
    /// The number of the last message, over all connections.
    private(set) var lastNumber: Int
    /// The cost of the messages of the connection, and the limit of its credit; nil where no credit is in force.
    private var cost: UInt64
    private let limit: UInt64?
    /// The bytes that wait, and the server's max_queued.
    private var queued: Int
    private let mostQueued: Int
    /// The lengths that need no further rule.
    private let lengths: ClosedRange<Int>

    /// - Parameters:
    ///   - lastNumber: The number of the last message.
    ///   - messages: The messages of the connection.
    ///   - queued: The bytes that wait in the outbox.
    ///   - welcome: The limits of the server.
    init(after lastNumber: Int, _ messages: MessagesToServer, queued: Int, _ welcome: Welcome) {
        self.lastNumber = lastNumber
        (cost, limit) = (messages.cost, messages.limit)
        (self.queued, mostQueued) = (queued, Int(welcome.maxQueued))
        // An empty message costs a token in 1.0.
        lengths = min(welcome.minor == 0 ? 1 : 0, Int(welcome.maxMessage))...Int(welcome.maxMessage)
    }

    /// Counts a message of `length` bytes and returns its number; nil where it has to wait, or cannot be sent.
    mutating func take(_ length: Int) -> Int? {
        if let limit, cost >= limit { return nil }
        guard queued <= mostQueued, lengths.contains(length) else { return nil }
        count(1, bytes: length)
        return lastNumber
    }

    /// Counts `count` messages of `bytes` bytes together that were taken from the allowance before this one.
    mutating func count(_ count: Int, bytes: Int) {
        lastNumber += count
        cost += UInt64(bytes + count * Credit.cost(of: 0))
        queued += bytes
    }
}
