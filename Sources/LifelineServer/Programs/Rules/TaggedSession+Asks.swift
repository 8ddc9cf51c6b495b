import Basics
import Framing

// What the program asks the client (Protocol.md, section 3.7).
extension TaggedSession {
    mutating func ask(_ name: [UInt8], _ text: ArraySlice<UInt8>, at now: Instant) {
        guard !asks.contains(name) else {
            return breakOff(
                "the program asks by the name \(TaggedRecord.quote(name[...])), which has no answer yet", at: now)
        }
        guard text.count <= mostAccepted else {
            let reason = ClientRequestError.Reason.tooLarge(most: Int(mostAccepted))
            return tellFailure(name, "NOT_SENT", "\(Code.messageTooLarge)", "\(reason)", at: now)
        }
        guard let token = asks.add(name, size: text.count) else {
            let text = "too much that the program has asked is unanswered"
            return tellFailure(name, "NOT_SENT", "\(Code.busy)", text, at: now)
        }
        course.steps.append(.ask(token, Array(text)))
    }

    /// What the program has asked has its outcome.
    mutating func asked(_ token: UInt64, _ outcome: ServerRequests.AskOutcome, at now: Instant) {
        guard let name = asks.remove(token) else { return }
        switch outcome {
        case .success(let answer): tellAnswer(name, answer[...], at: now)
        case .failure(let error):
            let (outcome, code, text) = error.words
            tellFailure(name, outcome, code, text, at: now)
        }
    }

    private mutating func tellAnswer(_ name: [UInt8], _ answer: ArraySlice<UInt8>, at now: Instant) {
        guard framing.isLines, answer.contains(0x0A) else { return tell("answer", name, answer, at: now) }
        for line in answer.split(separator: 0x0A, omittingEmptySubsequences: false) {
            tell("part", name, line, at: now)
        }
        tell("end", name, nil, at: now)
    }

    private mutating func tellFailure(
        _ name: [UInt8], _ outcome: String, _ code: String, _ text: String, at now: Instant
    ) {
        // The text may be the client's: it has to stay in its line.
        let clean = text.utf8.map { $0 == 0x0A ? 0x20 : $0 }
        tell("failure", name, Array("\(outcome) \(code) ".utf8)[...] + clean, at: now)
    }

    private mutating func tell(_ word: String, _ name: [UInt8], _ text: ArraySlice<UInt8>?, at now: Instant) {
        guard course.life == .running, !course.isClosed, !course.input.isBroken, !isOutOfStep else { return }
        // A program that is to answer others meanwhile must be read from, so its own asking alone cannot be held up.
        let waiting = course.input.unwritten.count
        guard waiting <= TaggedAsks.mostBytes else {
            return breakOff(
                "the program asks and does not read its input, in which \(waiting) bytes of answers wait", at: now)
        }
        let rest = Array("\(word) ".utf8) + name + (text.map { [0x20] + $0 } ?? [])
        if let framed = framing.frame(rest[...]) { course.input.append(framed) }
    }
}
