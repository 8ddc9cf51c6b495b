import Basics
import Framing
import Liveness

// What the server asks the client (section 3.7). A connection whose client answers no requests has `asks` nil, and each
// turn looks at that alone.
extension ServerConnection {
    /// The client answers requests, by the ANSWERS of its HELLO.
    mutating func startAsking(_ hello: Hello, _ times: Heartbeat) {
        asks = hello.options.answers.map { ServerRequests($0, maxMessage: Int(hello.maxMessage), times) }
    }

    // MARK: The handler

    /// Whether the client answers requests: known once it has opened.
    @inline(__always) var isAskable: Bool { asks != nil }

    /// Asks the client. The event `asked` brings the outcome with the same token, at `deadline` at the latest: from
    /// `next(at:)`, and never before this returns.
    mutating func ask(_ token: UInt64, _ bytes: ArraySlice<UInt8>, until deadline: Instant, at now: Instant) {
        guard asks != nil else {
            return pendingEvents.append(.asked(token, .failure(.notSent(.clientAnswersNone))))
        }
        asks!.ask(token, bytes, until: deadline, &outbox, at: now)
        lifetime?.active(at: now)
        takeOutcomes()
    }

    /// Gives up the request `token`, where its outcome is not known: the outcome is NOT_SENT or UNKNOWN, because of
    /// `cancelled`.
    mutating func giveUp(_ token: UInt64, at now: Instant) {
        guard asks != nil else { return }
        asks!.giveUp(token, .cancelled, &outbox, at: now)
        asksChanged(at: now)
    }

    // MARK: The client

    mutating func receiveAnswer(_ part: MessagePart, of buffer: [UInt8]) throws(Violation) {
        try asks?.received(part, of: buffer, &outbox)
        takeOutcomes()
        closeIfAnswered()
    }

    mutating func receiveFailure(_ failure: Failure, of id: UInt32, at now: Instant) throws(Violation) {
        try asks?.failed(id, failure, &outbox, at: now)
        takeOutcomes()
        closeIfAnswered()
    }

    /// The client has sent GOAWAY.
    mutating func stopAsking(at now: Instant) {
        guard asks != nil else { return }
        asks!.clientLeaves(.closed(.normal, "the client went away", by: .client), &outbox)
        asksChanged(at: now)
    }

    // MARK: Time and the end

    mutating func enforceAskDeadlines(at now: Instant) {
        guard !isClosing else { return }
        asks!.enforceDeadlines(&outbox, at: now)
        asksChanged(at: now)
    }

    /// What was asked is not answered any more. False where `closeLastID`, the last_id of the client's CLOSE, is above
    /// every id that was sent.
    @discardableResult
    mutating func endAsks(_ reason: CloseReason, closeLastID: UInt32? = nil) -> Bool {
        guard asks != nil else { return closeLastID ?? 0 == 0 }
        defer { takeOutcomes() }
        return asks!.end(reason, closeLastID: closeLastID, &outbox)
    }

    /// Requests may have been taken back or given up.
    private mutating func asksChanged(at now: Instant) {
        // What was taken back may have held the last byte that the kernel had not accepted.
        if outbox.isEmpty { heartbeat.wrote(any: false, waiting: false, at: now) }
        takeOutcomes()
        closeIfAnswered()
    }

    private mutating func takeOutcomes() {
        pendingEvents += asks!.takeOutcomes().map { .asked($0.token, $0.outcome) }
    }
}
