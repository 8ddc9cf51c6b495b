import Framing

extension CloseReason {
    /// The name of the code, or LOST.
    var name: String {
        switch self {
        case .closed(let code, _, _): code.description
        case .lost: "LOST"
        }
    }

    /// The name that the log limits floods by. A client cannot make new ones.
    var kind: String {
        if case .closed(let code, _, _) = self, Code.internal.rawValue < code.rawValue { "unknown code" } else { name }
    }

    var text: String {
        switch self {
        case .closed(_, let text, _), .lost(let text): text
        }
    }

    /// Information where the connection ended as it should; a warning for a drop, a break or a violation.
    var level: LogLevel {
        switch self {
        case .closed(.normal, _, _), .closed(.shuttingDown, _, _): .info
        case .closed, .lost: .warning
        }
    }
}

extension ConnectionCounts {
    /// Those that the line of the end has where they are not 0.
    var shown: [(LogField, UInt64)] {
        [
            (.failed, failed), (.cancelled, cancelled), (.refused, refused), (.unanswered, unanswered),
            (.messagesIn, messagesIn), (.messagesOut, messagesOut), (.unhandled, unhandled),
        ]
    }
}

extension LogLine {
    /// Puts why a connection is over; the client of a probe has left without a byte.
    mutating func put(_ reason: CloseReason, isProbe: Bool) {
        if isProbe {
            text(.reason, CloseReasonLabel.probe.reason)
            text(.by, CloseReasonLabel.probe.by)
        } else {
            text(.reason, reason.name)
            if case .closed(_, _, let side) = reason { text(.by, side.rawValue) }
        }
    }
}
