import Basics
import Framing
import Liveness

/// One connection, from the preface to its last byte, without a socket or a clock (Protocol.md, sections 3 to 9).
///
/// A step of the loop: `woke`, then `heard` and `next` until nil for each stretch of bytes that was read, then `judge`
/// until nil, then `outbox.unsent` to the kernel and `wrote`, and sleep until `deadline`. Every event that ends the
/// connection is `ended`, once; from then on only CLOSE and what the server still sends are seen off.
struct ClientConnection: Sendable {
    enum Event: Equatable, Sendable {
        case welcomed(Welcome)
        case roundTrip(Duration)
        case beatLate
        case response(id: UInt32, [UInt8])
        case failure(id: UInt32, Failure)
        case message([UInt8])
        case goingAway(GoAway)
        case ended(ConnectionError)
    }

    /// What can be promised about a request without an answer when its connection has ended.
    enum Fate: Equatable, Sendable {
        case notSent, refused, unknown
    }

    /// A request sent by a client that has not seen WELCOME is at most this long (section 6, 6-8).
    static let mostEarly = 16384
    /// The sender's own bucket for CANCELs; the rest of the receiver's is left to PINGs and to jitter (section 5.10).
    private static let cancelsAtOnce = 12

    let hello: Hello
    private(set) var welcome: Welcome?
    private(set) var goAway: GoAway?
    private(set) var outbox = Outbox()
    private(set) var unansweredBytes = 0
    private var decoder: FrameDecoder
    private var assembler = MessageAssembler()
    private var liveness: ClientHeartbeat
    /// The length of each request of which the ending has not come, cancelled ones among them.
    private var unanswered: [UInt32: Int] = [:]
    private var lastID: UInt32 = 0
    /// The response of which some chunks have come.
    private var openResponse: UInt32?
    private var cancels: TokenBucket?
    /// CANCELs that the bucket does not pay for yet.
    private var heldCancels: [UInt32] = []
    private var departure: LingeringClose?
    private var fates: [UInt32: Fate] = [:]

    init(
        _ hello: Hello, connectedAt now: Instant, handshakeTimeout: Duration,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.hello = hello
        decoder = FrameDecoder(
            from: .server, maxFrame: hello.maxFrame, maxMessage: hello.maxMessage, isShort: hello.short)
        liveness = ClientHeartbeat(connectedAt: now, handshakeTimeout: handshakeTimeout, random: random)
        outbox.greet(hello)
    }

    // MARK: What the program wants

    /// Requests without an ending.
    var unansweredCount: Int { unanswered.count }

    /// Whether new requests may be begun on this connection at all.
    var takesRequests: Bool { departure == nil && goAway == nil && lastID < (hello.short ? 1 : .max) }

    /// Whether the server has room for one more request of `length` bytes (section 4.2). A lone request always goes:
    /// a limit under max_message would else hold it back for ever.
    func hasRoom(for length: Int) -> Bool {
        guard let welcome, !unanswered.isEmpty else { return true }
        return unanswered.count < welcome.maxInFlight && unansweredBytes + length <= Int(welcome.maxQueued)
    }

    /// Sends a request; the caller has asked `takesRequests` and `hasRoom`. Returns its id.
    mutating func request(_ message: [UInt8]) -> UInt32 {
        lastID += 1
        unanswered[lastID] = message.count
        unansweredBytes += message.count
        outbox.send(.request, id: lastID, message[...], cost: message.count)
        return lastID
    }

    /// Sends a one-way message. An empty one is paid for like a CANCEL; false where it must wait.
    mutating func send(_ message: [UInt8], at now: Instant) -> Bool {
        if message.isEmpty, cancels?.spend(at: now) == false { return false }
        outbox.send(.message, message[...], cost: message.count)
        return true
    }

    /// When the bucket pays for the next CANCEL or empty message.
    func nextToken(at now: Instant) -> Instant { cancels?.nextToken(at: now) ?? now }

    /// Gives up the request `id`: takes it back where nothing of it was sent (true), else sends CANCEL, now or when the
    /// bucket pays for it. A cancelled request counts until its ending comes.
    mutating func cancel(_ id: UInt32, at now: Instant) -> Bool {
        guard unanswered[id] != nil, departure == nil else { return false }
        if outbox.withdraw(id) {
            // With it the last byte may be gone that the kernel would not take.
            liveness.wrote(any: false, waiting: !outbox.isEmpty, at: now)
            forget(id)
            return true
        }
        heldCancels.append(id)
        sendHeldCancels(at: now)
        return false
    }

    private mutating func sendHeldCancels(at now: Instant) {
        while let id = heldCancels.first, cancels?.spend(at: now) == true {
            heldCancels.removeFirst()
            outbox.cancel(id)
        }
    }

    private mutating func forget(_ id: UInt32) {
        if let length = unanswered.removeValue(forKey: id) { unansweredBytes -= length }
        heldCancels.removeAll { $0 == id }
    }

    /// Ends the connection in order: CLOSE(NORMAL) behind what is queued.
    mutating func leave(at now: Instant) {
        guard departure == nil else { return }
        decideFates(lastID: nil)
        depart(.orderly(peerIsDone: false))
        outbox.close(Close(.normal))
    }

    // MARK: Time

    /// The loop runs again, perhaps long after `deadline`.
    mutating func woke(at now: Instant) { liveness.woke(at: now) }

    var deadline: Instant? {
        guard let departure else {
            return earlier(liveness.deadline, heldCancels.isEmpty ? nil : cancels?.nextToken(at: .distantPast))
        }
        // While the last words of an orderly end are written, slow reading is judged; a drop has its own deadline alone.
        return departure.isFlushing ? departure.deadline ?? liveness.deadline : departure.deadline
    }

    /// Does what is due at `now`; to be called until it returns nil.
    mutating func judge(at now: Instant) -> Event? {
        guard departure == nil else {
            departure?.woke(at: now)
            // A server that does not read what is left for it is not waited for, nor one that has not even said WELCOME
            // in time; a drop has a time of its own.
            if let departure, departure.isFlushing, departure.deadline == nil, case .drop = liveness.verdict(at: now) {
                self.departure?.giveUp()
            }
            return nil
        }
        sendHeldCancels(at: now)
        while true {
            switch liveness.verdict(at: now) {
            case .fine: return nil
            case .ping(let nonce): outbox.ping(nonce)
            case .beatLate: return .beatLate
            case .drop(let violation): return drop(violation, at: now)
            }
        }
    }

    // MARK: Bytes out

    /// The kernel took `count` bytes of `outbox.unsent`; 0 where it would have blocked.
    mutating func wrote(_ count: Int, at now: Instant) {
        if count > 0 { outbox.wrote(count) }
        liveness.wrote(any: count > 0, waiting: !outbox.isEmpty, at: now)
        if outbox.isEmpty { departure?.flushed(at: now) }
    }

    /// Whether CLOSE is written, so that the writing side is to be shut down.
    var hasSaidAll: Bool { departure.map { outbox.isClosed && !$0.isFlushing } ?? false }
    /// Whether the socket is to be closed.
    var isOver: Bool { departure?.isOver ?? false }

    // MARK: Bytes in

    /// Bytes arrived.
    mutating func heard(at now: Instant) { liveness.heard(at: now) }

    /// The next event in the first `count` of `bytes` from `offset` on, which moves behind what was read; nil when all
    /// of it was.
    mutating func next(in bytes: [UInt8], upTo count: Int, at offset: inout Int, now: Instant) -> Event? {
        do {
            while departure == nil {
                guard let frame = try decoder.next(in: bytes.span.extracting(0..<count), at: &offset) else {
                    liveness.frame(decoder.framesBegun, unfinishedLength: decoder.unfinishedLength, at: now)
                    return nil
                }
                if let event = try handle(frame, of: bytes, at: now) { return event }
            }
            // After its own CLOSE this side reads on only so that no reset eats the reason (section 7.5).
            offset = count
            return nil
        } catch {
            return drop(error, at: now)
        }
    }

    private mutating func handle(_ frame: Frame, of bytes: [UInt8], at now: Instant) throws(Violation) -> Event? {
        switch frame {
        case .welcome(let welcome):
            try welcome.check(against: hello)
            let heartbeat = Heartbeat(welcome)
            self.welcome = welcome
            outbox.setMaxFrame(welcome.maxFrame)
            liveness.welcomed(heartbeat, at: now)
            cancels = TokenBucket(heartbeat, capacity: ClientConnection.cancelsAtOnce)
            return .welcomed(welcome)
        case .ping(let nonce):
            try liveness.pay(at: now)
            outbox.answer(with: Pong(nonce: nonce))
            return nil
        case .pong(let pong):
            try liveness.ponged(pong.nonce, at: now)
            return liveness.roundTrip.map { .roundTrip($0) }
        case .part(let part):
            return try handle(part, of: bytes, at: now)
        case .failure(let id, let failure):
            try requireUnanswered(id)
            if openResponse == id {
                openResponse = nil
                assembler.abandon()
            }
            // What is left of it would be sent in vain; CANCEL says that it does not come (section 4.8).
            if outbox.isUnfinished(id), cancels?.spend(at: now) == true { outbox.cancel(id) }
            forget(id)
            return .failure(id: id, failure)
        case .goAway(let goAway):
            self.goAway = goAway
            return .goingAway(goAway)
        case .close(let close):
            return try closed(close, at: now)
        case .hello, .cancel:
            preconditionFailure("the decoder refuses what only a client sends")
        }
    }

    private mutating func handle(_ part: MessagePart, of bytes: [UInt8], at now: Instant) throws(Violation) -> Event? {
        if part.type == .message {
            if part.isFirst, part.isLast, part.range.isEmpty { try liveness.pay(at: now) }
            return assembler.add(part, of: bytes).map { .message(Array($0)) }
        }
        if part.isFirst {
            try requireUnanswered(part.id)
            guard !outbox.isComing(part.id) else {
                throw Violation(.protocolError, "a response to request \(part.id), of which the last chunk is not sent")
            }
            liveness.responded(at: now)
        }
        openResponse = part.isLast ? nil : part.id
        guard let answer = assembler.add(part, of: bytes) else { return nil }
        forget(part.id)
        return .response(id: part.id, Array(answer))
    }

    private func requireUnanswered(_ id: UInt32) throws(Violation) {
        guard unanswered[id] != nil else {
            throw Violation(.protocolError, "an answer to request \(id), which waits for none")
        }
    }

    // MARK: The end

    private mutating func closed(_ close: Close, at now: Instant) throws(Violation) -> Event {
        guard close.lastID <= lastID else {
            throw Violation(.protocolError, "CLOSE names request \(close.lastID), which was never sent")
        }
        decideFates(lastID: close.lastID)
        if hello.short {
            // The server's end of stream is on its way behind its CLOSE. Who ends first keeps TIME_WAIT, so it is
            // waited for, as long as that is still at once.
            let slack = welcome.map { .milliseconds($0.deadAfter) / 10 } ?? Duration.milliseconds(100)
            depart(.silent(until: now + min(slack, LingeringClose.linger)))
            if !outbox.isEmpty { departure?.giveUp() }
        } else {
            depart(.drop(at: now, peerIsDone: true))
            outbox.cutOff(Close(.normal))
        }
        return .ended(ConnectionError(close))
    }

    /// The server's stream ended.
    mutating func ended() -> Event? {
        guard departure == nil else {
            departure?.peerEnded()
            return nil
        }
        return broke(
            welcome == nil
                ? "the server closed the connection during the handshake"
                : "the server closed the connection without saying why")
    }

    /// The connection can be neither read nor written any more.
    mutating func broke(_ text: String) -> Event? {
        let wasDeparting = departure != nil
        if !wasDeparting {
            decideFates(lastID: nil)
            depart(.orderly(peerIsDone: true))
        }
        departure?.giveUp()
        return wasDeparting ? nil : .ended(ConnectionError(.broken, text))
    }

    private mutating func depart(_ departure: LingeringClose) {
        self.departure = departure
        liveness.ended()
    }

    private mutating func drop(_ violation: Violation, at now: Instant) -> Event {
        decideFates(lastID: nil)
        outbox.cutOff(Close(violation.code, violation.text))
        depart(.drop(at: now, peerIsDone: false))
        return .ended(ConnectionError(violation))
    }

    /// What can be promised of the requests without an ending; before the outbox forgets what it has not sent.
    private mutating func decideFates(lastID: UInt32?) {
        for id in unanswered.keys {
            let isRefused = lastID.map { id > $0 } ?? false
            fates[id] = outbox.isUntouched(id) ? .notSent : isRefused ? .refused : .unknown
        }
    }

    /// The fate of the request `id`, which had no ending when the connection ended.
    func fate(of id: UInt32) -> Fate { fates[id] ?? .unknown }
}

extension Instant {
    /// Before every instant of the clock.
    fileprivate static let distantPast = Instant(sinceStart: .zero)
}
