import Basics
import Framing
import Liveness

// What the client asks, and what the handler answers.
extension ServerConnection {
    /// How many refusals may wait unsent. Only a client that sends without reading has more (section 10).
    private static let mostRefusals = 4096
    /// How many bytes of a response in parts may wait for the client; then the handler waits too.
    private static let mostStreamed = 65536

    // MARK: The client

    mutating func receiveRequest(_ part: MessagePart, of buffer: [UInt8], at now: Instant) throws(Violation) -> Event? {
        if let (failure, isOverBudget) = refusal(of: part) {
            try refuse(part.id, failure)
            if isOverBudget { counts.overBudget += 1 }
        } else if part.isFirst {
            if part.isLast {
                requests.add(part.id, bytes: part.range.count, since: now)
                return .request(part.id, buffer[part.range])
            }
            incoming.begin(part.id, at: now)
        }
        guard !incoming.discards(part), let whole = incoming.add(part, of: buffer, at: now) else { return nil }
        requests.add(part.id, bytes: whole.bytes.count, since: whole.since)
        return .request(part.id, whole.bytes)
    }

    /// Why there is no room for a part of a request, and whether that is the budget's; nil where there is room, and where the
    /// request has its ending already.
    @inline(__always) private func refusal(of part: MessagePart) -> (failure: Failure, isOverBudget: Bool)? {
        if part.isFirst {
            guard inFlight < Int(terms.maxInFlight) else {
                return (Failure(.refused, "\(terms.maxInFlight) requests are unanswered"), false)
            }
        } else if incoming.request?.id != part.id {
            return nil
        }
        guard queued + part.range.count <= Int(terms.maxQueued) else {
            return (Failure(.refused, "\(terms.maxQueued) bytes of requests are unanswered"), false)
        }
        return isOverBudget(with: part.range.count) ? (overBudget(part.id), true) : nil
    }

    private mutating func refuse(_ id: UInt32, _ failure: Failure) throws(Violation) {
        guard outbox.refusals < ServerConnection.mostRefusals else {
            throw Violation(.busy, "\(ServerConnection.mostRefusals) refusals wait unread")
        }
        incoming.refuse(id)
        outbox.refuse(id, failure)
        counts.refused += 1
        ended(id)
    }

    mutating func receiveMessage(_ part: MessagePart, of buffer: [UInt8], at now: Instant) throws(Violation) -> Event? {
        if received.hasCredit {
            if part.isFirst { try received.begin() }
            received.add(part.range.count)
        } else {
            let waiting = requests.waitingMessages
            guard waiting == 0 || waiting + part.range.count <= Int(terms.maxQueued) else {
                throw Violation(.busy, "messages of \(waiting) bytes wait for the handler")
            }
        }
        if part.isFirst, part.isLast, part.range.isEmpty { try heartbeat.spendToken(for: .emptyMessage, at: now) }
        guard let whole = incoming.add(part, of: buffer, at: now) else { return nil }
        received.end()
        counts.messagesIn += 1
        counts.unhandled = received.unhandled
        return .message(whole.bytes)
    }

    /// The client's CANCEL of the request `id` (section 4.8).
    mutating func cancel(_ id: UInt32) {
        if incoming.cancel(id) {
            counts.cancelled += 1
            outbox.fail(id, Failure(.cancelled))
            ended(id)
        } else {
            endEarly(id, Failure(.cancelled))
        }
    }

    // MARK: The handler

    /// The handler returned from the last event, and gets the next.
    mutating func handlerReturned() { requests.handlerReturned() }

    /// Sends the handler's response to the request `id`.
    mutating func answer(_ id: UInt32, _ bytes: ArraySlice<UInt8>) {
        guard let asked = requests[id] else { return }
        guard bytes.count <= longestAnswer else { return fail(id, tooLarge(bytes.count)) }
        requests.end(id)
        outbox.send(.response, id: id, bytes, cost: max(asked.bytes, bytes.count))
        answered(id)
    }

    /// Sends a part of the response to the request `id`; the one that `isLast` ends it, and may be empty.
    mutating func answer(_ id: UInt32, part: ArraySlice<UInt8>, isLast: Bool, at now: Instant) {
        guard let asked = requests[id] else { return }
        let length = asked.sent + part.count
        guard length <= longestAnswer else { return endEarly(id, tooLarge(length)) }
        requests.sent(part.count, of: id, at: now)
        if isLast { requests.end(id) }
        guard isLast || !part.isEmpty else { return }
        outbox.send(part: part, of: id, isLast: isLast, cost: asked.bytes)
        if isLast { answered(id) }
    }

    /// How many bytes of parts of the response `id` are accepted now: a slow client makes the handler wait.
    @inline(__always) func room(for id: UInt32) -> Int {
        // Only where parts were sent are they looked for, among all that waits.
        guard let asked = requests[id], asked.sent > 0 else { return ServerConnection.mostStreamed }
        return max(0, ServerConnection.mostStreamed - outbox.streamed(of: id))
    }

    private func tooLarge(_ count: Int) -> Failure {
        Failure(.messageTooLarge, "the response has \(count) bytes; \(longestAnswer) are accepted")
    }

    /// Ends the request `id` for the handler, which has no response to it, or no more of one that it sends in parts.
    mutating func fail(_ id: UInt32, _ failure: Failure) {
        guard requests.end(id) != nil else { return }
        if failure.code == .cancelled { counts.cancelled += 1 } else { counts.failed += 1 }
        outbox.fail(id, failure)
        ended(id)
    }

    /// Ends the request `id` for a reason that the handler does not know yet.
    mutating func endEarly(_ id: UInt32, _ failure: Failure) {
        if requests.wasDispatched(id) { pendingEvents.append(.cancelled(id)) }
        fail(id, failure)
    }

    private mutating func answered(_ id: UInt32) {
        requestsAnswered += 1
        ended(id)
    }

    /// The request `id` has its ending, behind which CLOSE may follow.
    private mutating func ended(_ id: UInt32) {
        guard isShort else { return closeIfAnswered() }
        requests.countProcessed(id)
        shortAnswered()
    }

    /// Ends all requests without an answer. A response that the client has parts of ends with `failure`, so that what
    /// waits behind it may follow.
    mutating func cancelAll(_ failure: Failure = Failure(.cancelled)) {
        counts.unanswered += UInt64(requests.count)
        for request in requests.unanswered where request.sent > 0 { outbox.fail(request.id, failure) }
        pendingEvents += requests.cancelAll().map { .cancelled($0) }
    }

    // MARK: One-way messages

    /// The handler is done with a message of this cost (`Credit.cost(of:)`), or the program has read it: the client may
    /// learn that. Called once for each, in their order, at the latest before `closed` of the runner.
    mutating func messageHandled(cost: Int) {
        received.handle(cost: cost)
        counts.unhandled = received.unhandled
        messageReleased()
    }

    /// The program has taken a message of this cost, which gives its room back. `messageHandled` or `messageDiscarded` follows,
    /// with the cost 0.
    mutating func messageTaken(cost: Int) {
        received.free(cost: cost)
        messageReleased()
    }

    /// A message of this cost reaches no handler and no program any more. It gives its room back and is not handled.
    mutating func messageDiscarded(cost: Int) {
        received.discard(cost: cost)
        messageReleased()
    }

    /// Sends CREDIT where the client does not know of all that is handled: ahead of a PONG, and of CLOSE (3.8-8, 3.8-9).
    @inline(__always) mutating func tellHandled() {
        if let credit = received.news(room: roomForMessages) { outbox.grant(credit) }
    }

    @inline(__always) private mutating func messageReleased() {
        guard received.hasCredit, !isClosing else { return }
        if let credit = received.due(room: roomForMessages) { outbox.grant(credit) }
        closeIfAnswered()
    }

    /// How far the handler may go with messages. What waits for a client is bounded by max_queued too.
    @inline(__always) var messageRoom: MessageRoom {
        guard let client, !client.isShort, !isClosing else {
            return MessageRoom(longest: nil, cost: 0, confirmed: sentMessages.confirmed)
        }
        let free = max(Int(terms.maxQueued), 1) - outbox.messageCost - heldCost
        return MessageRoom(
            longest: client.maxMessage, cost: min(free, sentMessages.room, roomInBudget),
            confirmed: sentMessages.confirmed)
    }

    /// What `messageRoom` follows from, as long as the connection is not closing; nil where a budget has a say too.
    @inline(__always) var messageRoomBasis: (changes: Int, waiting: Int)? {
        share.isLimited ? nil : (sentMessages.changes, outbox.messageCost + heldCost)
    }

    /// Sends a one-way message of the handler; false where there is no room now, or none can be sent. A message that was
    /// promised when there was room for it is sent whatever has come since. An empty one, and what follows it, may have
    /// to wait (5.10-2).
    @discardableResult
    mutating func send(_ message: ArraySlice<UInt8>, wasPromised: Bool = false, at now: Instant) -> Bool {
        switch messageRoom.verdict(of: message.count) {
        case .goes: break
        case .waits: if !wasPromised { return false }
        case .never: return false
        }
        sentMessages.add(cost: Credit.cost(of: message.count))
        if heldMessages?.admits(message, at: now) ?? true { queue(message) }
        lifetime?.active(at: now)
        return true
    }

    /// Sends the messages that need not wait any more.
    @inline(__always) mutating func sendHeldMessages(at now: Instant) {
        if holdsMessages, !isClosing { while let message = heldMessages?.next(at: now) { queue(message) } }
    }

    /// Sends what waits, because CLOSE follows. Only the empty messages that are not paid for are lost.
    mutating func flushHeldMessages() {
        guard holdsMessages, let (free, unpaid) = heldMessages?.removeAll() else { return }
        for message in free { queue(message) }
        unpaidMessages = unpaid
    }

    private mutating func queue(_ message: ArraySlice<UInt8>) {
        counts.messagesOut += 1
        outbox.send(.message, message, cost: Credit.cost(of: message.count))
    }

    /// Throws away the messages that wait for the handler: its time for them is over.
    mutating func dropMessages() { received.discard(count: requests.dropMessages()) }
}
