import Basics
import Framing
import Liveness

// What arrives from the server.
extension ClientConnection {
    /// Notes that bytes arrived.
    mutating func heard(at now: Instant) { heartbeat.heard(at: now) }

    /// The next event in the first `count` of `bytes`, read from `offset` on. It advances `offset`, and returns nil when all
    /// bytes are read.
    mutating func next(in bytes: [UInt8], upTo count: Int, at offset: inout Int, now: Instant) -> Event? {
        do {
            while takesInput {
                guard let frame = try decoder.next(in: bytes.span.extracting(0..<count), at: &offset) else {
                    heartbeat.frame(decoder.framesBegun, unfinishedLength: decoder.unfinishedLength, at: now)
                    return nil
                }
                if lingeringClose != nil {
                    handleWhileClosing(frame, at: now)
                } else if let event = try handle(frame, of: bytes, at: now) {
                    return event
                }
            }
        } catch {
            guard lingeringClose != nil else { return drop(error, at: now) }
            becomeDeaf()
        }
        // After its own CLOSE this side reads on only because a reset would destroy the reason (section 7.5).
        offset = count
        return nil
    }

    /// Whether frames that come mean something: until CLOSE is written, if it is an orderly one.
    private var takesInput: Bool {
        guard let lingeringClose else { return true }
        return lingeringClose.isFlushing && lingeringClose.deadline == nil && !isDeaf
    }

    /// Handles what comes while CLOSE waits behind messages: PINGs are answered, and PONGs let more of the messages go. The
    /// rest is discarded (section 9, E9). A server that got no PONG would take this side for a slow reader.
    private mutating func handleWhileClosing(_ frame: Frame, at now: Instant) {
        switch frame {
        case .ping(let nonce): outbox.answer(with: Pong(nonce: nonce))
        case .pong(let pong):
            do throws(Violation) {
                proved(pong, try heartbeat.ponged(pong.nonce, at: now), at: now)
            } catch {}  // Nothing is judged any more.
        case .close:
            becomeDeaf()
            lingeringClose?.peerEnded()
        default: break
        }
    }

    /// Sends the rest without waiting: no PONG will come.
    mutating func becomeDeaf() {
        isDeaf = true
        outbox.stopWindow()
    }

    private mutating func proved(_ pong: Pong, _ roundTrip: Duration?, at now: Instant) {
        let isNews = outbox.proved(pong.nonce, roundTrip: roundTrip, at: now)
        heartbeat.heldBack(outbox.isHeldBack, proved: isNews, at: now)
    }

    private mutating func handle(_ frame: Frame, of bytes: [UInt8], at now: Instant) throws(Violation) -> Event? {
        switch frame {
        case .welcome(let welcome):
            try welcome.check(against: hello)
            let terms = Heartbeat(welcome)
            self.welcome = welcome
            decoder.agreement = welcome.agreement(with: hello)
            beginCredit(welcome)
            outbox.setMaxFrame(welcome.maxFrame)
            heartbeat.welcomed(terms, at: now)
            let roundTrip = path.welcomed(deadAfter: terms.deadAfter, at: now)
            if terms.isBounded { outbox.startWindow(deadAfter: welcome.deadAfter, roundTrip: roundTrip) }
            cancels = TokenBucket(terms, capacity: ClientConnection.cancelsAtOnce)
            return .welcomed(welcome)
        case .ping(let nonce):
            try heartbeat.spendToken(for: .ping(behind: messageBytesIn), at: now)
            grantNews()
            outbox.answer(with: Pong(nonce: nonce))
            return nil
        case .pong(let pong):
            let time = try heartbeat.ponged(pong.nonce, at: now)
            proved(pong, time, at: now)
            if let time { path.measured(time, at: now) }
            return time.map { .roundTrip($0) }
        case .part(let part):
            messageBytesIn += part.frameLength
            if part.type == .request { return try handleRequest(part, of: bytes, at: now) }
            transfers.received(part, at: now)
            return try handle(part, of: bytes, at: now)
        case .failure(let id, let failure):
            try requireUnanswered(id)
            if openResponse == id {
                openResponse = nil
                assembler.abandon()
                transfers.abandoned(at: now)
            }
            // The rest of the request would be useless; CANCEL ends it (section 4.8).
            if outbox.isUnfinished(id), cancels?.spend(at: now) == true {
                outbox.cancel(id)
            }
            transfers.answered(id, at: now)
            forget(id)
            return .failure(id: id, failure)
        case .goAway(let goAway):
            self.goAway = goAway
            return .goingAway(goAway)
        case .close(let close):
            return try closed(close, at: now)
        case .cancel(let id): return try handleCancel(id, at: now)
        case .credit(let credit):
            toServer.take(credit)
            return .credited
        case .hello:
            preconditionFailure("the decoder refuses what only a client sends")
        }
    }

    private mutating func handle(_ part: MessagePart, of bytes: [UInt8], at now: Instant) throws(Violation) -> Event? {
        if part.type == .message {
            if fromServer != nil { try fromServer?.add(part) }
            if part.isFirst, part.isLast, part.range.isEmpty { try heartbeat.spendToken(for: .emptyMessage, at: now) }
            return assembler.add(part, of: bytes).map { .message(Array($0)) }
        }
        if part.isFirst {
            try requireUnanswered(part.id)
            guard !outbox.isComing(part.id) else {
                throw Violation(.protocolError, "a response to request \(part.id), of which the last chunk is not sent")
            }
            heartbeat.responded(at: now)
            transfers.answered(part.id, at: now)
        }
        openResponse = part.isLast ? nil : part.id
        guard let answer = assembler.add(part, of: bytes) else { return nil }
        forget(part.id)
        return .response(id: part.id, Array(answer))
    }

    private func requireUnanswered(_ id: UInt32) throws(Violation) {
        guard requests.contains(id) else {
            throw Violation(.protocolError, "an answer to request \(id), which waits for none")
        }
    }
}
