import Basics
import Framing

extension ServerConnection {
    /// What the connection takes of its handler now.
    @inline(__always) var credit: HandlerCredit {
        HandlerCredit(
            messageRoom: messageRoom, partRoom: room(for: lastID),
            hasAnswerRoom: outbox.cost < Int(terms.maxQueued) || outbox.isDone, isOpen: !isClosing,
            hasUnsent: !outbox.isDone || holdsMessages, waitingCount: outbox.waitingCount)
    }

    /// Takes over what the handler has made.
    mutating func apply(_ output: HandlerOutput, at now: Instant) {
        switch output {
        case .response(let id, let bytes): answer(id, bytes)
        case .part(let id, let bytes, let isLast): answer(id, part: bytes, isLast: isLast, at: now)
        case .failure(let id, let failure): fail(id, failure)
        case .message(let bytes): send(bytes, wasPromised: true, at: now)
        case .handled(let cost): messageHandled(cost: cost)
        case .ask(let token, let bytes, let deadline): ask(token, bytes, until: deadline, at: now)
        case .giveUp(let token): giveUp(token, at: now)
        case .forward(let bytes, let topic): forward(bytes, topic: topic, to: .all, at: now)
        case .finished: handlerReturned()
        case .over: break
        }
    }
}
