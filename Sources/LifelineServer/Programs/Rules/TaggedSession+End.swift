import Basics
import Framing

// How a program's end becomes the end of its requests and of its connection.
extension TaggedSession {
    mutating func conclude(at now: Instant) {
        guard let exit = course.exit else { return }
        if exit == .status(0), !course.isClosed, !isOutOfStep, let rest = output.takeUnfinishedLine() {
            take(rest[...], at: now)
        }
        let hasAnswered = course.hasAnswered
        let isHalf = output.isInside
        let isInOrder = exit == .status(0) && !isHalf
        let owed = requests.removeAll()
        // It has answered others, and has nothing to do with a request that it has not touched.
        let readTo = course.input.end - course.left
        func isUntouched(_ request: TaggedRequests.Given) -> Bool { request.start >= readTo }
        let lost = owed.first { !hasAnswered || !isUntouched($0) }
        course.logEnd(
            exit, request: (lost ?? owed.first)?.id, isExpected: isInOrder && lost == nil && hasAnswered)
        var account = "the program \(exit)" + (isHalf ? " in the middle of a \(framing.unit)" : "")
        if lost != nil || !hasAnswered {
            if isInOrder { account += " and did not answer" }
            course.absence = course.failure(account)
        }
        for request in owed {
            fail(
                request.id,
                hasAnswered && isUntouched(request) ? Failure(.refused, "the program has ended") : course.absence)
        }
        if course.isClosed {
            course.life = .over
        } else {
            course.leave(
                isInOrder && lost == nil ? nil : account, isBroken: !hasAnswered && owed.allSatisfy(isUntouched),
                at: now)
        }
        if awaitsRoom { finish() }
    }
}
