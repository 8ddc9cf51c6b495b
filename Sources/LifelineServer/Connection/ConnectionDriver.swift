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
    static var shutdownText: String { "the server is shutting down" }

    let transport: ServerTransport
    let id: UInt64
    private let peerAddress: PeerAddress
    /// What a proxy says of the client; nil where the client has connected itself.
    let client: ProxiedClient?
    let acceptedAt: Instant
    let grace: Duration
    let log: Log
    let slot: Scoreboard.Slot
    let runner: any HandlerRunner
    private let loopWaits: Bool
    /// The notice of the process's crash, where the process lends it to this connection.
    let crashNotice: CrashNotice?
    /// The process's tie to the router; nil without `ServerOptions.topics`.
    let tie: RouterTie?
    /// Where the tie's deliveries find the connection.
    let place: Int
    /// Whether it is a back-end's, which nobody can reach.
    let isBackEnd: Bool
    var usesRouter = false
    var connection: ServerConnection
    /// The transport in the loop's last wait.
    private var interest: PollSet.Token?
    /// Whether the client's stream goes on.
    private(set) var canRead = true
    /// Whether the transport takes no more bytes now.
    private(set) var isBlocked = false
    /// Whether something was written since `takeExpectsBytes` was true last.
    private var hasWritten = false
    var hasReported = false
    /// The counts that the slot has.
    var publishedCounts = ConnectionCounts()
    var memory: ConnectionMemory
    /// Whether the runner knows of the connection's end.
    var runnerKnowsEnd = false
    var patience = HandlerPatience()
    /// When CLOSE was written, or nothing could be written any more.
    var endedAt: Instant?
    /// When the client that was sent away may return.
    var clientReturnsAt: Instant?

    /// A driver of a connection that was accepted and has not been read from.
    ///
    /// - Parameters:
    ///   - assignment: Which connection it is.
    ///   - client: What a proxy says of the client.
    ///   - tokens: The tokens that HELLO is compared with; nil where everybody may connect.
    ///   - slot: The connection's own.
    ///   - runner: The connection's own.
    ///   - crashNotice: The process's notice, if a crash is to tell this client.
    ///   - tie: The process's tie to the router; nil where there is none.
    ///   - place: Where deliveries find the connection.
    @inline(__always)
    init(
        _ transport: consuming ServerTransport, _ assignment: ConnectionAssignment, _ client: ProxiedClient?,
        _ settings: ConnectionSettings,
        tokens: Tokens?,
        log: Log, slot: Scoreboard.Slot, runner: any HandlerRunner, crashNotice: CrashNotice?,
        tie: RouterTie? = nil, place: Int = 0
    ) {
        self.tie = tie
        self.place = place
        isBackEnd = assignment.isBackEnd
        self.transport = transport
        id = assignment.connection
        peerAddress = PeerAddress(assignment.peer)
        self.client = client
        acceptedAt = assignment.acceptedAt
        grace = settings.grace
        self.log = log
        self.slot = slot
        self.runner = runner
        loopWaits = runner.loopWaits
        self.crashNotice = crashNotice
        connection = ServerConnection(
            id: id, terms: settings.terms, handshakeTimeout: assignment.handshakeTimeout, acceptedAt: acceptedAt,
            tokens: tokens, provedName: settings.takesProvedNames ? .some(client?.tls?.clientName) : nil,
            handlerTimeout: runner.enforcesTimeout ? nil : settings.handlerTimeout,
            lifetime: settings.maxAge == nil && settings.maxIdle == nil
                ? nil
                : ConnectionLifetime(
                    maxAge: settings.maxAge, maxIdle: settings.maxIdle, grace: settings.grace, acceptedAt: acceptedAt,
                    random: { .random(in: 0..<1) }),
            grace: settings.grace)
        memory = ConnectionMemory(slot, of: &connection)
    }

    var peer: SocketAddress { peerAddress.address }

    // MARK: Waiting

    /// What of the transport the connection waits for; nil for nothing. Some loops keep that from one wait to the next, in
    /// place of `addInterests`.
    @inline(__always) var awaited: TransportInterest? {
        patience.deadline == nil ? TransportInterest(reading: canRead, writing: isBlocked) : nil
    }

    /// The loop is about to wait without `addInterests`. The runner adds nothing to wait for.
    // It changes nothing; but where it could not, the whole driver would be copied for the call.
    @inline(__always) mutating func willWait() {
        guard loopWaits else { return }
        var none = PollSet()
        runner.willWait(connection.credit, adding: &none)
    }

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
        guard hasWritten, !isBlocked, canRead, patience.deadline == nil, !isHandlerWorking else { return false }
        hasWritten = false
        return true
    }
    private var isHandlerWorking: Bool { connection.isHandlerBusy || loopWaits && runner.isWorking }

    /// Whether the handshake is done, and more than one request may follow.
    @inline(__always) var isLong: Bool { connection.hasGreeted && !connection.isShort }

    /// Whether there are bytes to `write`.
    @inline(__always) var hasUnsent: Bool { !connection.outbox.isEmpty }

    /// Whether there is something to do before the loop waits: bytes to `write`, or an event for the handler.
    @inline(__always) var needsTurn: Bool { hasUnsent || connection.hasEvents }

    /// Judges the client and the handler, behind all that was there to be read.
    mutating func enforceDeadlines(at now: Instant) {
        judge(at: now)
        memory.releaseWhatIsFree(at: now)
    }

    /// Whether messages wait that may go before anything is due.
    // Each look at a part of the connection names the part: the whole would be copied.
    @inline(__always) var holdsMessages: Bool {
        guard let held = connection.heldMessages else { return false }
        return !held.isEmpty
    }

    /// Judges the client and the handler, as above, where the loop gives memory back for several connections at a time.
    @inline(__always) mutating func judge(at now: Instant) {
        connection.enforceDeadlines(at: now)
        if let limit = connection.takeSentAwayFor() { report(.sentAway, for: limit) }
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

    /// Gives memory back that the connection keeps for what is sent next.
    mutating func releaseMemory() { connection.outbox.releaseMemory() }

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
                runHandler(at: now)  // Whoever waits for the client is told before the loop sleeps.
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
            enterRouter(hello, at: now)
            runner.opened(hello, tokenName: connection.tokenName, on: &connection, at: now)
        case .request(let id, let bytes):
            slot.request = id
            armCrashNotice()
            runner.respond(to: Request(id: id, bytes: bytes), on: &connection, at: now)
        case .message(let message):
            slot.request = 0
            runner.received(message, on: &connection, at: now)
        case .cancelled(let id): runner.cancel(id, on: &connection, at: now)
        case .asked(let token, let outcome):
            if !relay(outcome, of: token) { runner.asked(token, outcome, on: &connection, at: now) }
        case .news(let item): runner.told(item, on: &connection, at: now)
        }
    }
}
