/// What a connection counts beside the requests that were answered and bytes: most connections change none of it at most
/// turns. It is the sum over many connections, too.
struct ConnectionCounts: Equatable, Sendable {
    /// Requests that ended with FAILURE, but for those below.
    var failed: UInt64 = 0
    /// Requests that the client cancelled.
    var cancelled: UInt64 = 0
    /// Requests that were refused: no handler had them.
    var refused: UInt64 = 0
    /// Requests that had no ending when the connection ended.
    var unanswered: UInt64 = 0
    /// Messages that came whole.
    var messagesIn: UInt64 = 0
    /// Messages that the handler sent.
    var messagesOut: UInt64 = 0
    /// Messages that came, and that the handler is not done with now or was not at the end.
    var unhandled: UInt64 = 0
    /// Those of `refused` for which the budget of all connections had no room.
    var overBudget: UInt64 = 0
    /// Messages of others that the client or the handler had no room for.
    var lost: UInt64 = 0

    /// Requests that got their ending, but for those that were refused: with `answered` of them.
    func requests(answered: UInt64) -> UInt64 {
        var sum = answered
        sum.add(failed)
        sum.add(cancelled)
        return sum
    }

    /// Adds counts that are not trusted.
    mutating func add(_ other: ConnectionCounts) {
        failed.add(other.failed)
        cancelled.add(other.cancelled)
        refused.add(other.refused)
        unanswered.add(other.unanswered)
        messagesIn.add(other.messagesIn)
        messagesOut.add(other.messagesOut)
        unhandled.add(other.unhandled)
        overBudget.add(other.overBudget)
        lost.add(other.lost)
    }
}

extension UInt64 {
    /// Adds a number that is not trusted: a sum beyond the greatest number is the greatest number.
    mutating func add(_ other: UInt64) {
        let (sum, isTooMuch) = addingReportingOverflow(other)
        self = isTooMuch ? .max : sum
    }
}
