import Basics
import Framing
import Liveness
import Posix

/// The process of one connection: it waits in poll(2) for bytes, a signal or the next deadline, and carries out what
/// `ServerConnection` decides. It never returns to the parent's code.
///
/// When the connection is over, the process stays until its worker is: for as long as the handler takes to come back,
/// but no longer than the grace.
struct ConnectionProcess: ~Copyable {
    /// For a heartbeat, or a few small requests, which is all that most connections ever send at a time. It shares its page
    /// of memory with what else the child has.
    /// With 64 KiB a short connection takes 5 % more processor time, and 3 page faults more (tools/dev/cost).
    static var firstBuffer: [UInt8] { buffer(of: 1024) }
    /// What a client gets that has filled the first: larger than a frame, so that one of the default size comes in one
    /// call.
    private static var bufferSize: Int { 65536 }
    /// After so many writes in a row the client's bytes get their turn.
    private static var writesAtOnce: Int { 8 }
    /// The exit status where the client has failed the handshake: the child's word counts against its own client alone.
    static let failedHandshake: Int32 = 3
    /// How many reads a shutdown waits for, at most, to find the requests that have already come.
    private static var lastReads: Int { 64 }
    /// What a crash of the handler sends to the client.
    static var crashNotice: [UInt8] { Close(.handlerFailed, "the handler crashed").frame }
    private static var farewell: String { "the server is shutting down" }

    /// What of the options a child goes by. The options themselves own arrays, of which each copy writes into memory that
    /// parent and child share until then.
    struct Service {
        let terms: Terms
        let grace: Duration
        let handlerTimeout: Duration?
    }

    private let socket: Descriptor
    private let signals: OwnedResource<SignalDescriptor>
    /// That of `signals`: what a class holds is checked at each look.
    private let signalNumber: Int32
    private let peer: SocketAddress
    private let id: UInt64
    private let acceptedAt: Instant
    private let grace: Duration
    private let log: Log
    private let slot: Scoreboard.Slot
    private let orders: ChildCommands.Inbox
    private var title: ChildTitle
    private let lastWords: CrashNotice
    private let worker: any HandlerRunner
    private var connection: ServerConnection
    private var buffer: [UInt8]
    /// What poll(2) is asked, of which the memory is kept: the signals, the socket, and the worker's.
    private var entries: [PollEntry] = []
    private var mayRead = true
    private var isBlocked = false
    private var hasReported = false
    /// Whether a signal told it to end.
    private var isTold = false
    /// Whether something was written since others have last had a turn.
    private var hasWritten = false
    private var turns = BusyPolling()
    /// Whether the worker was told of the end.
    private var hasSaidEnd = false
    /// When the worker is given up, once the connection is over.
    private var leaveBy: Instant?
    /// When the client that was sent away may come back.
    private var comeBack: Instant?

    // Inlined, so that the value is built in its place: a call copies it twice, which costs 400 instructions.
    @inline(__always)
    init(
        _ socket: consuming Descriptor, peer: SocketAddress, id: UInt64, acceptedAt: Instant, service: Service,
        handshakeTimeout: Duration, tokens: Tokens?, log: Log, slot: Scoreboard.Slot, orders: ChildCommands.Inbox,
        title: ProcessTitle?, worker: any HandlerRunner, signals: OwnedResource<SignalDescriptor>,
        buffer: consuming [UInt8]
    ) {
        self.signals = signals
        signalNumber = signals.number ?? -1
        lastWords = CrashNotice(numberAt: Close.lastIDOffset, to: socket, sizeAt: slot.crashSizeAddress)
        self.socket = socket
        self.peer = peer
        self.id = id
        self.acceptedAt = acceptedAt
        grace = service.grace
        self.log = log
        self.slot = slot
        self.orders = orders
        self.title = ChildTitle(title, peer: peer)
        self.worker = worker
        connection = ServerConnection(
            id: id, terms: service.terms, handshakeTimeout: handshakeTimeout, acceptedAt: acceptedAt,
            tokens: tokens, handlerTimeout: worker.judgesTime ? nil : service.handlerTimeout)
        self.buffer = buffer
    }

    /// Whatever is in it is overwritten before it is read.
    private static func buffer(of size: Int) -> [UInt8] { Array(unsafeUninitializedCapacity: size) { $1 = size } }

    /// What every child reads its signals from, which are blocked from now on. It is opened once, before the first fork:
    /// each process reads its own from it (signalfd(2)).
    static func signals() throws(SystemError) -> SignalDescriptor {
        try SignalDescriptor([Signal.terminate, Signal.quit, Signal.reopen, Signal.call, Signal.childEnded])
    }

    /// Serves the connection until it is over, and returns the status to leave with.
    mutating func run() -> Int32 {
        // What the client sent at once is there by now as a rule, so the first wait is saved.
        var now = Instant.now
        read(at: now)
        while true {
            serve([], at: now)
            write(at: now)
            show()
            if connection.isOver, mayLeave(at: now) { return leave() }
            if mayLook() {
                let isThere = look(from: &now)
                connection.enforceDeadlines(at: now)
                // What was due meanwhile is said before it waits.
                if isThere || !mayRead || !connection.outbox.isEmpty { continue }
            }
            wait()
            let begun = now
            now = .now
            turns.waited(for: now - begun)
            connection.resumed(at: now)
            if entries[1].isReadable {
                if mayRead { read(at: now) } else { connection.broke("the client is gone") }
            }
            if entries[0].isReadable, !takeSignals(at: now) { return leave() }
            serve(entries.count > 2 ? entries[2...] : [], at: now)
            // poll(2) announces room only when a third of the send buffer is free. A slow reader may have made less of
            // it, and is judged by what the kernel takes, so that is tried first.
            if isBlocked { write(at: now) }
            connection.enforceDeadlines(at: now)
        }
    }

    private mutating func wait() {
        entries.removeAll(keepingCapacity: true)
        entries.reserveCapacity(2)
        entries.append(PollEntry(signalNumber))
        // A client that ended its stream is still waited for: poll(2) says when it is gone altogether.
        entries.append(PollEntry(leaveBy == nil ? socket.number : -1, reading: mayRead, writing: isBlocked))
        worker.append(to: &entries, for: &connection)
        do {
            try poll(&entries, until: earlier(leaveBy ?? connection.deadline, worker.deadline))
        } catch {
            connection.broke("\(error)")
        }
    }

    /// Whether to look for what the client says next before it is waited for: it was told something, and may answer, or
    /// end, meanwhile. While a handler works, poll(2) is to tell of it too.
    private mutating func mayLook() -> Bool {
        guard hasWritten, !isBlocked, mayRead, leaveBy == nil, !connection.isHandlerBusy else { return false }
        hasWritten = false
        return turns.shouldBusyPoll()
    }

    /// Gives others a turn and looks whether the client has said more, again and again where that pays; `now` is the
    /// instant of the last look.
    private mutating func look(from now: inout Instant) -> Bool {
        while true {
            let last = now
            yieldProcessor()
            now = .now
            connection.resumed(at: now)
            let isThere = read(at: now)
            guard turns.polled(isThere, for: now - last), mayRead else { return isThere }
        }
    }

    /// What an operator sees of this connection: a few stores, once a turn.
    private mutating func show() {
        let state = connection.activity
        slot.publish(
            requests: connection.requestsServed, bytesIn: connection.bytesIn, bytesOut: connection.outbox.sent,
            inFlight: UInt32(clamping: connection.inFlight), activity: state)
        title.show(state)
        for time in connection.fetchRoundTrips() { slot.add(roundTrip: time) }
    }

    /// False where one says that it is over.
    private mutating func takeSignals(at now: Instant) -> Bool {
        while let (signal, _) = signals.next() {
            switch signal {
            case Signal.terminate: terminate(at: now)
            case Signal.quit:
                quit(at: now)
                return false
            case Signal.reopen: log.reopen()
            default: worker.signalled(signal, at: now)
            }
        }
        return true
    }

    /// One read, and all that it brings; false where nothing came.
    @discardableResult
    private mutating func read(at now: Instant) -> Bool {
        let isFull: Bool
        do throws(SystemError) {
            switch try socket.receive(into: &buffer) {
            case .wouldBlock:
                return false
            case .end:
                mayRead = false
                connection.endOfStream(at: now)
                return false
            case .bytes(let count):
                connection.received(count, at: now)
                slot.heardAt = now
                isFull = count == buffer.count
            }
        } catch {
            mayRead = false
            connection.broke("\(error)")
            return false
        }
        while let event = connection.next(in: buffer, at: now) { give(event, at: now) }
        if isFull, buffer.count < ConnectionProcess.bufferSize {
            buffer = ConnectionProcess.buffer(of: ConnectionProcess.bufferSize)
        }
        return true
    }

    /// Fetches what the worker has made, and gives it what is next.
    private mutating func serve(_ entries: ArraySlice<PollEntry>, at now: Instant) {
        worker.work(entries, on: &connection, at: now)
        while let event = connection.next(at: now) { give(event, at: now) }
        if !connection.isHandlerBusy { slot.request = 0 }
    }

    private mutating func give(_ event: consuming ServerConnection.Event, at now: Instant) {
        switch event {
        case .opened(let hello):
            if let name = hello.options.name { slot.name = Array(name.utf8) }
            slot.hasGreeted = true
            report(.debug, .opened)
            worker.opened(hello, tokenName: connection.tokenName, on: &connection, at: now)
        case .request(let id, let bytes):
            slot.request = id
            prepareLastWords()
            worker.take(Request(id: id, bytes: bytes), on: &connection, at: now)
        case .message(let message):
            slot.request = 0
            worker.take(message: message, on: &connection, at: now)
        case .cancelled(let id): worker.cancel(id, on: &connection, at: now)
        }
    }

    /// The kernel may say them where a whole frame was the last thing sent.
    private mutating func prepareLastWords() {
        let mayBeSaid = connection.hasGreeted && !connection.isClosing && connection.outbox.isEmpty
        lastWords.arm(mayBeSaid, number: connection.lastID)
    }

    private mutating func write(at now: Instant) {
        isBlocked = false
        guard !connection.outbox.isEmpty else { return sayEnd() }
        lastWords.arm(false, number: 0)
        defer { prepareLastWords() }
        var writes = 0
        while !connection.outbox.isEmpty, !isBlocked {
            guard writes < ConnectionProcess.writesAtOnce else {
                isBlocked = true  // poll(2) says at once that there is room, and what was read meanwhile comes first.
                break
            }
            writes += 1
            do throws(SystemError) {
                switch try socket.send(connection.outbox.unsent, endFollows: connection.outbox.endsWithClose) {
                case .bytes(let count):
                    hasWritten = true
                    connection.wrote(count, at: now)
                case .wouldBlock, .end:
                    connection.wrote(0, at: now)
                    isBlocked = true
                }
            } catch {
                connection.broke("\(error)")
                return
            }
        }
        sayEnd()
    }

    /// Once CLOSE is written, or nothing can be any more.
    private mutating func sayEnd() {
        guard connection.hasSaidAll else { return }
        if !hasReported {
            if hasDroppedSilent { standBack() }
            socket.shutdownWriting()
            reportEnd()
        }
        guard !hasSaidEnd, connection.hasDispatchedAll else { return }
        hasSaidEnd = true
        if connection.hasGreeted { worker.closed(connection.closeReason) }
    }

    /// Where a network fails, many are silent at once: those that are not dropped yet, and those that live, are not to
    /// wait for the ends of the others, of which each takes several times as long as the drop. So it stands back.
    private var hasDroppedSilent: Bool {
        if case .closed(.silent, _, by: .server) = connection.closeReason { true } else { false }
    }

    /// The end, in the log and for who counts it.
    private mutating func reportEnd() {
        guard !hasReported else { return }
        hasReported = true
        slot.lateness = connection.lateness
        slot.closeReason = CloseReasonLabel.numbers(of: connection.closeReason)
        report(connection.closeReason.level, .closed)
    }

    /// SIGTERM: an operator ends this connection. Or the requests that have come are answered, then the client is sent
    /// away: while the server drains it goes by itself, else the connection is closed.
    private mutating func terminate(at now: Instant) {
        isTold = true
        let order = orders.command
        guard order != .kick else { return connection.kick(at: now) }
        readWhatHasCome(at: now)
        if case .sendAway(let milliseconds) = order, comeBack == nil {
            comeBack = now + .milliseconds(milliseconds)
            return connection.sendAway(GoAway(.shuttingDown, ConnectionProcess.farewell, retryAfter: milliseconds))
        }
        let (goAway, retryAfter) = lastWords(at: now)
        connection.terminate(goAway, retryAfter: retryAfter, at: now)
    }

    /// SIGQUIT: the client is told so if the kernel takes it, and nobody is waited for.
    private mutating func quit(at now: Instant) {
        isTold = true
        let (goAway, retryAfter) = lastWords(at: now)
        connection.quit(goAway, retryAfter: retryAfter, at: now)
        write(at: now)
        reportEnd()
        // With unread bytes the socket would be reset, and what was just said be lost.
        readWhatHasCome(at: now)
    }

    private mutating func readWhatHasCome(at now: Instant) {
        var reads = 0
        while reads < ConnectionProcess.lastReads, mayRead, read(at: now) { reads += 1 }
    }

    /// What a client is told that was not sent away before: it comes back at an instant of chance. The retry_after is
    /// for those that get CLOSE alone, which has no spread.
    private func lastWords(at now: Instant) -> (GoAway, retryAfter: UInt32) {
        let spread = milliseconds(from: now, to: now + DrainSchedule.leastReturn)
        return (
            GoAway(.shuttingDown, ConnectionProcess.farewell, spread: spread),
            comeBack.map { milliseconds(from: now, to: $0) } ?? .random(in: 0...spread)
        )
    }

    /// It changes nothing; for a call that may not, all of the child is copied.
    private mutating func report(_ level: LogLevel, _ event: LogEvent) {
        log.write(event, at: level, reason: hasReported ? connection.closeReason.kind : "") { line in
            line.number("connection", id)
            line.number("pid", processID)
            line.address("peer", peer)
            if let name = connection.hello?.options.name { line.text("name", name) }
            if let name = connection.tokenName { line.text("token", name) }
            guard hasReported else { return }
            line.text("reason", connection.closeReason.name)
            if case .closed(_, _, let side) = connection.closeReason { line.text("by", side.rawValue) }
            line.seconds("age", .now - acceptedAt)
            line.number("requests", connection.requestsServed)
            line.number("bytes_in", connection.bytesIn)
            line.number("bytes_out", connection.outbox.sent)
            if !connection.closeReason.text.isEmpty { line.text("text", connection.closeReason.text) }
        }
    }

    /// The connection is over; the process is when the worker is.
    private mutating func mayLeave(at now: Instant) -> Bool {
        sayEnd()
        if leaveBy == nil { leaveBy = now + grace }
        if isDone || connection.isStuck || leaveBy! <= now { return true }
        socket.shutdown()
        return false
    }

    private var isDone: Bool { hasSaidEnd && (!connection.hasGreeted || worker.isOver) }

    /// Whether nothing is left of this connection, so that the process may serve another.
    var hasLeftNothing: Bool {
        isDone && !connection.isStuck && !isTold && !hasDroppedSilent && !connection.hasFailedHandshake
    }

    private mutating func leave() -> Int32 {
        worker.giveUp()
        show()
        // Its number may soon be another connection's.
        lastWords.arm(false, number: 0)
        slot.isFinished = true
        return connection.hasFailedHandshake ? ConnectionProcess.failedHandshake : 0
    }
}

extension CloseReason {
    /// The name of the code, or LOST.
    var name: String {
        switch self {
        case .closed(let code, _, _): code.description
        case .lost: "LOST"
        }
    }

    /// The name for the log's flood of one reason, of which a client can make no new ones.
    var kind: String {
        if case .closed(let code, _, _) = self, Code.internal.rawValue < code.rawValue { "unknown code" } else { name }
    }

    var text: String {
        switch self {
        case .closed(_, let text, _), .lost(let text): text
        }
    }

    /// What ends as it should is information; a drop, a break or a violation is a warning.
    var level: LogLevel {
        switch self {
        case .closed(.normal, _, _), .closed(.shuttingDown, _, _): .info
        case .closed, .lost: .warning
        }
    }
}
