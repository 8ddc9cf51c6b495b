import Basics
import Framing
import Posix

/// A process that serves one connection: its event loop, its signals, its priority and its title.
///
/// It waits in poll(2) for bytes, a signal or the next deadline, and has the connection's driver do the rest. It ends when
/// the driver is over.
struct ConnectionProcess: ~Copyable {
    /// Large enough for a heartbeat, or a few small requests, which is all that most connections ever send at a time. It
    /// shares its page of memory with what else the child has. With 64 KiB a short connection takes 5 % more processor
    /// time, and 3 page faults more (tools/dev/cost).
    static var firstBuffer: [UInt8] { buffer(of: 1024) }
    /// Replaces the first buffer once a client has filled it. It is larger than a frame of the default size, so that one
    /// comes in one call.
    static var bufferSize: Int { 65536 }
    /// How many reads a shutdown waits for, at most, to find the requests that have already come.
    static var lastReads: Int { 64 }
    /// How much of what the router says goes to the connection before bytes are written.
    private static var deliveriesAtOnce: Int { 256 }
    /// The exit status where the client has failed the handshake. What a child claims counts against its own client only.
    static let failedHandshake: Int32 = 3
    /// The frame that a crash of the handler sends to the client.
    static var crashNotice: [UInt8] { Close(.handlerFailed, "the handler crashed").frame }

    private let signals: OwnedResource<SignalDescriptor>
    /// The descriptor of `signals`, kept here because each access to a property of a class is checked.
    private let signalNumber: Int32
    private let log: Log
    private let commands: ChildCommands.Inbox
    private var title: ChildTitle
    private let tie: RouterTie?
    private var driver: ConnectionDriver
    private var buffer: [UInt8]
    private var pollSet = PollSet()
    private var tieToken: PollSet.Token?
    private var busyPolling = BusyPolling()
    /// Whether a signal has asked the process to end.
    private var wasToldToEnd = false
    private var hasLowPriority = false
    private var hasReleasedStack = false
    /// Whether the connection has got something of the router since the last wait.
    private var hasDelivered = false

    /// A process that has just been given its connection.
    ///
    /// - Parameters:
    ///   - assignment: Which connection `socket` is.
    ///   - client: What a proxy says of the client; nil where the client has connected itself.
    ///   - tokens: The tokens that HELLO is compared with; nil where everybody may connect.
    ///   - slot: The connection's own, and so are the commands and the runner.
    ///   - title: The text that `ps` shows for the process; nil to leave it as it is.
    ///   - signals: What `signals()` has opened.
    ///   - buffer: What the process reads into first.
    // Inlined, so that the value is built in its place: a call copies it twice, which costs 400 instructions.
    @inline(__always)
    init(
        _ socket: consuming Descriptor, _ assignment: ConnectionAssignment, _ client: ProxiedClient?,
        _ settings: ConnectionSettings,
        tokens: Tokens?, log: Log, slot: Scoreboard.Slot, commands: ChildCommands.Inbox, title: ProcessTitle?,
        runner: any HandlerRunner, signals: OwnedResource<SignalDescriptor>, buffer: consuming [UInt8],
        tie: RouterTie? = nil
    ) {
        self.tie = tie
        self.signals = signals
        signalNumber = signals.number ?? -1
        self.log = log
        self.commands = commands
        self.title = ChildTitle(title, peer: assignment.peer)
        let transport = ServerTransport.plain(socket)
        let crashNotice = transport.crashNotice(sizeAt: slot.crashSizeAddress)
        driver = ConnectionDriver(
            transport, assignment, client, settings, tokens: tokens, log: log, slot: slot, runner: runner,
            crashNotice: crashNotice, tie: tie)
        self.buffer = buffer
    }

    /// Whatever is in it is overwritten before it is read.
    private static func buffer(of size: Int) -> [UInt8] { Array(unsafeUninitializedCapacity: size) { $1 = size } }

    /// Blocks the signals of connection processes, and opens what each of them reads its own from (signalfd(2)): once,
    /// before the first fork. Without those that are to stay ignored.
    static func signals(but ignored: Set<Int32>) throws(SystemError) -> SignalDescriptor {
        try SignalDescriptor(
            [
                Signal.terminate, Signal.quit, Signal.reopen, Signal.call, Signal.resumed, Signal.childEnded,
            ].filter { !ignored.contains($0) })
    }

    /// Serves the connection until it is over, and returns the process's exit status.
    mutating func run() -> Int32 {
        // As a rule what the client sent at once is there by now, so the first wait is saved.
        var now = Instant.now
        read(at: now)
        while true {
            driver.runHandler(at: now)
            write(at: now)
            publishStatistics(at: now)
            if driver.isOver(at: now) { return leave() }
            if tie != nil, deliver(at: now) { continue }
            if shouldBusyPoll() {
                let hasRead = busyPoll(from: &now)
                driver.enforceDeadlines(at: now)
                // What became due meanwhile is sent before the wait.
                if hasRead || !driver.canRead || driver.needsTurn { continue }
            }
            let signalToken = wait()
            let begun = now
            now = .now
            busyPolling.waited(for: now - begun)
            driver.resumed(at: now)
            if driver.isReadable(in: pollSet) { read(at: now) }
            if pollSet.isReadable(signalToken), !handleSignals(at: now) { return leave() }
            if let tie {
                tie.resumed(isReadable: pollSet.isReadable(tieToken), isWritable: pollSet.isWritable(tieToken), at: now)
            }
            driver.runHandler(after: pollSet, at: now)
            // poll(2) announces room only when a third of the send buffer is free. A slow reader may have made less of
            // it, and is judged by what the kernel takes, so that is tried first.
            if driver.isBlocked { write(at: now) }
            driver.enforceDeadlines(at: now)
        }
    }

    /// Brings the connection what the router has said; whether there was anything.
    private mutating func deliver(at now: Instant) -> Bool {
        guard let deliveries = tie?.takeDeliveries(ConnectionProcess.deliveriesAtOnce), !deliveries.isEmpty else {
            return false
        }
        for delivery in deliveries { driver.deliver(delivery.delivery, at: now) }
        hasDelivered = true
        return true
    }

    /// Waits for signals and for what the driver waits for. Returns the token of the signals.
    private mutating func wait() -> PollSet.Token {
        pollSet.removeAll(reserving: 2)
        let signalToken = pollSet.add(signalNumber)
        driver.addInterests(to: &pollSet)
        tieToken = tie?.interest.map { pollSet.add($0.number, reading: $0.reading, writing: $0.writing) }
        // The handshake goes deeper than all that follows. Many clients only beat from here on.
        if !hasReleasedStack, driver.isLong {
            hasReleasedStack = true
            releaseStack()
        }
        do {
            try pollSet.wait(until: tie == nil ? driver.deadline : earlier(driver.deadline, tie?.deadline))
        } catch {
            driver.broke("\(error)")
        }
        return signalToken
    }

    /// Whether to busy poll before the wait: the client was sent something, and may answer, or end, meanwhile. While a
    /// handler works, poll(2) has to tell of it too.
    private mutating func shouldBusyPoll() -> Bool {
        // Nobody answers what others say.
        if hasDelivered {
            hasDelivered = false
            _ = driver.takeExpectsBytes()
            return false
        }
        return driver.takeExpectsBytes() && busyPolling.shouldBusyPoll(among: commands.connections)
    }

    /// Gives other processes a turn and reads, again and again where that pays. `now` becomes the instant of the last
    /// read; false where nothing came.
    private mutating func busyPoll(from now: inout Instant) -> Bool {
        while true {
            let last = now
            yieldProcessor()
            now = .now
            driver.resumed(at: now)
            let hasRead = read(at: now)
            guard busyPolling.polled(hasRead, for: now - last), driver.canRead else { return hasRead }
        }
    }

    /// Reads once; false where nothing came.
    @discardableResult
    private mutating func read(at now: Instant) -> Bool {
        let count = driver.read(into: &buffer, at: now)
        if count == buffer.count, count < ConnectionProcess.bufferSize {
            buffer = ConnectionProcess.buffer(of: ConnectionProcess.bufferSize)
        }
        return count > 0
    }

    private mutating func write(at now: Instant) {
        driver.write(at: now)
        guard driver.isDoneSending else { return }
        // Where a network fails, many clients are silent at once. Pending drops and live connections go before the end of
        // this process, which takes several times as long as the drop.
        if !hasLowPriority, driver.hasDroppedSilent {
            hasLowPriority = true
            lowerPriority()
        }
        driver.finishSending()
    }

    /// Shows operators the connection: a few stores, once a turn.
    private mutating func publishStatistics(at now: Instant) {
        driver.publishStatistics(at: now)
        title.update(driver.activity)
    }

    // MARK: Signals and the end

    /// Handles the signals that have come; false where the process is to end now.
    private mutating func handleSignals(at now: Instant) -> Bool {
        while let (signal, _) = signals.next() {
            switch signal {
            case Signal.terminate: terminate(at: now)
            case Signal.quit:
                quit(at: now)
                return false
            case Signal.reopen: log.reopen()
            case Signal.resumed: driver.machineResumed(at: now)
            case Signal.childEnded: driver.childEnded(at: now)
            default: break  // A handler's thread has woken the loop.
            }
        }
        return true
    }

    /// SIGTERM: does what the parent has written beside it.
    private mutating func terminate(at now: Instant) {
        wasToldToEnd = true
        let command = commands.command
        // The requests that have come are answered, unless an operator ends the connection at once.
        if command != .kick { readWhatHasCome(at: now) }
        driver.end(command, at: now)
    }

    /// SIGQUIT: ends at once, and waits for neither client nor handler.
    private mutating func quit(at now: Instant) {
        wasToldToEnd = true
        driver.quit(at: now)
        write(at: now)
        driver.reportEnd()
        // With unread bytes the socket would be reset, and what was just sent be lost.
        readWhatHasCome(at: now)
    }

    private mutating func readWhatHasCome(at now: Instant) {
        var reads = 0
        while reads < ConnectionProcess.lastReads, driver.canRead, read(at: now) { reads += 1 }
    }

    /// Whether nothing of the connection is left in the process, so that it may serve another.
    var hasLeftNothing: Bool {
        driver.hasLeftNothing && !wasToldToEnd && !hasLowPriority && !driver.hasFailedHandshake
    }

    private mutating func leave() -> Int32 {
        driver.close()
        title.update(driver.activity)
        return driver.hasFailedHandshake ? ConnectionProcess.failedHandshake : 0
    }
}
