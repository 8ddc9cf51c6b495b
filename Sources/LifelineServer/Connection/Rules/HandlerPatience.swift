import Basics

/// How long a connection that is over waits for its handler: for messages first, then for its return.
struct HandlerPatience {
    /// What is due.
    enum Verdict: Equatable {
        case waits
        /// The handler gets no more messages, and hears that the connection has ended.
        case lastCall
        /// The handler is given up.
        case over
    }

    /// When the next verdict is due; nil while the connection is not over.
    private(set) var deadline: Instant?
    private var isLastCall = false
    private var lastCall = RequestQueue.handlerGrace

    /// The server shuts down: what would end later ends in its time.
    mutating func shorten(to time: ShutdownGrace, at now: Instant) {
        lastCall = time.lastCall
        if !isLastCall, let deadline { self.deadline = min(deadline, now + time.handling) }
    }

    /// What is due at `now`. The first call says until when the handler gets messages.
    mutating func verdict(at now: Instant, handlingUntil until: Instant) -> Verdict {
        let due = deadline ?? until
        deadline = due
        guard due <= now else { return .waits }
        if isLastCall { return .over }
        isLastCall = true
        deadline = max(due + lastCall, now)
        return .lastCall
    }
}
