import Basics
import Framing
import Liveness

/// One program's tie to one server: a connection after another, and the requests that outlive each of them, without a
/// socket or a clock.
///
/// The story of a session: dial until there is a socket, greet until WELCOME, be open until the connection ends, then
/// wait and dial again, or be closed for good. A short session is the same with one request.
///
/// The loop carries out each `nextOutput`, reports what came of it, and sleeps until `nextDeadline`. Calls wait here in
/// the order of their numbers while there is no connection, or no room on it.
struct Session: Sendable {
    enum Phase: Equatable, Sendable {
        /// Finding the host and connecting, until the instant at most.
        case dialing(until: Instant)
        /// The preface and HELLO are sent.
        case greeting
        case open
        case waiting(until: Instant)
        case closed(ConnectionError)
    }

    enum Output: Sendable {
        case dial
        case stopDialing
        /// `departing` holds a connection that is only to be seen off.
        case depart
        case finish(Call.ID, Result<[UInt8], RequestError>)
        case message([UInt8])
        case event(ConnectionEvent)
    }

    /// How long nothing is sent after the server refused a request for want of room.
    private static let refusalPause = Duration.milliseconds(50)

    private let hello: Hello
    private let connectTimeout: Duration
    private let random: @Sendable () -> Double
    private var backoff: Backoff
    private(set) var phase: Phase
    private(set) var connection: ClientConnection?
    private(set) var departing: ClientConnection?
    /// When the program's patience ends: until the first WELCOME, and always in a short session.
    private var firstDeadline: Instant?
    private var hasBeenOpen = false
    /// From when on the connection counts as one that lasted, if it has proved its round trip (section 7.7).
    private var stableAt: Instant?
    private var isProved = false
    /// Whether the program has asked for the end.
    private var isClosing = false
    private var calls = PendingCalls()
    /// No request is sent before, because the server refused one and named this time.
    private var heldUntil: Instant?
    /// A short connection that has its answer waits for the server's CLOSE until then, so that the server closes first.
    private var answeredUntil: Instant?
    private var outputs: [Output] = []
    private var outputsTaken = 0

    init(
        _ hello: Hello, policy: ReconnectPolicy, connectTimeout: Duration, at now: Instant,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.hello = hello
        self.connectTimeout = connectTimeout
        self.random = random
        backoff = Backoff(policy)
        firstDeadline = now + connectTimeout
        phase = .dialing(until: now + connectTimeout)
        outputs.append(.dial)
    }

    /// What the loop has to do next; nil when it has done all.
    mutating func nextOutput() -> Output? {
        guard outputsTaken < outputs.count else {
            outputs.removeAll(keepingCapacity: true)
            outputsTaken = 0
            return nil
        }
        defer { outputsTaken += 1 }
        return outputs[outputsTaken]
    }

    /// Whether requests in flight are all that the connection is still there for.
    var isGoingAway: Bool { phase == .open && connection?.goAway != nil }

    // MARK: Calls

    /// Takes a call; `judge` sends it where there is room.
    mutating func start(_ id: Call.ID, _ call: Call) {
        if case .closed(let error) = phase { return output(id, .failure(.notSent(.connection(error)))) }
        if isClosing { return output(id, .failure(.notSent(.connection(.closedByProgram)))) }
        calls.add(id, call)
    }

    /// The caller waits no longer, because of its timeout or its task's cancellation.
    mutating func abandon(_ id: Call.ID, _ reason: RequestError.Reason, at now: Instant) {
        guard let call = calls[id] else { return }
        if let wireID = call.wireID {
            let isTakenBack = connection?.cancel(wireID, at: now) ?? false
            finish(id, .failure(isTakenBack ? .notSent(reason) : .unknown(reason)))
            leaveIfDone(at: now)
        } else {
            giveUp(id, call, reason)
        }
        if hello.short, calls.isEmpty { close(at: now) }
    }

    /// Ends a call that waits: a refusal is a better promise than that nothing was sent this time.
    private mutating func giveUp(_ id: Call.ID, _ call: Call, _ reason: RequestError.Reason) {
        finish(id, .failure(call.refusal.map { .refused($0) } ?? .notSent(reason)))
    }

    private mutating func finish(_ id: Call.ID, _ result: Result<[UInt8], RequestError>) {
        if calls.remove(id) { output(id, result) }
    }

    private mutating func output(_ id: Call.ID, _ result: Result<[UInt8], RequestError>) {
        outputs.append(.finish(id, result))
    }

    /// Moves what waits onto the connection, as far as there is room.
    mutating func feed(at now: Instant) {
        guard mayFeed else { return }
        feedMessages(at: now)
        if let heldUntil, now < heldUntil { return }
        while let (id, call) = calls.firstRequest() {
            if let most = connection?.welcome?.maxMessage, call.bytes.count > most {
                finish(id, .failure(.notSent(.tooLarge(most: Int(most)))))
                continue
            }
            guard phase == .open || call.bytes.count <= ClientConnection.mostEarly else { return }
            guard connection?.takesRequests == true, connection?.hasRoom(for: call.bytes.count) == true,
                let wireID = connection?.request(call.bytes)
            else { return }
            calls.firstRequestSent(as: wireID)
        }
    }

    /// A short connection sends its request before WELCOME; a long one waits (section 6, 6-6).
    private var mayFeed: Bool { phase == .open || (phase == .greeting && hello.short) }

    private mutating func feedMessages(at now: Instant) {
        guard let welcome = connection?.welcome else { return }
        while let (id, call) = calls.firstMessage() {
            if call.bytes.count > welcome.maxMessage {
                finish(id, .failure(.notSent(.tooLarge(most: Int(welcome.maxMessage)))))
                continue
            }
            guard (connection?.outbox.cost ?? 0) <= welcome.maxQueued else { return }
            guard connection?.send(call.bytes, at: now) == true else { return }
            finish(id, .success([]))
        }
    }

    // MARK: Connecting

    /// There is a socket. The handshake has what the dialling left of the time.
    mutating func dialed() {
        guard case .dialing(let until) = phase else { return }
        phase = .greeting
        connection = ClientConnection(
            hello, connectedAt: Instant(sinceStart: until.sinceStart - connectTimeout),
            handshakeTimeout: connectTimeout, random: random)
    }

    mutating func dialFailed(_ error: ConnectionError, at now: Instant) {
        guard case .dialing = phase else { return }
        comeBack(after: error, hadConnection: false, at: now)
    }

    private mutating func dial(at now: Instant) {
        let until = now + connectTimeout
        phase = .dialing(until: earlier(until, firstDeadline) ?? until)
        outputs.append(.dial)
    }

    /// Waits for the next attempt, or closes for good.
    ///
    /// Before the first WELCOME only a server that asked to come back is tried again, so that a wrong port is reported
    /// at once. A short session comes back as long as its request may be repeated. After GOAWAY its times count too:
    /// they were made for all of the server's clients together.
    private mutating func comeBack(
        after error: ConnectionError, goAway: GoAway? = nil, hadConnection: Bool, at now: Instant
    ) {
        if let stableAt, now >= stableAt, isProved { backoff.reset() }
        stableAt = nil
        isProved = false
        let isWorthIt =
            hello.short
            ? !calls.isEmpty && (hadConnection || error.isTemporary) : firstDeadline == nil || error.isTemporary
        let held = heldUntil.map { max($0 - now, .zero) } ?? .zero
        guard !isClosing, !error.isFinal, isWorthIt,
            let wait = backoff.next(
                retryAfter: max(error.retryAfter, .milliseconds(goAway?.retryAfter ?? 0), held),
                spread: .milliseconds(goAway?.spread ?? 0), random: random),
            firstDeadline.map({ now + wait < $0 }) ?? true
        else { return end(error) }
        heldUntil = nil
        phase = .waiting(until: now + wait)
        outputs.append(.event(.reconnecting(after: error, wait: wait, attempt: backoff.attempt)))
    }

    /// The end of the session: no call is left waiting.
    private mutating func end(_ error: ConnectionError) {
        phase = .closed(error)
        for (id, call) in calls.waiting { giveUp(id, call, .connection(error)) }
        outputs.append(.event(.closed(error)))
    }

    /// The program wants no more: what waits is not sent, what is in flight is waited for.
    mutating func close(at now: Instant) {
        if isClosing { return }
        if case .closed = phase { return }
        isClosing = true
        for (id, call) in calls.waiting { giveUp(id, call, .connection(.closedByProgram)) }
        switch phase {
        case .dialing:
            outputs.append(.stopDialing)
            end(.closedByProgram)
        case .waiting: end(.closedByProgram)
        case .greeting, .open: leaveIfDone(at: now)
        case .closed: break
        }
    }

    // MARK: The connection

    /// Hands the connection over to be seen off.
    private mutating func depart() {
        departing = connection
        connection = nil
        answeredUntil = nil
        outputs.append(.depart)
    }

    /// The loop takes the departing connection over.
    mutating func takeDeparting() -> ClientConnection? { departing.take() }

    /// Leaves a connection that has nothing more to do: at the program's wish, the server's, or for want of ids.
    private mutating func leaveIfDone(at now: Instant) {
        guard connection != nil, isClosing || !hello.short else { return }
        guard isClosing ? !calls.areInFlight : connection?.takesRequests == false && connection?.unansweredCount == 0
        else { return }
        let goAway = connection?.goAway
        connection?.leave(at: now)
        depart()
        if isClosing { return end(.closedByProgram) }
        let error = goAway.map { ConnectionError($0) } ?? ConnectionError(.broken, "the request ids are used up")
        comeBack(after: error, goAway: goAway, hadConnection: true, at: now)
    }

    /// Reads the first `count` of `bytes`.
    mutating func received(_ bytes: [UInt8], upTo count: Int, at now: Instant) {
        connection?.heard(at: now)
        var offset = 0
        while let event = connection?.next(in: bytes, upTo: count, at: &offset, now: now) { handle(event, at: now) }
    }

    /// The server's stream ended.
    mutating func streamEnded(at now: Instant) {
        if let event = connection?.ended() { handle(event, at: now) }
    }

    /// The connection can be neither read nor written any more.
    mutating func streamBroke(_ text: String, at now: Instant) {
        if let event = connection?.broke(text) { handle(event, at: now) }
    }

    /// The kernel took `count` bytes of `connection.outbox.unsent`; 0 where it would have blocked.
    mutating func wrote(_ count: Int, at now: Instant) { connection?.wrote(count, at: now) }

    private mutating func handle(_ event: ClientConnection.Event, at now: Instant) {
        switch event {
        case .welcomed(let welcome):
            let terms = ConnectionTerms(welcome)
            phase = .open
            stableAt = now + Backoff.stable(terms.deadAfter)
            outputs.append(.event(hasBeenOpen ? .reconnected(terms) : .connected(terms)))
            hasBeenOpen = true
            if !hello.short { firstDeadline = nil }
            leaveIfDone(at: now)
        case .roundTrip(let time):
            isProved = true
            outputs.append(.event(.roundTrip(time)))
        case .beatLate: outputs.append(.event(.beatLate))
        case .message(let message): outputs.append(.message(message))
        case .response(let wireID, let answer):
            isProved = true
            if let id = calls.ended(wireID) { finish(id, .success(answer)) }
            answered(at: now)
        case .failure(let wireID, let failure):
            failed(wireID, RequestFailure(failure), at: now)
        case .goingAway(let goAway):
            let comeBack = Duration.milliseconds(goAway.retryAfter)
            outputs.append(.event(.goingAway(code: goAway.code, text: goAway.text, comeBack: comeBack)))
            leaveIfDone(at: now)
        case .ended(let error):
            lost(error, at: now)
        }
    }

    private mutating func answered(at now: Instant) {
        if hello.short { answeredUntil = now + LingeringClose.linger }
        leaveIfDone(at: now)
    }

    private mutating func failed(_ wireID: UInt32, _ failure: RequestFailure, at now: Instant) {
        guard let id = calls.ended(wireID) else { return answered(at: now) }
        guard failure.code == .refused else {
            finish(id, .failure(.failed(failure)))
            return answered(at: now)
        }
        calls.putBack(id, because: .refused(failure))
        heldUntil = now + max(Session.refusalPause, failure.retryAfter)
        answered(at: now)
    }

    private mutating func lost(_ error: ConnectionError, at now: Instant) {
        guard let connection else { return }
        depart()
        let wasOpen = phase == .open
        if wasOpen { outputs.append(.event(.lost(error))) }
        for (wireID, id) in calls.takeInFlight() {
            switch connection.fate(of: wireID) {
            case .notSent: calls.putBack(id, because: nil)
            case .refused: calls.putBack(id, because: .connection(error))
            case .unknown:
                if calls[id]?.kind == .request(mayRunTwice: true) {
                    calls.putBack(id, because: nil)
                } else {
                    finish(id, .failure(.unknown(.connection(error))))
                }
            }
        }
        comeBack(after: error, goAway: connection.goAway, hadConnection: true, at: now)
    }

    // MARK: Time

    /// The loop runs again, perhaps long after the deadline that it was given.
    mutating func woke(at now: Instant) { connection?.woke(at: now) }

    /// Does all that is due at `now`.
    mutating func judge(at now: Instant) {
        while let event = connection?.judge(at: now) { handle(event, at: now) }
        switch phase {
        case .dialing(let until) where until <= now:
            outputs.append(.stopDialing)
            dialFailed(ConnectionError(.timedOut, "no connection within \(connectTimeout)"), at: now)
        case .waiting(let until) where until <= now:
            dial(at: now)
        default: break
        }
        if let answeredUntil, answeredUntil <= now {
            streamBroke("the server did not close a short connection", at: now)
        }
        while let id = calls.nextExpired(at: now) { abandon(id, .timedOut, at: now) }
        feed(at: now)
    }

    /// When `judge` has something to do next.
    func nextDeadline(at now: Instant) -> Instant? {
        var deadline = earlier(earlier(connection?.deadline, answeredUntil), calls.nextTimeout)
        switch phase {
        case .dialing(let until), .waiting(let until): deadline = earlier(deadline, until)
        case .open:
            if calls.haveRequests, let heldUntil, heldUntil > now { deadline = earlier(deadline, heldUntil) }
            if calls.haveMessages, connection?.outbox.isEmpty == true {
                deadline = earlier(deadline, connection?.nextToken(at: now))
            }
        case .greeting, .closed: break
        }
        return deadline
    }
}
