import Basics
import Framing
import Liveness
import Posix

/// Drives one connection: it carries bytes between the transport and `ServerConnection`, and events and outputs between
/// that and the handler runner. It keeps the connection's slot of the scoreboard, and logs its end.
///
/// An event loop owns the driver, and may own others: nothing here is of the process. A turn of the loop is `runHandler`,
/// `write`, `finishSending` once it `isDoneSending`, `publishStatistics`, and, unless the driver `isOver`, a wait for
/// `addInterests` until `deadline`. Behind the wait come `resumed`, `read`, `runHandler`, `write` and `enforceDeadlines`.
/// What is asked at each turn is inlined: for a call the driver's two kilobytes would be copied.
///
/// When the connection has ended, the driver waits for the runner: until that is over too. Up to the grace the handler gets
/// the messages that came before the end. The rest is thrown away, and the handler has a second more to hear of the end.
struct ConnectionDriver: ~Copyable {
    /// How many writes follow each other before the loop reads again.
    private static var writesAtOnce: Int { 8 }
    private static var shutdownText: String { "the server is shutting down" }

    private let transport: ServerTransport
    private let id: UInt64
    private let peer: SocketAddress
    private let acceptedAt: Instant
    private let grace: Duration
    private let log: Log
    private let slot: Scoreboard.Slot
    private let runner: any HandlerRunner
    private let loopWaits: Bool
    /// The notice of the process's crash, where the process lends it to this connection.
    private let crashNotice: CrashNotice?
    private var connection: ServerConnection
    /// The transport in the loop's last wait.
    private var interest: PollSet.Token?
    /// Whether the client's stream goes on.
    private(set) var canRead = true
    /// Whether the transport takes no more bytes now.
    private(set) var isBlocked = false
    /// Whether something was written since `takeExpectsBytes` was true last.
    private var hasWritten = false
    private var hasReported = false
    /// The counts that the slot has.
    private var publishedCounts = ConnectionCounts()
    private var memory: ConnectionMemory
    /// Whether the runner knows of the connection's end.
    private var runnerKnowsEnd = false
    private var patience = HandlerPatience()
    /// When CLOSE was written, or nothing could be written any more.
    private var endedAt: Instant?
    /// When the client that was sent away may return.
    private var clientReturnsAt: Instant?

    /// A driver of a connection that was accepted and has not been read from.
    ///
    /// - Parameters:
    ///   - assignment: Which connection it is.
    ///   - tokens: The tokens that HELLO is compared with; nil where everybody may connect.
    ///   - slot: The connection's own.
    ///   - runner: The connection's own.
    ///   - crashNotice: The process's notice, if a crash is to tell this client.
    @inline(__always)
    init(
        _ transport: consuming ServerTransport, _ assignment: ConnectionAssignment, _ settings: ConnectionSettings,
        tokens: Tokens?,
        log: Log, slot: Scoreboard.Slot, runner: any HandlerRunner, crashNotice: CrashNotice?
    ) {
        self.transport = transport
        id = assignment.connection
        peer = assignment.peer
        acceptedAt = assignment.acceptedAt
        grace = settings.grace
        self.log = log
        self.slot = slot
        self.runner = runner
        loopWaits = runner.loopWaits
        self.crashNotice = crashNotice
        connection = ServerConnection(
            id: id, terms: settings.terms, handshakeTimeout: assignment.handshakeTimeout, acceptedAt: acceptedAt,
            tokens: tokens, handlerTimeout: runner.enforcesTimeout ? nil : settings.handlerTimeout,
            lifetime: ConnectionLifetime(
                maxAge: settings.maxAge, maxIdle: settings.maxIdle, grace: settings.grace, acceptedAt: acceptedAt,
                random: { .random(in: 0..<1) }),
            grace: settings.grace)
        memory = ConnectionMemory(slot, of: &connection)
    }

    // MARK: Waiting

    /// Adds what the connection waits for.
    mutating func addInterests(to set: inout PollSet) {
        // A client that has ended its stream is still waited for: poll(2) says when it is gone altogether.
        interest =
            patience.deadline == nil ? transport.addInterest(to: &set, reading: canRead, writing: isBlocked) : nil
        if loopWaits { runner.willWait(connection.credit, adding: &set) }
    }

    /// When the loop has to wake at the latest; asked behind `addInterests`.
    @inline(__always) var deadline: Instant? {
        earlier(memory.deadline, earlier(patience.deadline ?? connection.deadline, loopWaits ? runner.deadline : nil))
    }

    /// The loop runs again: called first in each turn, before anything is read.
    mutating func resumed(at now: Instant) {
        if connection.mayExtendLinger(at: now) {
            connection.extendLinger(unacknowledged: transport.unacknowledged, at: now)
        }
        connection.resumed(at: now)
        memory.updateShare(of: &connection)
    }

    /// The machine was suspended: the client has to prove that it is there.
    mutating func machineResumed(at now: Instant) { connection.machineResumed(at: now) }

    /// Whether the wait found something to `read`.
    @inline(__always) func isReadable(in set: PollSet) -> Bool { set.isReadable(interest) }

    /// Whether something was written since this was true last, and only the client's bytes are waited for: they may come
    /// at once.
    mutating func takeExpectsBytes() -> Bool {
        guard hasWritten, !isBlocked, canRead, patience.deadline == nil, !connection.isHandlerBusy else { return false }
        hasWritten = false
        return true
    }

    /// Whether there are bytes to `write`.
    @inline(__always) var hasUnsent: Bool { !connection.outbox.isEmpty }

    /// Judges the client and the handler, behind all that was there to be read.
    mutating func enforceDeadlines(at now: Instant) {
        connection.enforceDeadlines(at: now)
        if let limit = connection.takeSentAwayFor() { report(.sentAway, for: limit) }
        memory.releaseWhatIsFree(at: now)
    }

    // MARK: The client's bytes

    /// Reads once into `buffer`, and brings the handler all that has come. Returns how many bytes did.
    ///
    /// All of them are used up, so connections may share the buffer.
    mutating func read(into buffer: inout [UInt8], at now: Instant) -> Int {
        guard canRead else {
            connection.broke("the client is gone")
            return 0
        }
        let count: Int
        do throws(SystemError) {
            switch try transport.read(into: &buffer) {
            case .wouldBlock:
                return 0
            case .end:
                canRead = false
                connection.endOfStream(at: now)
                return 0
            case .bytes(let some):
                count = some
                connection.received(count, at: now)
                slot.heardAt = now
            }
        } catch {
            canRead = false
            connection.broke("\(error)", byClient: error.isReset)
            return 0
        }
        while let event = connection.next(in: buffer, at: now) { dispatch(event, at: now) }
        return count
    }

    /// The connection cannot go on.
    mutating func broke(_ text: String) { connection.broke(text) }

    /// Writes what the transport takes, up to `writesAtOnce` times.
    mutating func write(at now: Instant) {
        isBlocked = false
        connection.prepareWrite(at: now)
        guard hasUnsent else { return }
        crashNotice?.arm(false, number: 0)
        defer { armCrashNotice() }
        var writes = 0
        while hasUnsent, !isBlocked {
            guard writes < ConnectionDriver.writesAtOnce else {
                isBlocked = true  // poll(2) says at once that there is room, and what was read meanwhile comes first.
                break
            }
            writes += 1
            do throws(SystemError) {
                switch try transport.write(connection.outbox.unsent, endFollows: connection.outbox.endsWithClose) {
                case .bytes(let count):
                    hasWritten = true
                    connection.wrote(count, at: now)
                case .wouldBlock, .end:
                    connection.wrote(0, at: now)
                    isBlocked = true
                }
            } catch {
                connection.broke("\(error)", byClient: error.isReset)
                return
            }
        }
    }

    /// Lets a crash send its notice where a whole frame was the last thing sent, and the client can make sense of it.
    @inline(__always) private func armCrashNotice() {
        guard let crashNotice else { return }
        let isArmed = connection.hasGreeted && !connection.isClosing && connection.outbox.isEmpty
        crashNotice.arm(isArmed, number: connection.lastID)
    }

    // MARK: The handler

    /// Fetches what the runner has made, and gives it what is next. `set` is what the loop has just waited for.
    mutating func runHandler(after set: PollSet, at now: Instant) {
        if loopWaits { runner.hasWaited(set) }
        runHandler(at: now)
    }

    /// Fetches what the runner has made, and gives it what is next.
    mutating func runHandler(at now: Instant) {
        runner.deliver(to: &connection, at: now)
        while let event = connection.next(at: now) { dispatch(event, at: now) }
        if !connection.isHandlerBusy { slot.request = 0 }
    }

    /// A child of this process has ended.
    func childEnded(at now: Instant) { runner.childEnded(at: now) }

    private mutating func dispatch(_ event: consuming ServerConnection.Event, at now: Instant) {
        switch event {
        case .opened(let hello):
            if let name = hello.options.name { slot.name = Array(name.utf8) }
            slot.hasGreeted = true
            report(.opened)
            runner.opened(hello, tokenName: connection.tokenName, on: &connection, at: now)
        case .request(let id, let bytes):
            slot.request = id
            armCrashNotice()
            runner.respond(to: Request(id: id, bytes: bytes), on: &connection, at: now)
        case .message(let message):
            slot.request = 0
            runner.received(message, on: &connection, at: now)
        case .cancelled(let id): runner.cancel(id, on: &connection, at: now)
        }
    }

    // MARK: The end

    /// Whether CLOSE is written, or nothing can be written any more.
    @inline(__always) var isDoneSending: Bool { connection.hasSaidAll }

    /// Whether the server has dropped the client because it was silent.
    @inline(__always) var hasDroppedSilent: Bool {
        if case .closed(.silent, _, by: .server) = connection.closeReason { true } else { false }
    }

    /// Whether the client has failed the handshake.
    var hasFailedHandshake: Bool { connection.hasFailedHandshake }

    /// The driver `isDoneSending`: ends the stream, reports the end once no message waits any more, and tells the runner when
    /// that has been given all.
    mutating func finishSending() {
        if endedAt == nil {
            endedAt = .now
            transport.endWriting()
        }
        if !connection.hasPendingMessages { reportEnd() }
        guard !runnerKnowsEnd, connection.hasDispatchedAll else { return }
        runnerKnowsEnd = true
        if connection.hasGreeted { runner.closed(connection.closeReason) }
    }

    /// Ends the connection as the parent says; nil is a signal of somebody else, and means the same as `end`.
    ///
    /// The requests that have come are answered. A client that is sent away goes by itself; else the connection is closed.
    mutating func end(_ command: ChildCommands.ChildCommand?, at now: Instant) {
        switch command {
        case .kick:
            connection.kick(at: now)
        case .sendAway(let milliseconds) where clientReturnsAt == nil:
            clientReturnsAt = now + .milliseconds(milliseconds)
            connection.sendAway(
                GoAway(.shuttingDown, ConnectionDriver.shutdownText, retryAfter: milliseconds))
        case .sendAway, .end, nil:
            let (goAway, retryAfter) = shutdownNotice(at: now)
            let time = ShutdownGrace(grace)
            connection.terminate(goAway, retryAfter: retryAfter, within: time.handling, at: now)
            patience.shorten(to: time, at: now)
        }
    }

    /// Ends the connection at once. The client receives CLOSE if the transport takes it now.
    mutating func quit(at now: Instant) {
        let (goAway, retryAfter) = shutdownNotice(at: now)
        connection.quit(goAway, retryAfter: retryAfter, at: now)
    }

    /// The notice for a client that was not sent away before, which lets it return at a random instant. The retry_after is
    /// for a client that receives CLOSE alone, which has no spread.
    private func shutdownNotice(at now: Instant) -> (GoAway, retryAfter: UInt32) {
        let spread = milliseconds(from: now, to: now + DrainSchedule.leastReturn)
        return (
            GoAway(.shuttingDown, ConnectionDriver.shutdownText, spread: spread),
            clientReturnsAt.map { milliseconds(from: now, to: $0) } ?? .random(in: 0...spread)
        )
    }

    /// Whether nothing is left to wait for: the connection is over, and the runner is over or given up.
    mutating func isOver(at now: Instant) -> Bool {
        guard connection.isOver else { return false }
        if isDone || connection.isStuck { return true }
        switch patience.verdict(at: now, handlingUntil: connection.handlingUntil ?? now + grace) {
        case .waits: break
        case .lastCall:
            connection.dropMessages()
            finishSending()
        case .over: return true
        }
        transport.shutDown()
        return false
    }

    private var isDone: Bool { runnerKnowsEnd && (!connection.hasGreeted || runner.isOver) }

    /// Whether nothing of this connection still runs.
    var hasLeftNothing: Bool { isDone && !connection.isStuck }

    /// Ends the runner and gives the slot back. The driver does nothing any more.
    mutating func close() {
        runner.cancelAll()
        reportEnd()
        publishStatistics(at: .now)
        memory.close()
        // The descriptor's number may soon be another connection's.
        crashNotice?.arm(false, number: 0)
        slot.isFinished = true
    }

    // MARK: What operators see

    /// What the connection does now.
    @inline(__always) var activity: ConnectionActivity { connection.activity }

    /// Publishes the connection's figures: a few stores, once a turn.
    mutating func publishStatistics(at now: Instant) {
        slot.publish(
            answered: connection.requestsAnswered, bytesIn: connection.bytesIn, bytesOut: connection.outbox.sent,
            inFlight: UInt32(clamping: connection.inFlight), activity: connection.activity)
        for time in connection.fetchRoundTrips() { slot.add(roundTrip: time) }
        if connection.requests.handlerTimes.hasChanged { slot.publish(&connection.requests.handlerTimes) }
        memory.publish(connection, at: now, log)
        guard connection.counts != publishedCounts else { return }
        publishedCounts = connection.counts
        slot.counts = publishedCounts
    }

    /// Reports the end once, in the log and for the statistics.
    mutating func reportEnd() {
        guard !hasReported else { return }
        hasReported = true
        slot.lateness = connection.lateness
        let isProbe = connection.isProbe
        slot.closeReason =
            isProbe ? CloseReasonLabel.probeNumbers : CloseReasonLabel.numbers(of: connection.closeReason)
        let isWarning = connection.counts.unhandled > 0
        if isProbe { report(.probed) } else { report(.closed, at: isWarning ? .warning : connection.closeReason.level) }
        let unpaid = connection.unpaidMessages
        guard unpaid > 0 else { return }
        log.write(.discarded, reason: "unpaidMessages", most: 1) { line in
            line.number(.connection, id)
            line.number(.pid, processID)
            line.text(
                .text, "\(unpaid) empty messages: the client need not have taken them before the end (5.10-2)")
        }
    }

    /// Changes nothing; but where it could not, the whole driver would be copied for the closure.
    private mutating func report(
        _ event: LogEvent, at level: LogLevel? = nil, for limit: ConnectionLifetime.Limit? = nil
    ) {
        log.write(event, at: level, reason: hasReported ? connection.closeReason.kind : "") { line in
            line.number(.connection, id)
            line.number(.pid, processID)
            line.address(.peer, peer)
            if let name = connection.hello?.options.name { line.text(.name, name) }
            if let name = connection.tokenName { line.text(.token, name) }
            if let limit {
                line.text(.limit, limit.rawValue)
                line.seconds(.age, .now - acceptedAt)
            }
            guard hasReported else { return }
            line.put(connection.closeReason, isProbe: connection.isProbe)
            line.seconds(.age, (endedAt ?? .now) - acceptedAt)
            line.number(.requests, connection.requestsServed)
            for (field, count) in connection.counts.shown where count > 0 { line.number(field, count) }
            line.number(.bytesIn, connection.bytesIn)
            line.number(.bytesOut, connection.outbox.sent)
            if !connection.closeReason.text.isEmpty { line.text(.text, connection.closeReason.text) }
        }
    }
}
