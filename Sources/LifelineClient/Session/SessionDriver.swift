import Basics
import Framing
import Posix

/// Carries out the decisions of one `Session`: it owns the sockets, resumes the callers and publishes the events.
///
/// Each turn has the same steps. The driver passes bytes to the session, lets it enforce its deadlines, and performs its
/// outputs.
final class SessionDriver {
    let id: SessionID
    private let servers: [Endpoint]
    private let tls: TLSClient?
    private let sinks: SessionSinks
    private unowned let loop: EventLoop
    private var session: Session
    private var dialer: Dialer?
    /// The socket of `session.connection`.
    private var socket: Socket?
    /// Connections that the session has released.
    private var closing: [ClosingConnection] = []
    private var replies: [Call.ID: Reply] = [:]
    /// Results of this turn. The driver resumes their callers when all is written: a program that ends with its last
    /// answer would otherwise lose its CLOSE.
    private var results: [(Reply, Result<[UInt8], RequestError>)] = []
    private var numbers: [(Reply, Int)] = []
    /// Messages that the driver has taken from the lane; empty between two calls.
    private var accepted: [[UInt8]] = []
    /// The tasks that answer requests of the server, until they have ended.
    private var answerTasks: [AnswerKey: Task<Void, Never>] = [:]
    /// Callers of `close`, which wait until the last socket is closed.
    private var closers: [CheckedContinuation<Void, Never>] = []
    private var publishedState = ConnectionState.connecting
    /// The instant of this driver's timer. It belongs to the event loop.
    var timer: Instant?
    /// Whether commands of this driver wait for its turn. It belongs to the event loop.
    var isTouched = false

    /// The limits of one turn, so that no driver delays the others.
    private static let readsPerTurn = 4
    private static let writesPerTurn = 32

    init(
        _ id: SessionID, to servers: [Endpoint], _ tls: TLSClient?, _ session: Session, _ sinks: SessionSinks,
        loop: EventLoop
    ) {
        self.id = id
        self.servers = servers
        self.tls = tls
        self.session = session
        self.sinks = sinks
        self.loop = loop
    }

    /// Whether the session is closed, and its last socket too.
    var isOver: Bool {
        if case .closed = session.phase { closing.isEmpty } else { false }
    }

    var deadline: Instant? {
        let own = earlier(session.inPlace { $0.nextDeadline(at: .now) }, dialer?.deadline)
        return closing.reduce(own) { earlier($0, $1.deadline) }
    }

    // MARK: Commands of the program

    func start(_ call: Call.ID, _ request: Call, _ reply: Reply) {
        replies[call] = reply
        session.start(call, request)
    }

    func abandon(_ call: Call.ID) {
        let now = Instant.now
        resumed(at: now)
        session.abandon(call, .cancelled, at: now)
    }

    func close(within limit: Duration, _ continuation: CheckedContinuation<Void, Never>?) {
        if let continuation { closers.append(continuation) }
        let now = Instant.now
        resumed(at: now)
        // Else what the program has not read yet would seem to be read.
        sinks.messages.watch()
        settleMessages(at: now)
        shutLane()
        session.close(within: limit, at: now)
    }

    /// The program's task for a request of the server has ended.
    func answerEnded(_ key: AnswerKey, _ result: Result<[UInt8], Failure>) {
        answerTasks[key] = nil
        let now = Instant.now
        resumed(at: now)
        session.answerEnded(key, result, at: now)
    }

    /// The name server has answered for `endpoint`.
    func resolved(_ result: Result<[SocketAddress], ConnectionError>) {
        let now = Instant.now
        if let outcome = dialer?.resolved(result, at: now) { dialed(outcome, at: now) }
    }

    // MARK: Turns

    /// Handles an event of one of the driver's sockets.
    func handle(_ event: ReadyEvent) {
        let now = Instant.now
        resumed(at: now)
        if let socket, event.key == socket.key {
            if socket.canRead(after: event) { read(at: now) }
        } else if let connection = closing.first(where: { $0.socket.key == event.key }) {
            if connection.socket.canRead(after: event) {
                connection.read(with: &loop.buffer, upTo: SessionDriver.readsPerTurn, at: now)
            }
        } else if let outcome = dialer?.ready(event.key, at: now) {
            dialed(outcome, at: now)
        }
        turn(at: now)
    }

    /// Handles the timer.
    func timerFired() {
        let now = Instant.now
        resumed(at: now)
        if let outcome = dialer?.timerFired(at: now) { dialed(outcome, at: now) }
        turn(at: now)
    }

    /// The machine was suspended for this time.
    func machineResumed(after suspended: Duration) {
        let now = Instant.now
        session.machineResumed(after: suspended, at: now)
        turn(at: now)
    }

    /// Carries out what the commands before have asked for.
    func turn() {
        let now = Instant.now
        resumed(at: now)
        turn(at: now)
    }

    /// Tells the connections, before anything else, that the loop runs again, perhaps late (section 5.11).
    private func resumed(at now: Instant) {
        takeMessages()
        session.resumed(at: now)
        for connection in closing { connection.resumed(at: now) }
    }

    /// Enforces the deadlines, writes, and performs the session's outputs.
    private func turn(at now: Instant) {
        if sinks.status.isWatched, !session.isWatched { session.watch() }
        if let due = session.inPlace({ $0.nextDeadline(at: now) }), due <= now {
            // Bytes that have arrived count before the server is judged silent (section 5.5) or an answer late. A write
            // shows whether the server reads too slowly.
            read(at: now)
            if socket?.watchesWriting ?? false { write(at: now) }
        }
        if session.calls.haveMessages { shutLane() }
        session.enforceDeadlines(at: now)
        performOutputs(at: now)
        settleMessages(at: now)
        write(at: now)
        performOutputs(at: now)
        // Before the callers are resumed: what they send next need not wait.
        openLane(sleeps: true)
        for connection in closing { advance(connection, at: now) }
        closing.removeAll { $0.isOver }
        for (reply, result) in results.take() { loop.resume(reply, returning: result) }
        for (reply, number) in numbers.take() { loop.resume(reply, sent: number) }
        if isOver { for closer in closers.take() { closer.resume() } }
    }

    /// Tells the session what the program has read, which may let the server go on.
    private func settleMessages(at now: Instant) {
        if session.leaving != nil { sinks.messages.watch() }
        if sinks.messages.hasNews { session.taken(sinks.messages.collect(), at: now) }
    }

    // MARK: Messages that their callers have sent

    /// Moves what is in the lane onto the connection.
    private func takeMessages() {
        sinks.lane.take(into: &accepted)
        acceptMessages()
    }

    /// The same, and lets the callers ask the session from now on.
    private func shutLane() {
        sinks.lane.shut(into: &accepted)
        acceptMessages()
    }

    private func acceptMessages() {
        guard !accepted.isEmpty else { return }
        if let event = session.accept(accepted) { sinks.status.publish(event) }
        accepted.removeAll(keepingCapacity: true)
    }

    /// Lets the callers send what the session allows. A driver that `sleeps` is woken by the next message.
    private func openLane(sleeps: Bool) {
        guard let allowance = session.inPlace({ $0.messageAllowance }) else { return shutLane() }
        if sinks.lane.open(allowance, sleeps: sleeps), sleeps { loop.thread.submit(.sent(id)) }
    }

    private func read(at now: Instant) {
        settleMessages(at: now)
        for _ in 0..<SessionDriver.readsPerTurn {
            guard let socket, session.connection != nil else { return }
            do throws(TransportError) {
                switch try socket.read(into: &loop.buffer) {
                case .bytes(let count):
                    // A GOAWAY may close the connection at once: CLOSE must not overtake a message.
                    shutLane()
                    session.received(loop.buffer, upTo: count, at: now)
                    openLane(sleeps: false)
                    if !socket.mayHoldMore(afterReading: count, of: loop.buffer.count) { return }
                case .wouldBlock: return
                case .end: return session.streamEnded(at: now)
                }
            } catch {
                return broke(error, at: now)
            }
        }
    }

    /// The transport can move no more bytes.
    private func broke(_ error: TransportError, at now: Instant) {
        if case .tls(let error) = error {
            session.tlsFailed(ConnectionError(error), at: now)
        } else {
            session.streamBroke("\(error)", at: now)
        }
    }

    private func write(at now: Instant) {
        guard let socket else { return }
        session.prepareWrite(at: now)
        do throws(TransportError) { try socket.flush() } catch { return broke(error, at: now) }
        for _ in 0..<SessionDriver.writesPerTurn {
            guard let unsent = session.connection?.outbox.unsent, !unsent.isEmpty else { break }
            do throws(TransportError) {
                guard case .bytes(let count) = try socket.write(unsent), count > 0 else {
                    session.wrote(0, at: now)
                    break
                }
                session.wrote(count, at: now)
                takeMessages()
                session.sendWaitingCalls(at: now)
            } catch {
                // The server's reason may lie unread behind the reset.
                read(at: now)
                broke(error, at: now)
            }
        }
        if let connection = session.connection {
            loop.setWriting(socket.needsWriting(hasUnsent: !connection.outbox.isEmpty), on: socket)
        }
    }

    /// Advances `connection`, and closes its socket or watches it further.
    private func advance(_ connection: ClosingConnection, at now: Instant) {
        connection.advance(at: now)
        if connection.isOver {
            loop.unwatch(connection.socket)
        } else {
            loop.setWriting(connection.needsWriting, on: connection.socket)
        }
    }

    // MARK: Outputs

    /// Performs the session's outputs. The state and the counts are published before the events and results that follow from
    /// them.
    private func performOutputs(at now: Instant) {
        publishState()
        if session.hasNewCounts {
            session.hasNewCounts = false
            sinks.status.publish(session.inPlace { $0.messageCounts })
        }
        while let output = session.nextOutput() {
            switch output {
            case .dial(let server):
                let dialer = Dialer(to: servers[server], with: tls, for: self, loop: loop)
                self.dialer = dialer
                dialed(dialer.start(at: now), at: now)
            case .dialNext:
                if let dialer { dialed(dialer.next(at: now), at: now) }
            case .stopDialing:
                dialer?.stop()
                dialer = nil
            case .releaseConnection:
                shutLane()
                guard let socket, let connection = session.takeReleased() else { continue }
                self.socket = nil
                for task in answerTasks.values { task.cancel() }
                let released = ClosingConnection(socket, connection)
                closing.append(released)
                // The kernel has CLOSE before any caller is resumed, so a program may end at once.
                advance(released, at: now)
            case .finish(let call, let result):
                if let reply = replies.removeValue(forKey: call) { results.append((reply, result)) }
            case .sent(let call, let number):
                if let reply = replies.removeValue(forKey: call) { numbers.append((reply, number)) }
            case .message(let message):
                if sinks.messages.add(message, isCredited: session.isCredited) {
                    sinks.status.publish(.messagesDropped(sinks.messages.dropped))
                }
            case .answer(let key, let request):
                guard let answer = sinks.answer else { continue }
                answerTasks[key] = startAnswer(key, request, of: id, by: answer, on: loop.thread)
            case .cancelAnswer(let key): answerTasks[key]?.cancel()
            case .event(let event):
                if case .closed = event { sinks.messages.finish() }
                sinks.status.publish(event)
            }
        }
    }

    private func dialed(_ outcome: Dialer.Outcome, at now: Instant) {
        switch outcome {
        case .pending: return
        case .connected(let socket, let address, let others):
            self.socket = socket
            if others == 0 { dialer = nil }
            session.dialed("\(address)", others: others, unread: sinks.messages.beginConnection(), at: now)
        case .failed(let error):
            dialer = nil
            session.dialFailed(error, at: now)
        }
    }

    private func publishState() {
        let state: ConnectionState =
            switch session.phase {
            case .dialing, .greeting: .connecting
            case .open where session.isGoingAway: .goingAway
            case .open:
                session.connection?.welcome.map { .open(ConnectionTerms($0, server: session.server)) } ?? .connecting
            case .waiting(let until): .waiting(until: .now + (until - .now))
            case .closed(let error): .closed(error)
            }
        // The end of the same wait differs by nanoseconds each time that it is computed.
        if case .waiting = state, case .waiting = publishedState { return }
        guard state != publishedState else { return }
        publishedState = state
        sinks.status.publish(state)
    }
}

extension Session {
    /// Asks a session that an object owns. A call that does not change the session would copy all of it first: the object
    /// might change it meanwhile.
    @inline(__always)
    fileprivate mutating func inPlace<Result>(_ body: (borrowing Session) -> Result) -> Result { body(self) }
}
