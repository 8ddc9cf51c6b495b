import Basics
import Framing
import Liveness

/// A program's relation to a server, or to a list of servers that do the same: a sequence of connections, and the calls that
/// outlive each of them. It is a value without a socket or a clock.
///
/// A session dials until it has a socket, greets until WELCOME, and is open until the connection ends. Then it waits and
/// dials again, or is closed for good. A short session does the same with one request.
///
/// The driver performs each `nextOutput`, reports the result, and sleeps until `nextDeadline`. Calls wait in the order of
/// their numbers while there is no connection, or no room on it.
///
/// How it connects is in Session+Connecting.swift, its calls are in Session+Calls.swift, the requests of the server in
/// Session+Answers.swift, and the orderly end in Session+Leaving.swift. The properties that these files share are internal for
/// that alone.
struct Session: Sendable {
    enum Phase: Equatable, Sendable {
        /// Looking up the host and connecting, until the instant at most.
        case dialing(until: Instant)
        /// The preface and HELLO are sent.
        case greeting
        case open
        case waiting(until: Instant)
        case closed(ConnectionError)
    }

    enum Output: Sendable {
        /// Connect to the server with this number in the list.
        case dial(Int)
        /// Go on with the next address of the same server.
        case dialNext
        case stopDialing
        /// Close the connection that `takeReleased` returns, and cancel the tasks that answer its requests.
        case releaseConnection
        case finish(Call.ID, Result<[UInt8], RequestError>)
        /// A message was sent. The number counts those of all connections, from 1 on.
        case sent(Call.ID, Int)
        case message([UInt8])
        /// Let the program answer a request of the server.
        case answer(AnswerKey, [UInt8])
        /// Cancel the task that does.
        case cancelAnswer(AnswerKey)
        case event(ConnectionEvent)
    }

    /// The time that a server or an address has before another one is tried.
    static let patience = Duration.seconds(5)
    /// The longest wait between two attempts at servers that are not there yet.
    static let mostWait = Duration.seconds(1)
    /// The pause after the server has refused a request, where its retry_after is shorter.
    static let refusalPause = Duration.milliseconds(50)

    let hello: Hello
    let connectTimeout: Duration
    let random: @Sendable () -> Double
    let servers: [String]
    var rotation: ServerRotation
    var phase: Phase
    var connection: ClientConnection?
    private(set) var released: ClientConnection?
    /// The end of connectTimeout, or of the wait for a server: until the first WELCOME in a long session, and always in a
    /// short one.
    var firstDeadline: Instant?
    /// The instant until which a server is waited for that is not there yet.
    let waitUntil: Instant
    /// Whether a server has answered the program a moment ago, so that the first attempt need not expect an outage.
    let isExpected: Bool
    /// The beginning of this attempt, and the time that the server has for it.
    var dialedAt: Instant
    var patience: Duration
    /// The address that is connected, and the number of addresses of its server that are left where it fails.
    var address = ""
    var otherAddresses = 0
    /// Whether the server of this attempt has several addresses.
    var hasAddresses = false
    private var hasBeenOpen = false
    /// The instant from which the connection counts as stable, if it has proved a round trip (section 7.7).
    var stableAt: Instant?
    var isProved = false
    /// Whether the program listens to events, so that the progress of long messages is told.
    private(set) var isWatched = false
    /// Whether the program has closed the session.
    var isClosing = false
    /// The instant until which the program waits for the server to handle messages, while it closes the session.
    var closeBy = Instant(sinceStart: .zero)
    var calls = PendingCalls()
    /// What became of the messages of connections that have ended.
    var endedCounts = MessageCounts()
    /// Whether credit is in force on the connection, or was on the last one.
    private(set) var isCredited = false
    /// Whether `messageCounts` has changed since the driver published it.
    var hasNewCounts = false
    /// The number of connections so far.
    var connectionNumber = 0
    /// The number of the program's tasks that answer requests of the server.
    var runningAnswers = 0
    /// The instant before which no request is sent, because the server refused one.
    var heldUntil: Instant?
    /// The instant until which a short connection with its answer waits for the server's CLOSE, so that the server closes
    /// first.
    var answeredUntil: Instant?
    /// What the connection waits for before its CLOSE, while it is to end.
    var leaving: Leave?
    var outputs: [Output] = []
    private var outputsTaken = 0

    /// - Parameters:
    ///   - hello: What the client says of itself.
    ///   - policy: When and how often it connects again.
    ///   - connectTimeout: The limit of an attempt.
    ///   - wait: How long a server is waited for that is not there at first.
    ///   - isExpected: Whether the server has answered the program a moment ago.
    ///   - servers: The names of the servers that take turns.
    ///   - now: The present.
    ///   - random: Returns 0..<1, anew each time.
    init(
        _ hello: Hello, policy: ReconnectPolicy, connectTimeout: Duration, wait: Duration = .zero,
        isExpected: Bool = false, servers: [String] = [""], at now: Instant,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.hello = hello
        self.connectTimeout = connectTimeout
        self.servers = servers
        self.random = random
        rotation = ServerRotation(count: servers.count, policy)
        waitUntil = now + wait
        self.isExpected = isExpected
        firstDeadline = now + max(wait, connectTimeout)
        dialedAt = now
        patience = connectTimeout
        phase = .waiting(until: now)
        dial(at: now)
    }

    /// The next output for the driver; nil where there is none.
    mutating func nextOutput() -> Output? {
        guard outputsTaken < outputs.count else {
            outputs.removeAll(keepingCapacity: true)
            outputsTaken = 0
            return nil
        }
        defer { outputsTaken += 1 }
        return outputs[outputsTaken]
    }

    /// Whether the server has sent GOAWAY, so that only requests in flight continue.
    var isGoingAway: Bool { phase == .open && connection?.goAway != nil }

    // MARK: The program

    /// The program listens to events.
    mutating func watch() {
        isWatched = true
        connection?.watchTransfers()
    }

    /// Closes the session for good, and ends all waiting calls.
    mutating func end(_ error: ConnectionError) {
        phase = .closed(error)
        for (id, call) in calls.waiting { endWaiting(id, call, .connection(error)) }
        outputs.append(.event(.closed(error)))
    }

    // MARK: The connection

    /// Releases the connection, so that the driver closes it.
    mutating func releaseConnection(at now: Instant) {
        for progress in connection?.endTransfers(at: now) ?? [] { tell(progress) }
        endMessages()
        released = connection
        connection = nil
        answeredUntil = nil
        leaving = nil
        outputs.append(.releaseConnection)
    }

    /// The released connection, which becomes the caller's.
    mutating func takeReleased() -> ClientConnection? { released.take() }

    /// Reads the first `count` of `bytes`.
    mutating func received(_ bytes: [UInt8], upTo count: Int, at now: Instant) {
        connection?.heard(at: now)
        var offset = 0
        while let event = connection?.next(in: bytes, upTo: count, at: &offset, now: now) { handle(event, at: now) }
        // A connection that was released meanwhile decodes the rest: PONGs let what waits before its CLOSE go.
        _ = released?.next(in: bytes, upTo: count, at: &offset, now: now)
    }

    /// The server has ended its stream.
    mutating func streamEnded(at now: Instant) {
        if let event = connection?.streamEnded() { handle(event, at: now) }
    }

    /// The transport has failed with `text`.
    mutating func streamBroke(_ text: String, at now: Instant) {
        if let event = connection?.streamBroke(text) { handle(event, at: now) }
    }

    /// TLS has failed.
    mutating func tlsFailed(_ error: ConnectionError, at now: Instant) {
        if let event = connection?.tlsFailed(error) { handle(event, at: now) }
    }

    /// Adds what has to leave before `connection.outbox.unsent` is looked at.
    mutating func prepareWrite(at now: Instant) { connection?.prepareWrite(at: now) }

    /// Notes that the kernel accepted `count` bytes of `connection.outbox.unsent`; 0 where the write would have blocked.
    mutating func wrote(_ count: Int, at now: Instant) { connection?.wrote(count, at: now) }

    private mutating func handle(_ event: ClientConnection.Event, at now: Instant) {
        switch event {
        case .welcomed(let welcome):
            let terms = ConnectionTerms(welcome, server: server)
            isCredited = terms.confirmsMessages
            phase = .open
            rotation.opened()
            stableAt = now + Backoff.stable(terms.deadAfter)
            outputs.append(.event(hasBeenOpen ? .reconnected(terms) : .connected(terms)))
            hasBeenOpen = true
            if !hello.short { firstDeadline = nil }
            closeConnectionIfDone(at: now)
        case .roundTrip(let time):
            isProved = true
            outputs.append(.event(.roundTrip(time)))
            tellPathTooLong()
        case .beatLate(let waited, let lastRoundTrip):
            outputs.append(.event(.beatLate(waited: waited, lastRoundTrip: lastRoundTrip)))
            tellPathTooLong()
        case .transfer(let progress): tell(progress)
        case .message(let message): outputs.append(.message(message))
        case .credited:
            hasNewCounts = true
            if leaving != nil { closeConnectionIfDone(at: now) }
        case .requested: startAnswers()
        case .cancelled(let id): outputs.append(.cancelAnswer(AnswerKey(connection: connectionNumber, id: id)))
        case .response(let wireID, let answer):
            isProved = true
            if let id = calls.ended(wireID) { finish(id, .success(answer)) }
            answered(at: now)
        case .failure(let wireID, let failure):
            failed(wireID, RequestFailure(failure), at: now)
        case .goingAway(let goAway):
            let retryAfter = Duration.milliseconds(goAway.retryAfter)
            outputs.append(.event(.goingAway(code: goAway.code, text: goAway.text, retryAfter: retryAfter)))
            closeConnectionIfDone(at: now)
        case .ended(let error):
            lost(error, at: now)
        }
    }

    private mutating func tell(_ progress: TransferProgress) {
        var progress = progress
        if !progress.isServerRequest { progress.number = calls.number(of: progress.request) }
        outputs.append(.event(.transfer(progress)))
    }

    private mutating func tellPathTooLong() {
        guard let roundTrip = connection?.takePathTooLong(), let welcome = connection?.welcome else { return }
        outputs.append(
            .event(.pathTooLong(roundTrip: roundTrip, deadAfter: .milliseconds(welcome.deadAfter))))
    }

    private mutating func lost(_ error: ConnectionError, at now: Instant) {
        tellPathTooLong()
        guard let connection else { return }
        if isAwaited(error) { return left(at: now) }
        let error = named(error)
        releaseConnection(at: now)
        let wasOpen = phase == .open
        if wasOpen { outputs.append(.event(.lost(error))) }
        endOrRequeueCallsInFlight(on: connection, error)
        let until = dialedAt + patience
        if !wasOpen, otherAddresses > 0, error.isOfOneAddress, !isClosing, now < until, !hello.short || !calls.isEmpty {
            return tryNextAddress(until: until)
        }
        // TLS that fails is like an address that refuses: a wrong certificate is told at once.
        scheduleReconnect(
            after: error, goAway: connection.goAway, hadConnection: error.kind != .tls, wasOpen: wasOpen, at: now)
    }

    // MARK: Time

    /// The event loop runs again, perhaps long after the deadline.
    mutating func resumed(at now: Instant) { connection?.resumed(at: now) }

    /// The machine was suspended for this time, and no clock of the loop shows it. The server has to prove that it is
    /// there (5.11-4). A wait that has passed meanwhile is over: retry_after and backoff are real time. Before the first
    /// WELCOME it goes on, because a network that is not up yet would close the session for good.
    mutating func machineResumed(after suspended: Duration, at now: Instant) {
        connection?.machineResumed(at: now)
        if case .waiting(let until) = phase, firstDeadline == nil, until <= now + suspended {
            phase = .waiting(until: now)
        }
    }

    /// Does all that is due at `now`.
    mutating func enforceDeadlines(at now: Instant) {
        while let event = connection?.enforceDeadlines(at: now) { handle(event, at: now) }
        switch phase {
        case .dialing(let until) where until <= now:
            outputs.append(.stopDialing)
            dialFailed(ConnectionError(.timedOut, "no connection within \(patience)"), at: now)
        case .waiting(let until) where until <= now:
            dial(at: now)
        default: break
        }
        if let answeredUntil, answeredUntil <= now {
            streamBroke("the server did not close a short connection", at: now)
        }
        if leaving != nil { leaveInTime(at: now) }
        while let id = calls.nextExpired(at: now) { abandon(id, .timedOut, at: now) }
        sendWaitingCalls(at: now)
    }

    /// The instant of the next call of `enforceDeadlines`.
    func nextDeadline(at now: Instant) -> Instant? {
        var deadline = earlier(earlier(connection?.deadline, answeredUntil), calls.nextTimeout)
        if let leaving { deadline = earlier(deadline, earlier(leaving.confirmUntil, leaving.programUntil)) }
        switch phase {
        case .dialing(let until), .waiting(let until): deadline = earlier(deadline, until)
        case .open:
            if calls.haveRequests, let heldUntil, heldUntil > now { deadline = earlier(deadline, heldUntil) }
            if calls.haveMessages, connection?.waitsForToken == true {
                deadline = earlier(deadline, connection?.nextToken(at: now))
            }
        case .greeting, .closed: break
        }
        return deadline
    }
}
