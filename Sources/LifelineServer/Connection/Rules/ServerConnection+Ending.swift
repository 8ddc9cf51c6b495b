import Basics
import Framing
import Liveness

// The causes of an end in the order of `EndCause`'s table, then what they have in common.
extension ServerConnection {
    /// The request of a SHORT connection has its ending.
    mutating func shortAnswered() {
        if takes(.finish, for: .shortAnswered) { finish(.shortAnswered, CloseCause(.normal)) }
    }

    /// The client's CLOSE came (4.11-4).
    mutating func clientClosed(_ close: Close, at now: Instant) {
        guard endAsks(.closed(close.code, close.text, by: .client), closeLastID: close.lastID) else {
            let text = "a client's CLOSE has the last_id \(close.lastID), which the server has not sent"
            return end(for: .clientClose, CloseCause(.protocolError, text), at: now)
        }
        end(for: .clientClose, CloseCause(.normal), at: now)
        closing.reason = .closed(close.code, close.text, by: .client)
    }

    /// The client ended its sending. It still gets the answers to what it asked (section 7.2).
    mutating func endOfStream(at now: Instant) {
        guard !isClosing else { return end(for: .streamEnd, CloseCause(.normal), at: now) }
        closing.clientLeft = true
        heartbeat.ended()
        endAsks(.lost("the client ended its stream"))
        if decoder.isUntouched || decoder.isBetweenMessages {
            end(for: .streamEnd, CloseCause(.normal, "the client ended its stream"), at: now)
        } else {
            incoming.abandon()
            let text = "the stream ended in the middle of a frame or a message"
            end(for: .streamCutOff, CloseCause(.protocolError, text), at: now)
        }
        // A client that is gone, and not just silent, answers this with a reset: then the handler need not go on.
        if !requests.isEmpty { outbox.ping(heartbeat.probe(at: now)) }
    }

    /// The client missed the deadline that `violation` names.
    mutating func missedDeadline(_ violation: Violation, at now: Instant) {
        if violation.code == .silent, !isClosing { lateness = heartbeat.lateness(at: now) }
        end(for: .deadline, CloseCause(violation), at: now)
    }

    /// The connection is broken: nothing can be read or written any more. `byClient` says that the client has reset it.
    mutating func broke(_ text: String, byClient: Bool = false) {
        guard takes(.over, for: .broken) else { return }
        if !isClosing {
            closing.reason = .lost(text)
            if byClient { closing.clientLeft = true }
        }
        endAsks(closing.reason)
        cancelAll()
        endNow()
    }

    /// The server will end: it sends the client away, and serves it until it has gone (7.4-1). A SHORT connection goes
    /// with its answer.
    mutating func sendAway(_ goAway: GoAway) {
        guard takes(.goAway, for: .sendAway) else { return }
        closing.goAway = goAway
        if hasGreeted, !isShort { outbox.goAway(goAway) }
    }

    /// The server ends: it answers what has come, then closes the connection (section 7.4). A long client that has not
    /// been sent away gets `goAway`, one that gets no GOAWAY the same `retryAfter` in CLOSE. What is not answered and
    /// handled within `time` is given up (7.4-7); without it that is the grace.
    mutating func terminate(_ goAway: GoAway, retryAfter: UInt32, within time: Duration? = nil, at now: Instant) {
        closing.handlingUntil = earlier(closing.handlingUntil, now + (time ?? grace))
        guard !isClosing else { return }
        if isShort || !hasGreeted { closing.retryAfter = retryAfter }
        if isShort, !requests.isEmpty { return }
        if hasGreeted, !isShort, closing.goAway == nil { outbox.goAway(goAway) }
        end(for: .terminate, CloseCause(goAway), at: now)
    }

    /// The server ends at once: it answers nothing any more. The client learns it as from `terminate`, as far as the
    /// kernel accepts that now.
    mutating func quit(_ goAway: GoAway, retryAfter: UInt32, at now: Instant) {
        guard !isClosing else { return }
        // What a drop cuts off is not said: a WELCOME that waits is not, and GOAWAY comes only behind it.
        let isWelcomed = hasGreeted && outbox.sent > Preface.bytes.count
        let getsGoAway = isWelcomed && !isShort && closing.goAway == nil
        if isShort || !isWelcomed { closing.retryAfter = retryAfter }
        end(for: .quit, CloseCause(goAway), behind: getsGoAway ? goAway : nil, at: now)
    }

    /// An operator ends this connection: at once, whatever is unanswered (section 8, KICKED).
    mutating func kick(_ text: String = CloseCause.kickText, at now: Instant) {
        end(for: .kick, CloseCause(.kicked, text), at: now)
    }

    /// The handler has no more to give: what it has answered is sent, and the connection closed.
    mutating func stop(_ cause: CloseCause) {
        guard takes(.finish, for: .handlerStop) else { return }
        cancelAll(Failure(cause.code, cause.text))
        finish(.handlerStop, cause)
    }

    // MARK: Steps

    /// Whether the table has `step` for a cause that knows no other; it has nothing where not.
    private func takes(_ step: EndCause.Step, for cause: EndCause) -> Bool {
        let planned = cause.step(in: phase)
        precondition(planned == step || planned == .nothing, "a cause of an end has a step that is not written")
        return planned == step
    }

    /// Carries out the table's step for `cause`. What a drop sends before its CLOSE is `goAway`.
    mutating func end(for cause: EndCause, _ reason: CloseCause, behind goAway: GoAway? = nil, at now: Instant) {
        switch cause.step(in: phase) {
        case .nothing: break
        case .goAway: preconditionFailure("GOAWAY alone ends no connection")
        case .finish: finish(cause, reason)
        case .finishInstead: finish(cause, reason, instead: true)
        case .close:
            cancelAll()
            incoming.abandon()
            finish(cause, reason, instead: true)
        case .drop: drop(reason, behind: goAway, at: now)
        case .clientIsDone:
            closing.ignoresInput = true
            outbox.stopWindow()  // No PONG will come.
            linger { $0.peerEnded() }
        case .ignoreInput: closing.ignoresInput = true
        case .overIfUnread:
            // A drop has a time of its own.
            guard let linger = closing.linger, linger.isFlushing, linger.deadline == nil else { break }
            closing.reason = .closed(reason.code, reason.text, by: .server)
            endNow()
        case .over: endNow()
        }
    }

    /// Closes once each request has its ending. A first reason stays, unless this one stands `instead` of it.
    private mutating func finish(_ cause: EndCause, _ reason: CloseCause, instead: Bool = false) {
        if phase != .finishing || instead {
            closing.awaitsIncoming = false
            closing.awaitsMessages = false
            closing.reason = .closed(reason.code, reason.text, by: .server)
        }
        switch cause {
        case .clientGoAway: (closing.awaitsIncoming, closing.awaitsMessages) = (true, received.hasCredit)
        case .terminate:
            (closing.awaitsIncoming, closing.awaitsMessages) = (false, received.hasCredit)
            asks?.letGo()
        case .clientClose, .streamEnd, .streamCutOff:
            closing.awaitsMessages = cause == .streamEnd && received.hasCredit
            closing.clientIsDone = true
            outbox.stopWindow()  // No PONG will come.
        case .handlerStop:
            closing.awaitsMessages = false
            asks?.letGo()
        default: break
        }
        phase = .finishing
        closeIfAnswered()
    }

    /// Whether each request has its ending. One that comes in chunks may have to be whole first.
    private var isAnswered: Bool { requests.isEmpty && !(closing.awaitsIncoming && incoming.request != nil) }
    /// Whether the handler has to be done with messages before CLOSE.
    private var mustHandle: Bool {
        closing.awaitsMessages && (received.pending > 0 || closing.awaitsIncoming && received.isComing)
    }

    /// Queues CLOSE where the connection is finishing, nothing is unanswered, and the messages need not be waited for.
    mutating func closeIfAnswered() {
        guard phase == .finishing, isAnswered, !mustHandle, !(asks?.delaysClose ?? false) else { return }
        guard case .closed(let code, let text, _) = closing.reason else { return }
        flushHeldMessages()
        tellHandled()
        endAsks(closing.reason)
        // A sentence is owed to the client only where something is wrong.
        outbox.close(closeFrame(code, code == .normal ? "" : text))
        closing.ignoresInput = closing.clientIsDone
        beginClosing(.orderly(peerIsDone: closing.clientIsDone, deadAfter: heartbeat.deadAfter))
    }

    /// Gives the handler its grace for messages, and the client its own for what it is asked, from the moment on at which
    /// nothing else is waited for.
    mutating func beginGrace(at now: Instant) {
        if closing.handlingUntil == nil, isAnswered, mustHandle || asks?.delaysClose ?? false {
            closing.handlingUntil = now + grace
        }
    }

    /// Gives up what waits where the grace is over.
    mutating func enforceGrace(at now: Instant) {
        guard let until = closing.handlingUntil, until <= now else { return }
        dropMessages()
        cancelAll()
        incoming.abandon()
        (closing.awaitsIncoming, closing.awaitsMessages) = (false, false)
        asks?.letGo()
        closeIfAnswered()
    }

    /// The program reads no more: the messages that wait for it are given up before the grace is over.
    mutating func giveUpMessages(at now: Instant) {
        if isClosing { return dropMessages() }
        guard closing.handlingUntil != nil else { return }
        closing.handlingUntil = now
        enforceGrace(at: now)
    }

    /// Ends the connection at once (section 7.5).
    private mutating func drop(_ reason: CloseCause, behind goAway: GoAway?, at now: Instant) {
        closing.reason = .closed(reason.code, reason.text, by: .server)
        endAsks(closing.reason)
        outbox.cutOff(closeFrame(reason.code, reason.text), behind: goAway)
        closing.ignoresInput = true
        beginClosing(.drop(at: now, peerIsDone: closing.clientIsDone))
    }

    private func closeFrame(_ code: Code, _ text: String) -> Close {
        Close(code, text, lastID: lastID, retryAfter: code == .shuttingDown ? closing.retryAfter : 0)
    }

    private mutating func beginClosing(_ linger: LingeringClose) {
        cancelAll()
        phase = .closing
        closing.linger = linger
        heartbeat.ended()
    }

    /// Nothing more is read or written.
    private mutating func endNow() {
        phase = .over
        closing.ignoresInput = true
    }

    /// Changes the lingering close, where there is one, after which the connection may be over.
    @inline(__always) mutating func linger(_ change: (inout LingeringClose) -> Void) {
        guard phase == .closing, var linger = closing.linger else { return }
        change(&linger)
        closing.linger = linger
        if linger.isOver { endNow() }
    }

    // MARK: What the loop reads

    /// Why the connection ends: for the log and the handler.
    @inline(__always) var closeReason: CloseReason { closing.reason }
    /// When the handler gets no more of what came before the end; nil where nothing bounds it yet.
    @inline(__always) var handlingUntil: Instant? { closing.handlingUntil }
    /// Whether CLOSE is queued, or the connection over.
    @inline(__always) var isClosing: Bool { phase >= .closing }
    /// Whether the socket can be closed.
    @inline(__always) var isOver: Bool { phase == .over }
    /// Whether CLOSE is with the kernel, so that the writing side is to be shut down, or nothing can be written.
    @inline(__always) var hasSaidAll: Bool {
        isClosing && (phase == .over || closing.linger.map { !$0.isFlushing } ?? true)
    }

    /// The highest request that the handler was given, or that ended a SHORT connection: those above it were not
    /// processed.
    @inline(__always) var lastID: UInt32 { requests.lastID }

    /// Whether the client has looked whether a server is there, as health checks do: it has connected and left without
    /// a byte.
    var isProbe: Bool {
        guard closing.clientLeft, bytesIn == 0 else { return false }
        return switch closing.reason {
        case .closed(.normal, _, _), .lost: true
        case .closed: false
        }
    }

    /// Whether the client has failed the handshake, or has not even begun it in time. A client that connects and leaves
    /// has looked whether a server is there.
    var hasFailedHandshake: Bool {
        guard !hasGreeted else { return false }
        switch closing.reason {
        case .closed(.shuttingDown, _, _): return false
        case .closed(.handshakeTimeout, _, _): return true
        case .closed, .lost: return bytesIn > 0
        }
    }
}
