import Basics
import Framing

// How a program's end becomes the end of its request and of its connection.
extension ProgramSession {
    /// Gives the program's request its ending, once all that the program left has been read.
    mutating func conclude(at now: Instant) {
        guard case .exited(let exit) = life, outputHasEnded, stderrHasEnded, isCollected else { return }
        let isUntaken = handOver.isUntaken(unread: left)
        if exit == .status(0), !isClosed, let rest = output.takeUnfinishedLine() {
            if exchange.request == nil || isUntaken { steps.append(.message(rest)) } else { answer(rest) }
        }
        let id = exchange.unanswered
        let wasAsked = isClosed || termination.wasTerminated
        let isHalf = !framing.isPerRequest && output.isInside
        let isInOrder = exit == .status(0) && !isHalf
        // It has answered others, and has nothing to do with a request that it has not touched.
        let isRefusal = id != nil && isUntaken && hasAnswered
        let owesNothing = id == nil ? hasAnswered : isRefusal || framing.isPerRequest
        steps.append(
            .log(
                .ended(exit, request: id, isExpected: wasAsked || isInOrder && owesNothing, skipped: stderr.skipped)))
        termination = ProgramTermination(grace: grace)
        var account = "the program \(exit)" + (isHalf ? " in the middle of a \(framing.unit)" : "")
        if let id, isRefusal {
            steps.append(.fail(id, Failure(.refused, "the program has ended")))
        } else if let id, isInOrder, framing.isPerRequest {
            steps.append(.part(id, [], isLast: true))
        } else if id != nil || !hasAnswered {
            if isInOrder { account += " and did not answer" }
            absence = Failure(.handlerFailed, account + (stderr.tail.isEmpty ? "" : ": \(stderr.tail)"))
            failed(absence)
        }
        if !exchange.isNone { finish() }
        if isClosed {
            life = .over
        } else if framing.isPerRequest, exit != .hung {
            life = .none
        } else {
            let reason = isInOrder && (id == nil || isRefusal) ? nil : account
            leave(reason, isBroken: !hasAnswered && (id == nil || isUntaken), at: now)
        }
    }

    /// There is no program any more, and the connection ends: at once, so that the client comes back to another, unless
    /// the next would be as broken.
    mutating func leave(_ reason: String?, isBroken: Bool, at now: Instant) {
        life = .over
        if isBroken { departure = (now + ProgramSession.departureTime, reason) } else { close(reason) }
    }

    /// With a reason where something is wrong.
    mutating func close(_ reason: String?) {
        steps.append(
            .close(reason.map { CloseCause(.handlerFailed, $0) } ?? CloseCause(.normal, "the program has ended")))
    }
}
