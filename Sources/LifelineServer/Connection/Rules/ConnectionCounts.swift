/// What a connection counts beside its requests and bytes: most connections change none of it at most turns.
struct ConnectionCounts: Equatable, Sendable {
    /// Requests that ended with FAILURE, but for those below.
    var failed: UInt32 = 0
    /// Requests that the client cancelled.
    var cancelled: UInt32 = 0
    /// Requests that were refused: no handler had them.
    var refused: UInt32 = 0
    /// Requests that had no ending when the connection ended.
    var unanswered: UInt32 = 0
    /// Messages that came whole.
    var messagesIn: UInt64 = 0
    /// Messages that the handler sent.
    var messagesOut: UInt64 = 0
    /// Messages that came, and that no handler has had at the end.
    var unhandled: UInt32 = 0
}
