import Basics
import Framing

/// The orderly end of a connection, and what it waits for before its CLOSE.
extension Session {
    /// What still waits when a connection is to end, each until an instant; nil where it waits no longer.
    struct Leave: Sendable {
        /// For the server, which tells that the messages to it are handled (Protocol.md, 3.8-10).
        var confirmUntil: Instant?
        /// For the program, which answers and reads (3.7-7, 3.8-9).
        var programUntil: Instant?
    }

    /// The time that the server has to handle messages, where the program has set none.
    static let confirmTime = Duration.seconds(10)
    /// The time that the program has for the answers that it works on, and for the messages that it reads.
    static let programTime = Duration.seconds(2)

    /// Closes the session for the program. Waiting calls end as NOT_SENT; requests in flight continue until they end. For
    /// messages that are not handled it waits for `limit`; a second call can shorten that.
    mutating func close(within limit: Duration = .zero, at now: Instant) {
        if case .closed = phase { return }
        let end = now + limit
        if isClosing {
            closeBy = min(closeBy, end)
            shortenLeave(at: now)
            return
        }
        isClosing = true
        closeBy = end
        for (id, call) in calls.waiting { endWaiting(id, call, .connection(.closedByProgram)) }
        switch phase {
        case .dialing:
            outputs.append(.stopDialing)
            self.end(.closedByProgram)
        case .waiting: self.end(.closedByProgram)
        case .greeting: closeConnectionIfDone(at: now)
        case .open: leaving == nil ? closeConnectionIfDone(at: now) : shortenLeave(at: now)
        case .closed: break
        }
    }

    private mutating func shortenLeave(at now: Instant) {
        guard leaving != nil else { return }
        leaving?.confirmUntil = closeBy
        if let until = leaving?.programUntil { leaving?.programUntil = min(until, closeBy) }
        leaveInTime(at: now)
    }

    /// Closes a connection without requests in flight where the program or the server wants it, or no ids are left.
    mutating func closeConnectionIfDone(at now: Instant) {
        guard connection != nil, isClosing || !hello.short else { return }
        guard isClosing || connection?.takesRequests == false else { return }
        leave(at: now)
        guard isClosing ? !calls.areInFlight : connection?.unansweredCount == 0, isReady else { return }
        connection?.close(at: now)
        left(at: now)
    }

    /// The connection has ended in order.
    mutating func left(at now: Instant) {
        let goAway = connection?.goAway
        releaseConnection(at: now)
        if isClosing { return end(.closedByProgram) }
        let error = goAway.map { ConnectionError($0) } ?? ConnectionError(.broken, "the request ids are used up")
        scheduleReconnect(after: error, goAway: goAway, hadConnection: true, wasOpen: true, at: now)
    }

    /// Begins the end of an open connection.
    private mutating func leave(at now: Instant) {
        guard leaving == nil, phase == .open, !hello.short else { return }
        let until = isClosing ? closeBy : now + Session.confirmTime
        leaving = Leave(confirmUntil: until, programUntil: min(until, now + Session.programTime))
        if until > now { connection?.leave() }
    }

    /// Whether nothing is waited for any more.
    private var isReady: Bool {
        guard let leaving else { return true }
        return (leaving.confirmUntil == nil || connection?.toServer.unconfirmed == 0)
            && (leaving.programUntil == nil || connection?.hasAnswered == true && connection?.isRead == true)
    }

    /// Ends the waits whose time is up, and the connection where nothing else waits.
    mutating func leaveInTime(at now: Instant) {
        if let until = leaving?.confirmUntil, until <= now { leaving?.confirmUntil = nil }
        if let until = leaving?.programUntil, until <= now { leaving?.programUntil = nil }
        closeConnectionIfDone(at: now)
    }

    /// Whether the server's CLOSE is the one that this side waits for.
    func isAwaited(_ error: ConnectionError) -> Bool {
        connection?.hasLeft == true && !calls.areInFlight && error.kind == .closedByServer
            && (error.code == .normal || error.code == .shuttingDown)
    }

    // MARK: Messages

    /// What became of the messages so far.
    var messageCounts: MessageCounts {
        guard let messages = connection?.toServer else { return endedCounts }
        return endedCounts.adding(messages)
    }

    /// The program has read messages.
    mutating func taken(_ inbox: TakenMessages, at now: Instant) {
        connection?.taken(inbox)
        if leaving != nil { closeConnectionIfDone(at: now) }
    }

    /// Adds up the messages of the connection, which ends, and tells which of them the server has not told to be handled.
    mutating func endMessages() {
        guard let messages = connection?.toServer, messages.sent > 0 else { return }
        hasNewCounts = true
        if messages.unconfirmed > 0 {
            let first = endedCounts.sent + messages.handled + 1
            outputs.append(.event(.messagesUnconfirmed(numbers: first...(endedCounts.sent + messages.sent))))
        }
        endedCounts = endedCounts.adding(messages)
        endedCounts.unconfirmed += messages.unconfirmed
    }
}
