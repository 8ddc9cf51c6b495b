import Framing

/// The messages to the server on one connection: how far it lets this side go, and how many it has handled (Protocol.md,
/// section 3.8).
struct MessagesToServer: Sendable {
    /// The highest limit that the server has told; nil where no credit is in force.
    private(set) var limit: UInt64?
    private(set) var cost: UInt64 = 0
    /// The number of messages on their way or handled.
    private(set) var sent = 0
    /// The number of them that the server has told to be handled.
    private(set) var handled = 0

    /// Whether credit is in force.
    var isCredited: Bool { limit != nil }
    /// Whether another message may begin (3.8-1).
    var mayBegin: Bool { limit.map { cost < $0 } ?? true }
    /// The number of messages that the server has not told to be handled; 0 where it tells nothing.
    var unconfirmed: Int { isCredited ? sent - handled : 0 }

    /// Begins to count: credit is in force.
    mutating func begin(limit: UInt64) { self.limit = limit }

    /// Records a message of `length` bytes that follows those before it.
    mutating func send(_ length: Int) {
        cost += UInt64(Credit.cost(of: length))
        sent += 1
    }

    /// Takes CREDIT: the greater numbers count (3.8-7), and no more is handled than was sent (section 9, M4).
    mutating func take(_ credit: Credit) {
        limit = max(limit ?? 0, credit.limit)
        handled = max(handled, Int(min(credit.handled, UInt64(sent))))
    }
}
