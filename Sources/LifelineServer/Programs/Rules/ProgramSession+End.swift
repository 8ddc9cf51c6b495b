import Basics
import Framing

// How a program's end becomes the end of its request and of its connection.
extension ProgramSession {
    mutating func conclude(at now: Instant) {
        guard let exit = course.exit else { return }
        let isUntaken = handOver.isUntaken(unread: course.left)
        if exit == .status(0), !course.isClosed, let rest = output.takeUnfinishedLine() {
            if exchange.request == nil || isUntaken { course.steps.append(.message(rest)) } else { answer(rest) }
        }
        let hasAnswered = course.hasAnswered
        let id = exchange.unanswered
        let isHalf = !framing.isPerRequest && output.isInside
        let isInOrder = exit == .status(0) && !isHalf
        // It has answered others, and has nothing to do with a request that it has not touched.
        let isRefusal = id != nil && isUntaken && hasAnswered
        let owesNothing = id == nil ? hasAnswered : isRefusal || framing.isPerRequest
        course.logEnd(exit, request: id, isExpected: isInOrder && owesNothing)
        var account = "the program \(exit)" + (isHalf ? " in the middle of a \(framing.unit)" : "")
        if let id, isRefusal {
            course.steps.append(.fail(id, Failure(.refused, "the program has ended")))
        } else if let id, isInOrder, framing.isPerRequest {
            course.steps.append(.part(id, [], isLast: true))
        } else if id != nil || !hasAnswered {
            if isInOrder { account += " and did not answer" }
            course.absence = course.failure(account)
            failed(course.absence)
        }
        if !exchange.isNone { finish() }
        if course.isClosed {
            course.life = .over
        } else if framing.isPerRequest, exit != .hung {
            course.life = .none
        } else {
            let reason = isInOrder && (id == nil || isRefusal) ? nil : account
            course.leave(reason, isBroken: !hasAnswered && (id == nil || isUntaken), at: now)
        }
    }
}
