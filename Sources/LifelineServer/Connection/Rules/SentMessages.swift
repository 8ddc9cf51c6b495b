import Framing

/// The one-way messages that the handler sends: how far they may go by the client's credit, and how many of them the client
/// says are handled (Protocol.md, section 3.8).
///
/// A message counts from the moment at which the connection takes it. What waits here is so bounded by the credit too.
struct SentMessages {
    /// The highest limit that the client has told; nil where credit is not in force.
    private var limit: UInt64?
    /// What the messages cost that were taken.
    private var begun: UInt64 = 0
    /// How many were taken.
    private var count: UInt64 = 0
    private var handled: UInt64 = 0
    /// How often something here has changed.
    private(set) var changes = 0

    /// Puts credit in force: HELLO has this limit.
    mutating func start(limit: UInt64) {
        self.limit = limit
        changes += 1
    }

    /// What messages may still cost together: one may be taken while this is above 0, whatever its length (3.8-1).
    @inline(__always) var room: Int {
        guard let limit else { return .max }
        return begun < limit ? Int(clamping: limit - begun) : 0
    }

    /// How many the client has handled; nil where it does not say.
    @inline(__always) var confirmed: UInt64? { limit == nil ? nil : handled }

    /// A message of this cost is taken.
    mutating func add(cost: Int) {
        changes += 1
        count += 1
        begun += UInt64(cost)
    }

    /// The client's CREDIT. Neither number ever falls (3.8-7), and no more are handled than there are.
    mutating func grant(_ credit: Credit) {
        changes += 1
        limit = max(limit ?? 0, credit.limit)
        handled = max(handled, min(credit.handled, count))
    }
}
