import Basics
import Framing
import Liveness

// The causes of an end in the order of `EndCause`'s table, then what they have in common.
extension ServerConnection {
    /// The request of a SHORT connection has its ending.
    mutating func shortAnswered() {
        if EndCause.shortAnswered.step(in: phase) == .finish { finish(.shortAnswered, CloseCause(.normal)) }
    }

    /// The client's CLOSE came. Its last_id is 0 (4.11-4).
    mutating func clientClosed(_ close: Close, at now: Instant) {
        guard close.lastID == 0 else {
            let text = "a client's CLOSE has the last_id \(close.lastID)"
            return end(for: .clientClose, CloseCause(.protocolError, text), at: now)
        }
        end(for: .clientClose, CloseCause(.normal), at: now)
        ending = .closed(close.code, close.text, by: .client)
    }

    /// The client ended its sending. It still gets the answers to what it asked (section 7.2).
    mutating func endOfStream(at now: Instant) {
        let isWhole = decoder.isUntouched || decoder.isBetweenMessages
        if !isClosing {
            heartbeat.ended()
            if !isWhole { incoming.abandon() }
        }
        if isWhole {
            end(for: .streamEnd, CloseCause(.normal, "the client ended its stream"), at: now)
        } else {
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

    /// The connection is broken: nothing can be read or written any more.
    mutating func broke(_ text: String) {
        guard EndCause.broken.step(in: phase) == .over else { return }
        if !isClosing { ending = .lost(text) }
        cancelAll()
        phase = .over
    }

    /// The server will end: it sends the client away, and serves it until it has gone (7.4-1). A SHORT connection goes
    /// with its answer.
    mutating func sendAway(_ goAway: GoAway) {
        guard EndCause.sendAway.step(in: phase) == .goAway else { return }
        self.goAway = goAway
        if hasGreeted, !isShort { outbox.goAway(goAway) }
    }

    /// The server ends: it answers what has come, then closes the connection (section 7.4). A long client that has not
    /// been sent away gets `goAway`, one that gets no GOAWAY the same `retryAfter` in CLOSE.
    mutating func terminate(_ goAway: GoAway, retryAfter: UInt32, at now: Instant) {
        guard !isClosing else { return }
        if isShort || !hasGreeted { self.retryAfter = retryAfter }
        if isShort, !requests.isEmpty { return }
        if hasGreeted, !isShort, self.goAway == nil { outbox.goAway(goAway) }
        end(for: .terminate, CloseCause(goAway), at: now)
    }

    /// The server ends at once: it answers nothing any more. The client learns it as from `terminate`, as far as the
    /// kernel accepts that now.
    mutating func quit(_ goAway: GoAway, retryAfter: UInt32, at now: Instant) {
        guard !isClosing else { return }
        // What a drop cuts off is not said: a WELCOME that waits is not, and GOAWAY comes only behind it.
        let isWelcomed = hasGreeted && outbox.sent > Preface.bytes.count
        let getsGoAway = isWelcomed && !isShort && self.goAway == nil
        if isShort || !isWelcomed { self.retryAfter = retryAfter }
        end(for: .quit, CloseCause(goAway), behind: getsGoAway ? goAway : nil, at: now)
    }

    /// An operator ends this connection: at once, whatever is unanswered (section 8, KICKED).
    mutating func kick(at now: Instant) {
        end(for: .kick, CloseCause(.kicked, "an operator ended this connection"), at: now)
    }

    /// The handler has no more to give: what it has answered is sent, and the connection closed.
    mutating func stop(_ cause: CloseCause) {
        guard EndCause.handlerStop.step(in: phase) == .finish else { return }
        cancelAll(Failure(cause.code, cause.text))
        finish(.handlerStop, cause)
    }

    // MARK: Steps

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
            linger { $0.peerEnded() }
            ignoreInput()
        case .ignoreInput: ignoreInput()
        case .overIfUnread:
            // A drop has a time of its own.
            guard case .closing(let closing) = phase, closing.linger.isFlushing, closing.linger.deadline == nil else {
                break
            }
            ending = .closed(reason.code, reason.text, by: .server)
            phase = .over
        case .overIfUnsent:
            if case .closing(let closing) = phase, closing.linger.isFlushing { phase = .over }
        case .over: phase = .over
        }
    }

    /// Closes once each request has its ending. A first reason stays, unless this one stands `instead` of it.
    private mutating func finish(_ cause: EndCause, _ reason: CloseCause, instead: Bool = false) {
        var finishing = Finishing()
        if case .finishing(let begun) = phase, !instead {
            finishing = begun
        } else {
            ending = .closed(reason.code, reason.text, by: .server)
        }
        switch cause {
        case .clientGoAway: finishing.awaitsIncoming = true
        case .terminate: finishing.awaitsIncoming = false
        case .clientClose, .streamEnd, .streamCutOff: finishing.clientIsDone = true
        default: break
        }
        phase = .finishing(finishing)
        closeIfAnswered()
    }

    /// Queues CLOSE where the connection is finishing and nothing is unanswered.
    mutating func closeIfAnswered() {
        guard case .finishing(let finishing) = phase, requests.isEmpty else { return }
        guard !finishing.awaitsIncoming || incoming.request == nil else { return }
        guard case .closed(let code, let text, _) = ending else { return }
        // A sentence is owed to the client only where something is wrong.
        outbox.close(closeFrame(code, code == .normal ? "" : text))
        beginClosing(.orderly(peerIsDone: finishing.clientIsDone), ignoresInput: finishing.clientIsDone)
    }

    /// Ends the connection at once (section 7.5).
    private mutating func drop(_ reason: CloseCause, behind goAway: GoAway?, at now: Instant) {
        var clientIsDone = false
        if case .finishing(let finishing) = phase { clientIsDone = finishing.clientIsDone }
        ending = .closed(reason.code, reason.text, by: .server)
        outbox.cutOff(closeFrame(reason.code, reason.text), behind: goAway)
        beginClosing(.drop(at: now, peerIsDone: clientIsDone), ignoresInput: true)
    }

    private func closeFrame(_ code: Code, _ text: String) -> Close {
        Close(code, text, lastID: lastID, retryAfter: code == .shuttingDown ? retryAfter : 0)
    }

    private mutating func beginClosing(_ linger: LingeringClose, ignoresInput: Bool) {
        cancelAll()
        phase = .closing(Closing(linger: linger, ignoresInput: ignoresInput))
        heartbeat.ended()
    }

    // MARK: Phases

    /// Whether CLOSE is queued, or the connection over.
    @inline(__always) var isClosing: Bool {
        switch phase {
        case .greeting, .open, .finishing: false
        case .closing, .over: true
        }
    }

    /// Whether nothing that still comes is decoded.
    @inline(__always) var ignoresInput: Bool {
        switch phase {
        case .greeting, .open, .finishing: false
        case .closing(let closing): closing.ignoresInput
        case .over: true
        }
    }

    /// Whether CLOSE is with the kernel, so that the writing side is to be shut down, or nothing can be written.
    @inline(__always) var hasSaidAll: Bool {
        switch phase {
        case .greeting, .open, .finishing: false
        case .closing(let closing): !closing.linger.isFlushing
        case .over: true
        }
    }

    /// Whether the socket can be closed.
    @inline(__always) var isOver: Bool { if case .over = phase { true } else { false } }

    private mutating func ignoreInput() {
        guard case .closing(var closing) = phase else { return }
        closing.ignoresInput = true
        phase = .closing(closing)
    }

    /// Changes the lingering close, where there is one, after which the connection may be over.
    @inline(__always) mutating func linger(_ change: (inout LingeringClose) -> Void) {
        guard case .closing(var closing) = phase else { return }
        change(&closing.linger)
        phase = closing.linger.isOver ? .over : .closing(closing)
    }

    /// The highest request that the handler was given, or that ended a SHORT connection: those above it were not
    /// processed.
    var lastID: UInt32 { requests.lastID }

    /// Whether the client has failed the handshake, or has not even begun it in time. A client that connects and leaves
    /// has looked whether a server is there.
    var hasFailedHandshake: Bool {
        guard !hasGreeted else { return false }
        switch ending {
        case .closed(.shuttingDown, _, _): return false
        case .closed(.handshakeTimeout, _, _): return true
        case .closed, .lost: return bytesIn > 0
        }
    }
}
