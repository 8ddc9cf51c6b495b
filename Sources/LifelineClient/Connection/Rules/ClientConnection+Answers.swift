import Basics
import Framing
import Liveness

// The requests of the server, and their endings.
extension ClientConnection {
    /// The most refusals that wait for a server that asks and does not read.
    private static let mostRefusals = 4096

    mutating func handleRequest(
        _ part: MessagePart, of bytes: [UInt8], at now: Instant
    ) throws(Violation) -> Event? {
        switch answers?.add(part, unsent: outbox.endings) ?? .discarded {
        case .discarded: return nil
        case .taken:
            transfers.received(part, at: now)
            openRequest = part.isLast ? nil : part.id
            guard let request = assembler.add(part, of: bytes) else { return nil }
            answers?.add(RequestsToAnswer.Whole(id: part.id, bytes: Array(request)))
            return .requested
        case .refused:
            abandonRequest(part.id, at: now)
            outbox.refuse(part.id, Failure(.refused, "the client answers no more requests or bytes at once"))
            guard outbox.refusals <= ClientConnection.mostRefusals else {
                throw Violation(.busy, "the server sends requests and does not read their refusals")
            }
            return nil
        }
    }

    /// Handles CANCEL: the request is over at once, whatever the program still does for it.
    mutating func handleCancel(_ id: UInt32, at now: Instant) throws(Violation) -> Event? {
        try heartbeat.spendToken(for: .cancel, at: now)
        guard answers?.end(id) == true else { return nil }
        abandonRequest(id, at: now)
        outbox.fail(id, Failure(.cancelled, "the server took the request back"))
        return .cancelled(id: id)
    }

    private mutating func abandonRequest(_ id: UInt32, at now: Instant) {
        guard openRequest == id else { return }
        openRequest = nil
        assembler.abandon()
        transfers.abandoned(at: now)
    }

    /// Sends the program's answer to the request `id`. Where that has its ending, nothing is sent.
    mutating func answer(_ id: UInt32, with result: Result<[UInt8], Failure>) {
        guard lingeringClose == nil, let most = welcome?.maxMessage else { return }
        switch result {
        case .success(let answer) where answer.count <= most:
            guard answers?.end(id, length: answer.count) == true else { return }
            outbox.send(.response, id: id, answer[...], cost: answer.count)
        case .success(let answer):
            fail(id, Failure(.messageTooLarge, "an answer of \(answer.count) bytes; the server takes at most \(most)"))
        case .failure(let failure): fail(id, failure)
        }
    }

    private mutating func fail(_ id: UInt32, _ failure: Failure) {
        if answers?.end(id) == true { outbox.fail(id, failure) }
    }

    /// Whether no request of the server waits for its ending.
    var hasAnswered: Bool { answers?.isEmpty ?? true }

    /// The CLOSE of this side.
    func closeFrame(_ code: Code = .normal, _ text: String = "") -> Close {
        Close(code, text, lastID: answers?.lastID ?? 0)
    }
}
