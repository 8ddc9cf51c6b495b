import Basics
import Framing
import Liveness

/// The server's side of one connection, from accept to its last byte: bytes and instants in, events and bytes out.
///
/// The loop that carries it out tells it what the clock and the socket say (`woke`, `received`, `endOfStream`,
/// `wrote`), takes its events one by one (`next`), tells it what the handler answers (`answer`, `fail`, `finished`),
/// sends `outbox`, and sleeps until `deadline`. It ends when `departure` is over.
struct ServerConnection {
    /// What the loop has to bring to the handler.
    enum Event: Sendable {
        indirect case opened(Hello)
        case request(UInt32, ArraySlice<UInt8>)
        case message(ArraySlice<UInt8>)
        /// Nobody waits for the answer to this request any more: it has its ending, or the connection has.
        case cancelled(UInt32)
    }

    /// More refusals than this may wait unsent only for a client that sends without reading (section 10).
    private static let mostRefusals = 4096

    /// So much of a response that is sent in parts may wait for the client; then the handler waits too.
    private static let mostStreamed = 65536

    private let id: UInt64
    private let terms: Terms
    /// Who may connect; nil where everybody may.
    private let tokens: Tokens?
    private var liveness: ServerHeartbeat
    private var decoder: FrameDecoder
    private var assembler = MessageAssembler()
    private(set) var outbox = Outbox()
    private(set) var hello: Hello?
    /// What of it is asked for with each request: the whole owns memory, which every look at it would count.
    private(set) var hasGreeted = false
    private var isShort = false
    private var longestAnswer = 0
    /// Whom the client's TOKEN stands for, where that has a name.
    private(set) var tokenName: String?

    /// What of the bytes received last is not decoded yet.
    private var undecoded = 0..<0
    private var requests: RequestQueue
    /// What the handler is told as soon as it can be, whatever it works on.
    private var told: [Event] = []
    /// The request of which chunks are coming, how many bytes have, and since when.
    private var incoming: (id: UInt32, bytes: Int, since: Instant)?
    /// The request of which the chunks still coming are thrown away, because it was refused.
    private var discarding: UInt32?
    /// The request of a short connection, once it has its ending.
    private var shortID: UInt32 = 0
    private var hasEnded = false
    /// Whether nothing that still comes is taken for a frame: behind the client's CLOSE, and after a drop.
    private var isDeaf = false
    /// Whether the request of which chunks are coming is finished before the connection is closed (7.4-4).
    private var waitsForIncoming = false
    /// How this connection will be closed once nothing is unanswered.
    private var closing: Violation?
    /// What the client was told, or will be behind WELCOME, when it was sent away.
    private var goAway: GoAway?
    /// The retry_after of a CLOSE that no GOAWAY precedes (section 7.7).
    private var retryAfter: UInt32 = 0

    /// Set once CLOSE is queued.
    private(set) var departure: LingeringClose?
    /// Why the connection ends: for the log and the handler.
    private(set) var ending = CloseReason.closed(.normal, "", by: .server)
    private(set) var requestsServed: UInt64 = 0
    private(set) var bytesIn: UInt64 = 0
    /// The round trips that were proved and not taken yet.
    private var roundTrips: [Duration] = []
    /// How long after dead_after a client was dropped for its silence.
    private(set) var lateness: Duration?

    /// A connection that was accepted at an instant; `handlerTimeout` is how long the handler may take for one request.
    init(
        id: UInt64, terms: Terms, handshakeTimeout: Duration, acceptedAt: Instant, tokens: Tokens? = nil,
        handlerTimeout: Duration? = nil
    ) {
        self.id = id
        requests = RequestQueue(timeout: handlerTimeout)
        self.terms = terms
        self.tokens = tokens
        liveness = ServerHeartbeat(acceptedAt: acceptedAt, handshakeTimeout: handshakeTimeout)
        decoder = FrameDecoder(from: .client, maxFrame: terms.maxFrame, maxMessage: terms.maxMessage)
    }

    // MARK: Time

    /// The loop runs again: called first, before anything that it read is told.
    mutating func woke(at now: Instant) {
        departure?.woke(at: now)
        liveness.woke(at: now)
    }

    /// Judges the client at `now`, after all that was there has been read.
    mutating func judge(at now: Instant) {
        judgeHandler(at: now)
        switch (liveness.verdict(at: now), departure) {
        case (.fine, _): break
        case (.ping(let nonce), nil): outbox.ping(nonce)
        case (.ping, .some): break
        case (.drop(let violation), nil):
            if violation.code == .silent { lateness = liveness.lateness(at: now) }
            drop(violation, at: now)
        case (.drop(let violation), .some(let leaving)):
            // Only a client that does not read the last words can still be dropped: a slow reader, or one that has not
            // even said HELLO in time. A drop has a time of its own.
            guard leaving.isFlushing, leaving.deadline == nil else { break }
            ending = .closed(violation.code, violation.text, by: .server)
            departure?.giveUp()
        }
    }

    private mutating func judgeHandler(at now: Instant) {
        switch requests.verdict(at: now) {
        case .fine: break
        case .late(let id): end(id, Failure(.handlerFailed, "the handler has not answered in its time"))
        case .stuck: stop(Violation(.handlerFailed, "the handler does not come back"))
        }
    }

    // What is asked at each turn is inlined: for a call the whole connection would be copied.
    @inline(__always) var deadline: Instant? {
        guard let departure else { return earlier(liveness.deadline, requests.deadline) }
        // While the last words of an orderly end are written, slow reading is judged; a drop has its own deadline alone.
        return departure.isFlushing ? departure.deadline ?? liveness.deadline : departure.deadline
    }

    // MARK: What came

    /// `count` bytes were read into the buffer that `next` is given.
    mutating func received(_ count: Int, at now: Instant) {
        bytesIn += UInt64(count)
        undecoded = 0..<count
        if departure == nil { liveness.heard(at: now) }
    }

    /// The next event in the bytes received; nil when they are used up.
    mutating func next(in buffer: [UInt8], at now: Instant) -> Event? {
        while !isDeaf {
            var offset = undecoded.lowerBound
            do throws(Violation) {
                let frame = try decoder.next(in: buffer.span.extracting(0..<undecoded.upperBound), at: &offset)
                undecoded = offset..<undecoded.upperBound
                guard let frame else {
                    liveness.frame(decoder.framesBegun, unfinishedLength: decoder.unfinishedLength, at: now)
                    return nil
                }
                if departure != nil {
                    seeOff(frame, at: now)
                } else if let event = try take(frame, of: buffer, at: now),
                    let given = requests.dispatch(event, at: now)
                {
                    return given
                }
            } catch {
                isDeaf = true
                if departure == nil { drop(error, at: now) }
            }
        }
        return nil
    }

    /// The next thing for the handler that did not come with the bytes just received: something was cancelled, or the
    /// handler has finished what it was given last.
    mutating func next(at now: Instant) -> Event? {
        guard told.isEmpty else { return told.removeFirst() }
        return requests.next(at: now)
    }

    /// Whether the handler has been given all that came for it: only then can it be told of the end.
    @inline(__always) var hasGivenAll: Bool { told.isEmpty && requests.hasDispatchedAll }

    /// Whether the handler has not come back from what it was given last.
    @inline(__always) var isWorking: Bool { requests.isHandlerBusy }

    /// Whether the handler is given up: nothing of it is waited for.
    var isStuck: Bool { requests.isStuck }

    /// The handler has come back from the last thing that it was given; it is given the next.
    mutating func finished() { requests.handlerReturned() }

    /// What comes while the last answers and CLOSE are on their way: PINGs are answered as long as it takes, and the
    /// client's CLOSE ends the wait for it. The rest is discarded (section 9, E9).
    private mutating func seeOff(_ frame: Frame, at now: Instant) {
        switch frame {
        case .ping(let nonce): outbox.answer(with: pong(nonce, at: now))
        case .close:
            isDeaf = true
            departure?.peerEnded()
        default: break
        }
    }

    private mutating func take(_ frame: Frame, of buffer: [UInt8], at now: Instant) throws(Violation) -> Event? {
        switch frame {
        case .hello(let hello):
            tokenName = try tokens?.name(of: hello.options.token)
            let welcome = negotiate(hello, with: terms, connection: id)
            self.hello = hello
            hasGreeted = true
            isShort = hello.short
            longestAnswer = Int(hello.maxMessage)
            outbox.greet(welcome, maxFrame: hello.maxFrame)
            if let goAway, !hello.short { outbox.goAway(goAway) }
            liveness.welcomed(Heartbeat(welcome), at: now)
            return .opened(hello)
        case .ping(let nonce):
            try liveness.pay(at: now)
            outbox.answer(with: pong(nonce, at: now))
        case .pong(let pong):
            if let time = try liveness.ponged(pong.nonce, at: now) { roundTrips.append(time) }
        case .part(let part):
            return part.type == .request
                ? try takeRequest(part, of: buffer, at: now) : try takeMessage(part, of: buffer, at: now)
        case .cancel(let id):
            try liveness.pay(at: now)
            takeCancel(id)
        case .goAway:
            waitsForIncoming = true
            close(Violation(.normal, "the client went away"))
        case .close(let close):
            takeClose(close)
        case .welcome, .failure:
            preconditionFailure("the decoder refuses what a client may not send")
        }
        return nil
    }

    @inline(__always) var inFlight: Int { requests.count + (incoming == nil ? 0 : 1) + outbox.count }
    @inline(__always) private var queued: Int { requests.bytes + (incoming?.bytes ?? 0) + outbox.cost }

    private func pong(_ nonce: UInt64, at now: Instant) -> Pong {
        let longest = (requests.oldest ?? incoming?.since).map { (now - $0) / .milliseconds(1) } ?? 0
        return Pong(
            nonce: nonce, queued: UInt32(clamping: queued), inFlight: UInt32(clamping: inFlight),
            longest: UInt32(clamping: Int(longest)))
    }

    private mutating func takeRequest(
        _ part: MessagePart, of buffer: [UInt8], at now: Instant
    ) throws(Violation) -> Event? {
        if part.isFirst {
            if inFlight >= Int(terms.maxInFlight) {
                try refuse(part.id, "\(terms.maxInFlight) requests are unanswered")
            } else {
                incoming = (part.id, 0, now)
            }
        }
        if incoming?.id == part.id, queued + part.range.count > Int(terms.maxQueued) {
            incoming = nil
            assembler.abandon()
            try refuse(part.id, "\(terms.maxQueued) bytes of requests are unanswered")
        }
        guard discarding != part.id else {
            if part.isLast { discarding = nil }
            return nil
        }
        incoming?.bytes += part.range.count
        guard let bytes = assembler.add(part, of: buffer) else { return nil }
        let since = incoming?.since ?? now
        incoming = nil
        requests.add(part.id, bytes: bytes.count, since: since)
        return .request(part.id, bytes)
    }

    private mutating func refuse(_ id: UInt32, _ text: String) throws(Violation) {
        guard outbox.refusals < ServerConnection.mostRefusals else {
            throw Violation(.busy, "\(ServerConnection.mostRefusals) refusals wait unread")
        }
        discarding = id
        outbox.refuse(id, Failure(.refused, text))
        ended(id)
    }

    private mutating func takeMessage(
        _ part: MessagePart, of buffer: [UInt8], at now: Instant
    ) throws(Violation) -> Event? {
        if part.isFirst, part.isLast, part.range.isEmpty { try liveness.pay(at: now) }
        guard queued + part.range.count <= Int(terms.maxQueued) || requests.waitingMessages == 0 else {
            throw Violation(.busy, "messages of \(requests.waitingMessages) bytes wait for the handler")
        }
        return assembler.add(part, of: buffer).map { .message($0) }
    }

    private mutating func takeCancel(_ id: UInt32) {
        if incoming?.id == id {
            incoming = nil
            assembler.abandon()
            outbox.fail(id, Failure(.cancelled))
            ended(id)
        } else if discarding == id {
            discarding = nil
        } else {
            end(id, Failure(.cancelled))
        }
    }

    private mutating func takeClose(_ close: Close) {
        isDeaf = true
        if close.lastID == 0 {
            ending = .closed(close.code, close.text, by: .client)
            closing = Violation(.normal, "")
        } else {
            let violation = Violation(.protocolError, "a client's CLOSE has the last_id \(close.lastID)")
            ending = .closed(violation.code, violation.text, by: .server)
            closing = violation
        }
        giveUp()
        incoming = nil
        hasEnded = true
        closeIfIdle()
    }

    /// The client ended its sending. It still gets the answers to what it asked (section 7.2).
    mutating func endOfStream(at now: Instant) {
        hasEnded = true
        guard departure == nil else {
            departure?.peerEnded()
            return
        }
        liveness.ended()
        if decoder.isUntouched || decoder.isBetweenMessages {
            close(Violation(.normal, "the client ended its stream"))
        } else {
            incoming = nil
            closing = nil  // Whatever was the reason until now, this one is graver.
            close(Violation(.protocolError, "the stream ended in the middle of a frame or a message"))
        }
        // A client that is gone, and not just silent, answers this with a reset: the handler need not work for nobody.
        if !requests.isEmpty { outbox.ping(liveness.probe(at: now)) }
    }

    /// The connection is broken: nothing can be read or written any more.
    mutating func broke(_ text: String) {
        if departure == nil { ending = .lost(text) }
        giveUp()
        departure = departure ?? .orderly(peerIsDone: true)
        departure?.giveUp()
    }

    // MARK: What goes

    /// The handler's response to the request `id`.
    mutating func answer(_ id: UInt32, _ bytes: ArraySlice<UInt8>) {
        guard let asked = requests[id] else { return }
        guard bytes.count <= longestAnswer else { return fail(id, tooLarge(bytes.count)) }
        requests.end(id)
        outbox.send(.response, id: id, bytes, cost: max(asked.bytes, bytes.count))
        answered(id)
    }

    /// A part of the response to the request `id`; the one that `isLast` ends it, and may be empty.
    mutating func answer(_ id: UInt32, part: ArraySlice<UInt8>, isLast: Bool, at now: Instant) {
        guard let asked = requests[id] else { return }
        let length = asked.sent + part.count
        guard length <= longestAnswer else { return end(id, tooLarge(length)) }
        requests.sent(part.count, of: id, at: now)
        if isLast { requests.end(id) }
        guard isLast || !part.isEmpty else { return }
        outbox.send(part: part, of: id, isLast: isLast, cost: asked.bytes)
        if isLast { answered(id) }
    }

    /// How many bytes of parts of the response `id` are taken now: a slow client makes the handler wait.
    @inline(__always) func room(for id: UInt32) -> Int {
        max(0, ServerConnection.mostStreamed - outbox.streamed(of: id))
    }

    /// How many bytes a message may have now; nil where none can be sent at all, now or later.
    @inline(__always) var messageRoom: Int? {
        guard hasGreeted, !isShort, departure == nil else { return nil }
        return min(longestAnswer, max(0, Int(terms.maxQueued) - queued))
    }

    private func tooLarge(_ count: Int) -> Failure {
        Failure(.messageTooLarge, "the response has \(count) bytes; \(longestAnswer) are accepted")
    }

    /// The handler's word that the request `id` has no response, or no more of one that it sends in parts.
    mutating func fail(_ id: UInt32, _ failure: Failure) {
        guard requests.end(id) != nil else { return }
        outbox.fail(id, failure)
        answered(id)
    }

    /// The request `id` ends for a reason that the handler does not know yet.
    private mutating func end(_ id: UInt32, _ failure: Failure) {
        if requests.wasDispatched(id) { told.append(.cancelled(id)) }
        fail(id, failure)
    }

    /// No request is answered any more; whoever works on one is told. A response of which the client has parts ends with
    /// `failure`, so that what waits behind it may follow.
    private mutating func giveUp(_ failure: Failure = Failure(.cancelled)) {
        for request in requests.unanswered where request.sent > 0 { outbox.fail(request.id, failure) }
        told += requests.cancelAll().map { .cancelled($0) }
    }

    private mutating func answered(_ id: UInt32) {
        requestsServed += 1
        ended(id)
    }

    /// A request has its ending; in SHORT that is the end of the connection too (section 7.3).
    private mutating func ended(_ id: UInt32) {
        guard isShort else { return closeIfIdle() }
        shortID = id
        close(Violation(.normal, ""))
    }

    /// A one-way message of the handler; false where it cannot be sent. One that was promised when there was room for
    /// it is sent whatever has come since.
    @discardableResult
    mutating func send(_ message: ArraySlice<UInt8>, wasPromised: Bool = false) -> Bool {
        guard let messageRoom, wasPromised || message.count <= messageRoom else { return false }
        outbox.send(.message, message, cost: message.count)
        return true
    }

    /// The kernel took `count` bytes of the outbox, or none because it is full.
    mutating func wrote(_ count: Int, at now: Instant) {
        if count > 0 { outbox.wrote(count) }
        if count > 0 { requests.clientRead(at: now) }
        liveness.wrote(any: count > 0, waiting: !outbox.isEmpty, at: now)
        if outbox.isEmpty, departure != nil { departure?.flushed(at: now) }
    }

    // MARK: The end

    /// The server will end: the client is sent away, and is served until it has gone (7.4-1). A short one goes with its
    /// answer, and one that waits for WELCOME is told behind it.
    mutating func sendAway(_ goAway: GoAway) {
        guard departure == nil else { return }
        self.goAway = goAway
        if hasGreeted, !isShort { outbox.goAway(goAway) }
    }

    /// The server ends: what has come is answered, then the connection is closed (section 7.4). A long client that has
    /// not been sent away is told `goAway`, one that gets no GOAWAY the same `retryAfter` in CLOSE.
    mutating func terminate(_ goAway: GoAway, retryAfter: UInt32, at now: Instant) {
        guard departure == nil else { return }
        let violation = Violation(goAway.code, goAway.text)
        if isShort || !hasGreeted { self.retryAfter = retryAfter }
        guard hasGreeted else { return drop(violation, at: now) }
        // Its answer ends a short connection by itself.
        if isShort, !requests.isEmpty { return }
        if !isShort, self.goAway == nil { outbox.goAway(goAway) }
        waitsForIncoming = false
        close(violation)
    }

    /// An operator ends this connection: at once, whatever is unanswered (section 8, KICKED).
    mutating func kick(at now: Instant) {
        guard departure == nil else {
            // Last words that are not taken are not waited for.
            if departure?.isFlushing ?? false { departure?.giveUp() }
            return
        }
        drop(Violation(.kicked, "an operator ended this connection"), at: now)
    }

    /// The server ends at once: nothing is answered any more. The client is told as `terminate` tells it, as far as the
    /// kernel takes that now.
    mutating func quit(_ goAway: GoAway, retryAfter: UInt32, at now: Instant) {
        guard departure == nil else { return }
        // What a drop cuts off is not said: a WELCOME that waits is not, and GOAWAY comes only behind it.
        let isWelcomed = hasGreeted && outbox.sent > Preface.bytes.count
        let getsGoAway = isWelcomed && !isShort && self.goAway == nil
        if isShort || !isWelcomed { self.retryAfter = retryAfter }
        drop(Violation(goAway.code, goAway.text), behind: getsGoAway ? goAway : nil, at: now)
    }

    /// The handler has no more to give: what it has answered is sent, and the connection closed.
    mutating func stop(_ violation: Violation) {
        guard departure == nil else { return }
        giveUp(Failure(violation.code, violation.text))
        close(violation)
    }

    /// Closes once nothing is unanswered; a first reason stays.
    private mutating func close(_ violation: Violation) {
        if closing == nil {
            closing = violation
            ending = .closed(violation.code, violation.text, by: .server)
        }
        closeIfIdle()
    }

    private mutating func closeIfIdle() {
        guard let closing, requests.isEmpty, departure == nil else { return }
        guard !waitsForIncoming || incoming == nil else { return }
        // A sentence is owed to the client only where something is wrong.
        let text = closing.code == .normal ? "" : closing.text
        outbox.close(Close(closing.code, text, lastID: lastID, retryAfter: retryAfter(for: closing.code)))
        leave(.orderly(peerIsDone: hasEnded))
    }

    /// Ends the connection at once for a reason that is the client's (section 7.5).
    private mutating func drop(_ violation: Violation, behind goAway: GoAway? = nil, at now: Instant) {
        isDeaf = true
        ending = .closed(violation.code, violation.text, by: .server)
        let close = Close(
            violation.code, violation.text, lastID: lastID, retryAfter: retryAfter(for: violation.code))
        outbox.cutOff(close, behind: goAway)
        leave(.drop(at: now, peerIsDone: hasEnded))
    }

    /// What it does, to be shown.
    @inline(__always) var state: ConnectionActivity {
        if departure != nil { return .closing }
        guard hasGreeted else { return .greeting }
        return inFlight > 0 ? .working : .idle
    }

    /// The round trips that were proved since this was asked last.
    mutating func takeRoundTrips() -> [Duration] {
        guard !roundTrips.isEmpty else { return [] }
        defer { roundTrips = [] }
        return roundTrips
    }

    private func retryAfter(for code: Code) -> UInt32 { code == .shuttingDown ? retryAfter : 0 }

    /// Whether the client has failed the handshake, or has not even begun it in time. One that connects and leaves has
    /// looked whether somebody is there.
    var hasFailedHandshake: Bool {
        guard !hasGreeted else { return false }
        switch ending {
        case .closed(.shuttingDown, _, _): return false
        case .closed(.handshakeTimeout, _, _): return true
        case .closed, .lost: return bytesIn > 0
        }
    }

    /// Requests above it were not processed: of a short connection the one that has its ending, else the highest that
    /// the handler was given.
    @inline(__always) var lastID: UInt32 { max(shortID, requests.lastID) }

    private mutating func leave(_ departure: LingeringClose) {
        giveUp()
        self.departure = departure
        liveness.ended()
    }
}
