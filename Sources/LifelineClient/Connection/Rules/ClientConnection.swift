import Basics
import Framing
import Liveness

/// The client's side of one connection, from the preface to the last byte (Protocol.md, sections 3 to 9). It is a value
/// without a socket or a clock.
///
/// The driver takes the same steps in each turn: `resumed`; `heard` and then `next` until nil for each buffer of bytes;
/// `enforceDeadlines` until nil; a write of `outbox.unsent` and `wrote`. Then it sleeps until `deadline`. The event that
/// ends the connection is `ended`, once. After it only CLOSE is sent, and input is discarded.
///
/// What arrives is handled in ClientConnection+Input.swift, the requests of the server in ClientConnection+Answers.swift, and
/// credit in ClientConnection+Credit.swift.
/// The properties that these files share are internal for that alone.
struct ClientConnection: Sendable {
    enum Event: Equatable, Sendable {
        case welcomed(Welcome)
        case roundTrip(Duration)
        case beatLate(waited: Duration, lastRoundTrip: Duration?)
        case transfer(TransferProgress)
        case response(id: UInt32, [UInt8])
        case failure(id: UInt32, Failure)
        case message([UInt8])
        /// The server has told how far it has come, and how far this side may go.
        case credited
        /// A request of the server is whole: it waits in `answers`.
        case requested
        /// The server has taken its request back.
        case cancelled(id: UInt32)
        case goingAway(GoAway)
        case ended(ConnectionError)
    }

    /// The longest request before WELCOME, in bytes (section 6, 6-8).
    static func mostEarly(_ hello: Hello) -> Int {
        hello.deadAfter == 0 ? 16384 : min(max(Int(hello.deadAfter), 2048), 16384)
    }
    /// The capacity of the bucket for CANCELs. PINGs and jitter have the rest of the receiver's bucket (section 5.10).
    static let cancelsAtOnce = 12

    let hello: Hello
    /// The cost of the messages that may wait for the program; nil where HELLO says it.
    let window: Int?
    var welcome: Welcome?
    var goAway: GoAway?
    /// Whether this side has sent GOAWAY.
    var hasLeft = false
    var outbox = Outbox()
    var decoder: FrameDecoder
    var assembler = MessageAssembler()
    var heartbeat: ClientHeartbeat
    /// Bytes of the frames of responses and messages, headers included.
    var messageBytesIn: UInt64 = 0
    var requests = InFlightRequests()
    /// The response that has begun and not ended.
    var openResponse: UInt32?
    var toServer = MessagesToServer()
    /// Nil where no credit is in force.
    var fromServer: MessagesFromServer?
    /// The requests of the server; nil where the program answers none.
    var answers: RequestsToAnswer?
    /// The request of the server that has begun and not ended.
    var openRequest: UInt32?
    var cancels: TokenBucket?
    /// CANCELs that wait for a token.
    private var heldCancels: [UInt32] = []
    var lingeringClose: LingeringClose?
    /// Whether nothing that still comes is decoded, though CLOSE waits.
    var isDeaf = false
    var path = PathCheck()
    var transfers = TransferMeter()

    init(
        _ hello: Hello, window: Int? = nil, connectedAt now: Instant, handshakeTimeout: Duration,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.hello = hello
        self.window = window
        decoder = FrameDecoder(
            from: .server, maxFrame: hello.maxFrame, maxMessage: hello.maxMessage, isShort: hello.short)
        heartbeat = ClientHeartbeat(connectedAt: now, handshakeTimeout: handshakeTimeout, random: random)
        answers = hello.options.answers.map { RequestsToAnswer($0) }
        outbox.greet(hello)
    }

    // MARK: Requests and messages

    /// The number of requests without an ending.
    var unansweredCount: Int { requests.count }
    /// The sum of their lengths.
    var unansweredBytes: Int { requests.bytes }

    /// Whether new requests may begin on this connection.
    var takesRequests: Bool {
        lingeringClose == nil && goAway == nil && !hasLeft && requests.lastID < (hello.short ? 1 : .max)
    }

    /// Whether a message may begin. Where credit is in force, none begins on a connection that ends, for it would be the last
    /// to be handled.
    var takesMessages: Bool { toServer.isCredited ? toServer.mayBegin && takesRequests : true }

    /// Whether messages wait for a token alone: empty ones do, in 1.0.
    var waitsForToken: Bool { welcome?.minor == 0 && outbox.isDone }

    /// Whether the server has room for one more request of `length` bytes (section 4.2). There is always room for a single
    /// request: a max_queued below max_message would otherwise block it for ever.
    func hasRoom(for length: Int) -> Bool {
        guard let welcome, !requests.isEmpty else { return true }
        return requests.count < welcome.maxInFlight && requests.bytes + length <= Int(welcome.maxQueued)
    }

    /// Queues a request and returns its id. `takesRequests` and `hasRoom` must hold.
    mutating func request(_ message: [UInt8]) -> UInt32 {
        let id = requests.add(message.count)
        outbox.send(.request, id: id, message[...], cost: message.count)
        return id
    }

    /// Queues a one-way message. In 1.0 an empty one costs a token, as a CANCEL does; false where none is left.
    mutating func send(_ message: [UInt8], at now: Instant) -> Bool {
        if message.isEmpty, welcome?.minor == 0, cancels?.spend(at: now) == false { return false }
        outbox.send(.message, message[...], cost: message.count)
        toServer.send(message.count)
        return true
    }

    /// The instant of the next token for a CANCEL or an empty message.
    func nextToken(at now: Instant) -> Instant { cancels?.nextToken(at: now) ?? now }

    /// Cancels the request `id`. Returns true where no byte of it was sent, so that it is withdrawn. Otherwise CANCEL is sent
    /// when there is a token, and the request counts until its ending arrives.
    mutating func cancel(_ id: UInt32, at now: Instant) -> Bool {
        guard requests.contains(id), lingeringClose == nil else { return false }
        if outbox.withdraw(id) {
            transfers.cancelled(id, at: now)
            // It may have held the last byte that the kernel had not accepted.
            heartbeat.wrote(any: false, waiting: !outbox.isEmpty, at: now)
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
            transfers.cancelled(id, at: now)
        }
    }

    mutating func forget(_ id: UInt32) {
        requests.remove(id)
        heldCancels.removeAll { $0 == id }
    }

    /// Closes the connection in order: CLOSE(NORMAL) follows what is queued (section 7.1).
    mutating func close(at now: Instant) {
        guard lingeringClose == nil else { return }
        grantNews()
        startClosing(.orderly(peerIsDone: false, deadAfter: heartbeat.deadAfter))
        outbox.close(closeFrame())
    }

    // MARK: Time

    /// Whether the connection is over unless bytes are on their way to the server: ask the kernel, and call
    /// `extendLinger` before `resumed`.
    func mayExtendLinger(at now: Instant) -> Bool { lingeringClose?.mayExtend(at: now) ?? false }

    /// Waits on for the server's end where the kernel still has bytes for it.
    mutating func extendLinger(unacknowledged bytes: Int, at now: Instant) {
        lingeringClose?.extend(unacknowledged: bytes, at: now)
    }

    /// The event loop runs again, perhaps long after `deadline`.
    mutating func resumed(at now: Instant) { heartbeat.resumed(at: now) }

    /// The machine was suspended, and no clock of the loop shows it (5.11-4).
    mutating func machineResumed(at now: Instant) { heartbeat.restart(at: now) }

    var deadline: Instant? {
        guard let lingeringClose else {
            let deadline = earlier(heartbeat.deadline, transfers.deadline)
            return heldCancels.isEmpty ? deadline : earlier(deadline, cancels?.nextToken(at: .distantPast))
        }
        // An orderly close has the deadline of a slow reader until CLOSE is written; a drop has a deadline of its own.
        return lingeringClose.isFlushing ? lingeringClose.deadline ?? heartbeat.deadline : lingeringClose.deadline
    }

    /// Does what is due at `now`. Call it until it returns nil.
    mutating func enforceDeadlines(at now: Instant) -> Event? {
        guard lingeringClose == nil else {
            lingeringClose?.resumed(at: now)
            // An orderly close ends early where the server reads too slowly, or its WELCOME is late.
            if let lingeringClose, lingeringClose.isFlushing, lingeringClose.deadline == nil,
                case .drop = heartbeat.verdict(at: now)
            {
                self.lingeringClose?.giveUp()
            }
            return nil
        }
        if let progress = transfers.next(at: now) { return .transfer(progress) }
        sendHeldCancels(at: now)
        while true {
            switch heartbeat.verdict(at: now) {
            case .fine: return nil
            case .ping(let nonce): outbox.ping(nonce)
            case .beatLate:
                path.missed()
                return .beatLate(waited: heartbeat.unproved(at: now) ?? .zero, lastRoundTrip: heartbeat.roundTrip)
            case .drop(let violation): return drop(violation, at: now)
            }
        }
    }

    // MARK: What the program learns of the path

    /// The least round trip, where it is too long for dead_after and was not returned before (section 5.13).
    mutating func takePathTooLong() -> Duration? { path.takeTooLong() }

    /// Reports the progress of long messages from now on.
    mutating func watchTransfers() { transfers.isWatched = true }

    /// Ends the measurement, with the last progress of each message that was told of before.
    mutating func endTransfers(at now: Instant) -> [TransferProgress] { transfers.end(at: now) }

    // MARK: Bytes out

    /// Adds the PINGs that measure the way to the server: called before `outbox.unsent` is looked at (section 5.12).
    mutating func prepareWrite(at now: Instant) {
        while outbox.wantsPing { outbox.ping(heartbeat.probe(at: now)) }
        heartbeat.heldBack(outbox.isHeldBack, at: now)
        transfers.sending(outbox, at: now)
    }

    /// Notes that the kernel accepted `count` bytes of `outbox.unsent`; 0 where the write would have blocked.
    mutating func wrote(_ count: Int, at now: Instant) {
        if count > 0 {
            outbox.wrote(count)
            path.wrote(at: now)
            if let nonce = outbox.takeLeftPing() { heartbeat.pingLeft(nonce, at: now) }
        }
        heartbeat.wrote(any: count > 0, waiting: !outbox.isEmpty, at: now)
        if outbox.isDone { lingeringClose?.flushed(at: now) }
        prepareWrite(at: now)
    }

    /// Whether CLOSE is written, so that the driver has to shut down the writing side.
    var hasSentClose: Bool { lingeringClose.map { outbox.isClosed && !$0.isFlushing } ?? false }
    /// Whether the driver has to close the socket.
    var isOver: Bool { lingeringClose?.isOver ?? false }

    // MARK: The end

    mutating func closed(_ close: Close, at now: Instant) throws(Violation) -> Event {
        guard close.lastID <= requests.lastID else {
            throw Violation(.protocolError, "CLOSE names request \(close.lastID), which was never sent")
        }
        if hello.short {
            // The server's end of stream follows its CLOSE. The side that ends first keeps TIME_WAIT, so this side waits a
            // moment for it.
            let slack = welcome.map { .milliseconds($0.deadAfter) / 10 } ?? Duration.milliseconds(100)
            startClosing(.silent(until: now + min(slack, LingeringClose.linger)), lastID: close.lastID)
            if !outbox.isDone { lingeringClose?.giveUp() }
        } else {
            startClosing(.drop(at: now, peerIsDone: true), lastID: close.lastID)
            outbox.cutOff(closeFrame())
        }
        path.ended(by: close.code)
        return .ended(ConnectionError(close))
    }

    /// The server has ended its stream.
    mutating func streamEnded() -> Event? {
        guard lingeringClose == nil else {
            becomeDeaf()
            lingeringClose?.peerEnded()
            return nil
        }
        return streamBroke(
            welcome == nil
                ? "the server closed the connection during the handshake"
                : "the server closed the connection without saying why")
    }

    /// TLS has failed. An open connection is lost by it like any other.
    mutating func tlsFailed(_ error: ConnectionError) -> Event? {
        broke(welcome == nil ? error : ConnectionError(.broken, error.text))
    }

    /// The transport has failed with `text`.
    mutating func streamBroke(_ text: String) -> Event? { broke(ConnectionError(.broken, text)) }

    private mutating func broke(_ error: ConnectionError) -> Event? {
        let wasClosing = lingeringClose != nil
        if !wasClosing { startClosing(.orderly(peerIsDone: true)) }
        lingeringClose?.giveUp()
        return wasClosing ? nil : .ended(error)
    }

    /// Ends the use of the connection. The caller changes the outbox only afterwards: fates depend on what is unsent.
    ///
    /// `lastID` is last_id of the server's CLOSE; nil where the server sent none.
    private mutating func startClosing(_ close: LingeringClose, lastID: UInt32? = nil) {
        requests.decideFates(outbox, closeLastID: lastID)
        lingeringClose = close
        heartbeat.ended()
    }

    mutating func drop(_ violation: Violation, at now: Instant) -> Event {
        startClosing(.drop(at: now, peerIsDone: false))
        outbox.cutOff(closeFrame(violation.code, violation.text))
        path.ended(by: violation.code)
        return .ended(ConnectionError(violation))
    }

    /// The fate of the request `id`, which had no ending when the connection ended.
    func fate(of id: UInt32) -> InFlightRequests.Fate { requests.fate(of: id) }
}

extension Instant {
    /// Before every instant of the clock.
    fileprivate static let distantPast = Instant(sinceStart: .zero)
}
