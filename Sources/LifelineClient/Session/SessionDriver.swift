import Basics
import Framing
import Posix

/// Carries out what one `Session` decides: its sockets, its callers and what the program sees of it.
///
/// Every turn is the same: the session hears what came, judges what is due, and what it put out is carried out.
final class SessionDriver {
    let id: LinkID
    private let endpoint: Endpoint
    private let sinks: LinkSinks
    private unowned let loop: EventLoop
    private var session: Session
    private var dialer: Dialer?
    private var socket: Socket?
    /// Connections that have ended and are seen off.
    private var departing: [Departing] = []
    private var replies: [Call.ID: Reply] = [:]
    /// Outcomes of this turn. Their callers go on when all is written: a program may end with its last request, and its
    /// CLOSE would be lost.
    private var outcomes: [(Reply, Result<[UInt8], RequestError>)] = []
    private var closers: [CheckedContinuation<Void, Never>] = []
    private var told = ConnectionState.connecting
    /// The loop's own: the instant of this link's timer, and whether it waits for its turn.
    var timer: Instant?
    var isTouched = false

    /// Reads and writes of one turn, so that no link keeps the others waiting.
    private static let readsPerTurn = 4
    private static let writesPerTurn = 32

    private final class Departing {
        let socket: Socket
        var connection: ClientConnection
        var isShutDown = false

        init(_ socket: Socket, _ connection: ClientConnection) {
            self.socket = socket
            self.connection = connection
        }
    }

    init(_ id: LinkID, to endpoint: Endpoint, _ session: Session, _ sinks: LinkSinks, loop: EventLoop) {
        self.id = id
        self.endpoint = endpoint
        self.session = session
        self.sinks = sinks
        self.loop = loop
    }

    /// Whether nothing is left to do: the session is closed and its last socket too.
    var isOver: Bool {
        if case .closed = session.phase { departing.isEmpty } else { false }
    }

    var deadline: Instant? {
        let own = earlier(session.nextDeadline(at: .now), dialer?.deadline)
        return departing.reduce(own) { earlier($0, $1.connection.deadline) }
    }

    // MARK: What the program asks

    func start(_ call: Call.ID, _ request: Call, _ reply: Reply) {
        replies[call] = reply
        session.start(call, request)
    }

    func abandon(_ call: Call.ID) {
        let now = Instant.now
        woke(at: now)
        session.abandon(call, .cancelled, at: now)
    }

    func close(_ continuation: CheckedContinuation<Void, Never>?) {
        if let continuation { closers.append(continuation) }
        let now = Instant.now
        woke(at: now)
        session.close(at: now)
    }

    func resolved(_ result: Result<[SocketAddress], ConnectionError>) {
        let now = Instant.now
        if let outcome = dialer?.resolved(result, at: now) { dialed(outcome, at: now) }
    }

    // MARK: Turns

    /// A socket of this link is ready.
    func ready(_ event: ReadyEvent) {
        let now = Instant.now
        woke(at: now)
        if event.key == socket?.key {
            if event.isReadable { read(at: now) }
        } else if let leaving = departing.first(where: { $0.socket.key == event.key }) {
            if event.isReadable { seeOff(leaving, at: now) }
        } else if let outcome = dialer?.ready(event.key, at: now) {
            dialed(outcome, at: now)
        }
        turn(at: now)
    }

    /// The deadline has come.
    func timerFired() {
        let now = Instant.now
        woke(at: now)
        if let outcome = dialer?.woke(at: now) { dialed(outcome, at: now) }
        turn(at: now)
    }

    /// The program has asked for something.
    func turn() {
        let now = Instant.now
        woke(at: now)
        turn(at: now)
    }

    /// The loop runs again, perhaps late (section 5.11): told before anything else.
    private func woke(at now: Instant) {
        session.woke(at: now)
        for leaving in departing { leaving.connection.woke(at: now) }
    }

    /// Judges what is due, writes what there is, and carries out what was decided.
    private func turn(at now: Instant) {
        if let due = session.nextDeadline(at: now), due <= now {
            // Bytes that have arrived are read before anyone is judged silent (section 5.5) or an answer late, and who
            // reads slowly is judged by what the kernel takes.
            read(at: now)
            if socket?.isWriting ?? false { write(at: now) }
        }
        session.judge(at: now)
        carryOut(at: now)
        write(at: now)
        carryOut(at: now)
        for leaving in departing { finish(leaving, at: now) }
        departing.removeAll { $0.connection.isOver }
        for (reply, result) in outcomes.take() { reply.resume(returning: result) }
        if isOver { for closer in closers.take() { closer.resume() } }
    }

    private func read(at now: Instant) {
        for _ in 0..<SessionDriver.readsPerTurn {
            guard let socket, session.connection != nil else { return }
            do {
                switch try socket.descriptor.receive(into: &loop.buffer) {
                case .bytes(let count):
                    session.received(loop.buffer, upTo: count, at: now)
                    if count < loop.buffer.count { return }
                case .wouldBlock: return
                case .end: return session.streamEnded(at: now)
                }
            } catch {
                return session.streamBroke("\(error)", at: now)
            }
        }
    }

    private func write(at now: Instant) {
        guard let socket else { return }
        for _ in 0..<SessionDriver.writesPerTurn {
            guard let unsent = session.connection?.outbox.unsent, !unsent.isEmpty else { break }
            do {
                guard case .bytes(let count) = try socket.descriptor.send(unsent), count > 0 else {
                    session.wrote(0, at: now)
                    break
                }
                session.wrote(count, at: now)
                session.feed(at: now)
            } catch {
                // The reason may lie unread behind the reset.
                read(at: now)
                session.streamBroke("\(error)", at: now)
            }
        }
        if let connection = session.connection { loop.setWriting(!connection.outbox.isEmpty, on: socket) }
    }

    // MARK: Outputs

    /// The state is told before the events and outcomes that come of it.
    private func carryOut(at now: Instant) {
        tellState()
        while let output = session.nextOutput() {
            switch output {
            case .dial:
                let dialer = Dialer(to: endpoint, for: self, loop: loop)
                self.dialer = dialer
                dialed(dialer.start(at: now), at: now)
            case .stopDialing:
                dialer?.stop()
                dialer = nil
            case .depart:
                guard let socket, let connection = session.takeDeparting() else { continue }
                self.socket = nil
                let leaving = Departing(socket, connection)
                departing.append(leaving)
                // CLOSE is with the kernel before anyone is told, and so before a program that ends at that.
                finish(leaving, at: now)
            case .finish(let call, let result):
                if let reply = replies.removeValue(forKey: call) { outcomes.append((reply, result)) }
            case .message(let message):
                if sinks.messages.add(message) { sinks.monitor.tell(.messagesDropped(sinks.messages.dropped)) }
            case .event(let event):
                if case .closed = event { sinks.messages.finish() }
                sinks.monitor.tell(event)
            }
        }
    }

    private func dialed(_ outcome: Dialer.Result, at now: Instant) {
        switch outcome {
        case .pending: return
        case .connected(let socket):
            self.socket = socket
            dialer = nil
            session.dialed()
        case .failed(let error):
            dialer = nil
            session.dialFailed(error, at: now)
        }
    }

    private func tellState() {
        let state: ConnectionState =
            switch session.phase {
            case .dialing, .greeting: .connecting
            case .open where session.isGoingAway: .goingAway
            case .open: session.connection?.welcome.map { .open(ConnectionTerms($0)) } ?? .connecting
            case .waiting(let until): .waiting(until: .now + (until - .now))
            case .closed(let error): .closed(error)
            }
        // The end of the same wait is a few nanoseconds elsewhere each time that it is reckoned.
        if case .waiting = state, case .waiting = told { return }
        guard state != told else { return }
        told = state
        sinks.monitor.set(state)
    }

    // MARK: Departing

    /// Reads what a server still sends, so that no reset eats what this side said.
    private func seeOff(_ leaving: Departing, at now: Instant) {
        for _ in 0..<SessionDriver.readsPerTurn {
            do {
                switch try leaving.socket.descriptor.receive(into: &loop.buffer) {
                case .bytes: continue
                case .wouldBlock: return
                case .end: _ = leaving.connection.ended()
                }
            } catch {
                _ = leaving.connection.broke("\(error)")
            }
            return
        }
    }

    private func finish(_ leaving: Departing, at now: Instant) {
        while !leaving.connection.isOver, !leaving.connection.outbox.isEmpty {
            guard let sent = try? leaving.socket.descriptor.send(leaving.connection.outbox.unsent) else {
                _ = leaving.connection.broke("")
                break
            }
            guard case .bytes(let count) = sent, count > 0 else {
                leaving.connection.wrote(0, at: now)
                break
            }
            leaving.connection.wrote(count, at: now)
        }
        if leaving.connection.outbox.isEmpty { leaving.connection.wrote(0, at: now) }
        _ = leaving.connection.judge(at: now)
        if leaving.connection.hasSaidAll, !leaving.isShutDown {
            leaving.isShutDown = true
            leaving.socket.descriptor.shutdownWriting()
        }
        if leaving.connection.isOver {
            loop.unwatch(leaving.socket)
        } else {
            loop.setWriting(!leaving.connection.outbox.isEmpty, on: leaving.socket)
        }
    }
}
