import Basics
import Framing
import Liveness

/// The calls of a session: how they start, wait, move onto the connection and end.
extension Session {
    /// Adds a call. `enforceDeadlines` sends it where there is room.
    mutating func start(_ id: Call.ID, _ call: Call) {
        if case .closed(let error) = phase { return output(id, .failure(.notSent(.connection(error)))) }
        if isClosing { return output(id, .failure(.notSent(.connection(.closedByProgram)))) }
        calls.add(id, call)
    }

    /// Ends a call whose caller waits no longer, because of its timeout or its task's cancellation.
    mutating func abandon(_ id: Call.ID, _ reason: RequestError.Reason, at now: Instant) {
        guard let call = calls[id] else { return }
        if let wireID = call.wireID {
            let isTakenBack = connection?.cancel(wireID, at: now) ?? false
            finish(id, .failure(isTakenBack ? .notSent(reason) : .unknown(reason)))
            closeConnectionIfDone(at: now)
        } else {
            endWaiting(id, call, reason)
        }
        if hello.short, calls.isEmpty { close(at: now) }
    }

    /// Ends a waiting call as REFUSED where the server has refused it before, else as NOT_SENT.
    mutating func endWaiting(_ id: Call.ID, _ call: Call, _ reason: RequestError.Reason) {
        finish(id, .failure(call.refusal.map { .refused($0) } ?? .notSent(reason)))
    }

    /// Ends a call. One that may have run before is UNKNOWN, whatever became of the attempts that followed (7.7-2).
    mutating func finish(_ id: Call.ID, _ result: Result<[UInt8], RequestError>) {
        let mayHaveRun = calls[id]?.mayHaveRun ?? false
        guard calls.remove(id) else { return }
        switch result {
        case .failure(.notSent(let reason)) where mayHaveRun, .failure(.refused(let reason)) where mayHaveRun:
            output(id, .failure(.unknown(reason)))
        default: output(id, result)
        }
    }

    private mutating func output(_ id: Call.ID, _ result: Result<[UInt8], RequestError>) {
        outputs.append(.finish(id, result))
    }

    /// Moves waiting calls onto the connection, as far as there is room.
    mutating func sendWaitingCalls(at now: Instant) {
        guard maySend else { return }
        sendWaitingMessages(at: now)
        if let heldUntil, now < heldUntil { return }
        while let (id, call) = calls.firstRequest() {
            if let most = connection?.welcome?.maxMessage, call.bytes.count > most {
                finish(id, .failure(.notSent(.tooLarge(most: Int(most)))))
                continue
            }
            guard phase == .open || call.bytes.count <= ClientConnection.mostEarly(hello) else { return }
            guard connection?.takesRequests == true, connection?.hasRoom(for: call.bytes.count) == true,
                let wireID = connection?.request(call.bytes)
            else { return }
            calls.firstRequestSent(as: wireID)
        }
    }

    /// Whether calls may be sent. A short connection sends its request before WELCOME where it can; a long one waits (6-6).
    private var maySend: Bool { phase == .open || (phase == .greeting && maySendEarly) }

    private mutating func sendWaitingMessages(at now: Instant) {
        guard let welcome = connection?.welcome else { return }
        while let (id, call) = calls.firstMessage() {
            if call.bytes.count > welcome.maxMessage {
                finish(id, .failure(.notSent(.tooLarge(most: Int(welcome.maxMessage)))))
                continue
            }
            guard connection?.takesMessages == true, (connection?.outbox.cost ?? 0) <= welcome.maxQueued else { return }
            guard connection?.send(call.bytes, at: now) == true else { return }
            hasNewCounts = true
            if calls.remove(id) { outputs.append(.sent(id, endedCounts.sent + (connection?.toServer.sent ?? 0))) }
        }
    }

    /// The messages that may follow at once; nil where others wait, or the connection is about to end.
    var messageAllowance: MessageAllowance? {
        guard phase == .open, !isClosing, leaving == nil, !calls.haveMessages else { return nil }
        return connection?.messageAllowance(after: endedCounts.sent)
    }

    /// Queues messages of an allowance, whose callers wait no longer. Where their connection was lost meanwhile, nothing is
    /// known of them: returns the event of that.
    mutating func accept(_ messages: [[UInt8]]) -> ConnectionEvent? {
        guard !messages.isEmpty else { return nil }
        hasNewCounts = true
        guard phase != .open else {
            connection?.accept(messages)
            return nil
        }
        endedCounts.sent += messages.count
        guard isCredited else {
            endedCounts.untold += messages.count
            return nil
        }
        endedCounts.unconfirmed += messages.count
        return .messagesUnconfirmed(numbers: (endedCounts.sent - messages.count + 1)...endedCounts.sent)
    }

    /// Ends the use of a short connection, or of one without further requests, after the ending of a request.
    mutating func answered(at now: Instant) {
        if hello.short { answeredUntil = now + LingeringClose.linger }
        closeConnectionIfDone(at: now)
    }

    /// Handles FAILURE: REFUSED requeues the request, any other code ends it.
    mutating func failed(_ wireID: UInt32, _ failure: RequestFailure, at now: Instant) {
        guard let id = calls.ended(wireID) else { return answered(at: now) }
        guard failure.code == .refused else {
            finish(id, .failure(.failed(failure)))
            return answered(at: now)
        }
        calls.requeue(id, because: .refused(failure))
        heldUntil = now + max(Session.refusalPause, failure.retryAfter)
        answered(at: now)
    }

    /// Requeues the requests that were in flight on `connection`, or ends them, as their fates allow (section 7.7).
    mutating func endOrRequeueCallsInFlight(on connection: ClientConnection, _ error: ConnectionError) {
        for (wireID, id) in calls.takeInFlight() {
            switch connection.fate(of: wireID) {
            case .notSent: calls.requeue(id, because: nil)
            case .refused: calls.requeue(id, because: .connection(error))
            case .unknown:
                if calls[id]?.kind == .request(mayRunTwice: true) {
                    calls.requeue(id, because: nil, mayHaveRun: true)
                } else {
                    finish(id, .failure(.unknown(.connection(error))))
                }
            }
        }
    }
}
