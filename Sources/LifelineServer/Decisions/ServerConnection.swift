import Framing
import Liveness

/// The server's side of one connection, from accept to its last byte: bytes and instants in, events and bytes out.
///
/// The loop that carries it out tells it what the clock and the socket say (`woke`, `received`, `endOfStream`,
/// `wrote`), takes its events one by one (`next`), answers them (`answer`, `fail`), sends `outbox`, and sleeps until
/// `deadline`. It ends when `departure` is over.
struct ServerConnection {
    /// What the loop has to bring to the handler.
    enum Event {
        case opened(Hello)
        case request(Request)
        case message(ArraySlice<UInt8>)
        case cancelled(UInt32)
    }

    /// A request that the handler has and has not answered.
    private struct Running {
        let id: UInt32
        let bytes: Int
        /// When its first frame came.
        let since: Instant
    }

    /// More refusals than this may wait unsent only for a client that sends without reading (section 10).
    private static let mostRefusals = 4096

    /// Clients that are sent away come back within so many milliseconds, each at a random instant.
    static let comeBackSpread: UInt32 = 2000

    private let id: UInt64
    private let terms: Terms
    /// Who may connect; nil where everybody may.
    private let tokens: Tokens?
    private var liveness: ServerLiveness
    private var decoder: FrameDecoder
    private var assembler = MessageAssembler()
    private(set) var outbox = Outbox()
    private(set) var hello: Hello?
    /// Whom the client's TOKEN stands for, where that has a name.
    private(set) var tokenName: String?

    /// What of the bytes received last is not decoded yet.
    private var undecoded = 0..<0
    private var running: [Running] = []
    /// The request of which chunks are coming, how many bytes have, and since when.
    private var incoming: (id: UInt32, bytes: Int, since: Instant)?
    /// The request of which the chunks still coming are thrown away, because it was refused.
    private var discarding: UInt32?
    /// The highest request that the handler has been given.
    private var lastID: UInt32 = 0
    private var hasEnded = false
    /// Whether nothing that still comes is taken for a frame: behind the client's CLOSE, and after a drop.
    private var isDeaf = false
    /// Whether the request of which chunks are coming is finished before the connection is closed (7.4-4).
    private var waitsForIncoming = false
    /// How this connection will be closed once nothing is unanswered.
    private var closing: Violation?

    /// Set once CLOSE is queued.
    private(set) var departure: Departure?
    /// Why the connection ends: for the log and the handler.
    private(set) var ending = Ending.closed(.normal, "", by: .server)
    private(set) var requestsServed: UInt64 = 0
    private(set) var bytesIn: UInt64 = 0

    init(id: UInt64, terms: Terms, handshakeTimeout: Duration, acceptedAt: Instant, tokens: Tokens? = nil) {
        self.id = id
        self.terms = terms
        self.tokens = tokens
        liveness = ServerLiveness(acceptedAt: acceptedAt, handshakeTimeout: handshakeTimeout)
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
        switch (liveness.verdict(at: now), departure) {
        case (.fine, _): break
        case (.ping(let nonce), nil): outbox.ping(nonce)
        case (.ping, .some): break
        case (.drop(let violation), nil): drop(violation, at: now)
        case (.drop(let violation), .some(let leaving)):
            // Only a client that does not read its last answers can still be dropped; a drop has a time of its own.
            guard leaving.isFlushing, leaving.deadline == nil, violation.code == .slowReader else { break }
            ending = .closed(violation.code, violation.text, by: .server)
            departure?.giveUp()
        }
    }

    var deadline: Instant? {
        guard let departure else { return liveness.deadline }
        // While the last answers of an orderly end are written, slow reading is judged; a drop has its own deadline alone.
        return departure.isFlushing && hello != nil ? departure.deadline ?? liveness.deadline : departure.deadline
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
                } else if let event = try take(frame, of: buffer, at: now) {
                    return event
                }
            } catch {
                isDeaf = true
                if departure == nil { drop(error, at: now) }
            }
        }
        return nil
    }

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
            outbox.greet(welcome, maxFrame: hello.maxFrame)
            liveness.welcomed(Heartbeat(welcome), at: now)
            return .opened(hello)
        case .ping(let nonce):
            try liveness.pay(at: now)
            outbox.answer(with: pong(nonce, at: now))
        case .pong(let pong):
            try liveness.ponged(pong.nonce, at: now)
        case .part(let part):
            return part.type == .request
                ? try takeRequest(part, of: buffer, at: now) : try takeMessage(part, of: buffer, at: now)
        case .cancel(let id):
            try liveness.pay(at: now)
            return takeCancel(id)
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

    private var isShort: Bool { hello?.short ?? false }
    private var inFlight: Int { running.count + (incoming == nil ? 0 : 1) + outbox.count }
    private var queued: Int { running.reduce(0) { $0 + $1.bytes } + (incoming?.bytes ?? 0) + outbox.cost }

    private func pong(_ nonce: UInt64, at now: Instant) -> Pong {
        let longest = (running.first?.since ?? incoming?.since).map { (now - $0) / .milliseconds(1) } ?? 0
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
        lastID = part.id
        running.append(Running(id: part.id, bytes: bytes.count, since: since))
        return .request(Request(id: part.id, bytes: bytes))
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
        return assembler.add(part, of: buffer).map { .message($0) }
    }

    private mutating func takeCancel(_ id: UInt32) -> Event? {
        if incoming?.id == id {
            incoming = nil
            assembler.abandon()
            outbox.fail(id, Failure(.cancelled), cost: 0)
            ended(id)
        } else if discarding == id {
            discarding = nil
        } else if running.contains(where: { $0.id == id }) {
            return .cancelled(id)
        }
        return nil
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
        running = []
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
    }

    /// The connection is broken: nothing can be read or written any more.
    mutating func broke(_ text: String) {
        if departure == nil { ending = .lost(text) }
        departure = departure ?? .orderly(peerIsDone: true)
        departure?.giveUp()
    }

    // MARK: What goes

    /// The handler's response to the request `id`.
    mutating func answer(_ id: UInt32, _ bytes: ArraySlice<UInt8>) {
        guard let hello, let asked = take(running: id) else { return }
        if bytes.count > Int(hello.maxMessage) {
            outbox.fail(
                id,
                Failure(.messageTooLarge, "the response has \(bytes.count) bytes; \(hello.maxMessage) are accepted"),
                cost: 0)
        } else {
            outbox.send(.response, id: id, bytes, cost: max(asked, bytes.count))
        }
        answered(id)
    }

    /// The request `id` ends without a response.
    mutating func fail(_ id: UInt32, _ failure: Failure) {
        guard take(running: id) != nil else { return }
        outbox.fail(id, failure, cost: 0)
        answered(id)
    }

    private mutating func take(running id: UInt32) -> Int? {
        guard let index = running.firstIndex(where: { $0.id == id }) else { return nil }
        return running.remove(at: index).bytes
    }

    private mutating func answered(_ id: UInt32) {
        requestsServed += 1
        ended(id)
    }

    /// A request has its ending; in SHORT that is the end of the connection too (section 7.3).
    private mutating func ended(_ id: UInt32) {
        guard isShort else { return closeIfIdle() }
        lastID = id
        close(Violation(.normal, ""))
    }

    /// A one-way message of the handler; false where it cannot be sent.
    mutating func send(_ message: ArraySlice<UInt8>) -> Bool {
        guard let hello, !hello.short, departure == nil, message.count <= hello.maxMessage,
            queued + message.count <= Int(terms.maxQueued)
        else { return false }
        outbox.send(.message, message, cost: message.count)
        return true
    }

    /// The kernel took `count` bytes of the outbox, or none because it is full.
    mutating func wrote(_ count: Int, at now: Instant) {
        if count > 0 { outbox.wrote(count) }
        liveness.wrote(any: count > 0, waiting: !outbox.isEmpty, at: now)
        if outbox.isEmpty, departure != nil { departure?.flushed(at: now) }
    }

    // MARK: The end

    /// The server ends: what has come is answered, then the client is sent away (section 7.4).
    mutating func terminate(_ goAway: GoAway, at now: Instant) {
        guard departure == nil else { return }
        let violation = Violation(goAway.code, goAway.text)
        guard hello != nil else { return drop(violation, at: now) }
        // Its answer ends a short connection by itself.
        if isShort, !running.isEmpty { return }
        if !isShort { outbox.goAway(goAway) }
        waitsForIncoming = false
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
        guard let closing, running.isEmpty, departure == nil else { return }
        guard !waitsForIncoming || incoming == nil else { return }
        // A sentence is owed to the client only where something is wrong.
        let text = closing.code == .normal ? "" : closing.text
        outbox.close(Close(closing.code, text, lastID: lastID))
        leave(.orderly(peerIsDone: hasEnded))
    }

    /// Ends the connection at once for a reason that is the client's (section 7.5).
    private mutating func drop(_ violation: Violation, at now: Instant) {
        isDeaf = true
        ending = .closed(violation.code, violation.text, by: .server)
        outbox.cutOff(Close(violation.code, violation.text, lastID: lastID))
        leave(.drop(at: now, peerIsDone: hasEnded))
    }

    private mutating func leave(_ departure: Departure) {
        self.departure = departure
        liveness.ended()
    }
}
