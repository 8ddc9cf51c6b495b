import Basics
import Framing

/// The orderly end of a connection: what it waits for before its CLOSE.
extension Session {
    /// What still waits when a connection is to end, each until an instant; nil where it waits no longer.
    struct Leave: Sendable {
        /// For the answers that the program works on (Protocol.md, 3.7-7).
        var answersUntil: Instant?
    }

    /// The time that the program has for the answers that it works on.
    static let answerTime = Duration.seconds(2)

    /// Closes a connection without requests in flight where the program or the server wants it, or no ids are left.
    mutating func closeConnectionIfDone(at now: Instant) {
        guard connection != nil, isClosing || !hello.short else { return }
        guard isClosing || connection?.takesRequests == false else { return }
        leave(at: now)
        guard isClosing ? !calls.areInFlight : connection?.unansweredCount == 0, hasLeft else { return }
        let goAway = connection?.goAway
        connection?.close(at: now)
        releaseConnection(at: now)
        if isClosing { return end(.closedByProgram) }
        let error = goAway.map { ConnectionError($0) } ?? ConnectionError(.broken, "the request ids are used up")
        scheduleReconnect(after: error, goAway: goAway, hadConnection: true, wasOpen: true, at: now)
    }

    /// Begins the end of an open connection.
    private mutating func leave(at now: Instant) {
        guard leaving == nil, phase == .open, !hello.short else { return }
        leaving = Leave(answersUntil: now + Session.answerTime)
    }

    /// Whether nothing is waited for any more.
    private var hasLeft: Bool {
        guard let leaving, let connection else { return true }
        return leaving.answersUntil == nil || connection.hasAnswered
    }

    /// Ends the waits whose time is up.
    mutating func leaveInTime(at now: Instant) {
        guard let until = leaving?.answersUntil, until <= now else { return }
        leaving?.answersUntil = nil
        closeConnectionIfDone(at: now)
    }
}
