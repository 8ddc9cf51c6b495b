import Basics
import Framing

/// A request of the server, on whichever connection of its session it came.
struct AnswerKey: Hashable, Sendable {
    let connection: Int
    let id: UInt32
}

/// The requests of the server: when the program gets them, and what becomes of its answers.
extension Session {
    /// Gives the program the requests that wait, as far as there is room. A task that goes on after its request was
    /// cancelled, or its connection was lost, keeps its place.
    mutating func startAnswers() {
        guard let most = hello.options.answers?.maxInFlight else { return }
        while runningAnswers < most, let request = connection?.answers?.next() {
            runningAnswers += 1
            outputs.append(.answer(AnswerKey(connection: connectionNumber, id: request.id), request.bytes))
        }
    }

    /// The program's task for a request has ended.
    mutating func answerEnded(_ key: AnswerKey, _ result: Result<[UInt8], Failure>, at now: Instant) {
        runningAnswers -= 1
        if key.connection == connectionNumber { connection?.answer(key.id, with: result) }
        startAnswers()
        closeConnectionIfDone(at: now)
    }
}
