import Basics
import Framing
import Posix

/// What a shared process goes by.
struct SharedProcessContext {
    let registry: ChildRegistry
    let settings: ConnectionSettings
    let tokens: Tokens?
    let makeRunner: ChildLauncher.RunnerMaker
    /// How many connections it serves at most at a time.
    let mostConnections: Int
    /// How many threads its handlers have at most.
    let mostThreads: Int
    let signals: OwnedResource<SignalDescriptor>
    let log: Log
    let title: ProcessTitle?
    /// What it tells the parent of itself.
    let board: ProcessBoard.ProcessSlot
    /// What the parent tells it of the inboxes of its connections.
    let inbox: ChildCommands.Inbox
    /// Makes its tie to the router, of what wakes its loop; nil without `ServerOptions.topics`.
    let makeTie: (@escaping @Sendable () -> Void) -> RouterTie?
}

/// A process that serves several connections in one event loop (epoll(7)).
///
/// A turn of the loop serves each connection once that is ready or due: one read, and a few writes. A connection with more
/// to do comes again in the next turn, behind the others. Nothing in a turn goes through all connections.
// One thread runs all of it, and no access meets another: none is checked.
final class SharedProcess {
    typealias ConnectionPointer = UnsafeMutablePointer<SharedConnection>

    /// How many connections a turn serves at most: with a clock, a read and a write for each it takes about a millisecond.
    private static let mostEvents = 256
    /// The longest wait.
    private static let longestWait: Int64 = 1_000_000_000_000
    /// What epoll(7) calls the descriptors that are no connection's.
    private static let channelKey = UInt64.max
    private static let signalKey = UInt64.max - 1
    private static let wakeupKey = UInt64.max - 2
    static let tieKey = UInt64.max - 3

    let context: SharedProcessContext
    /// Nil once it is closed.
    @exclusivity(unchecked) private(set) var channel: Descriptor?
    @exclusivity(unchecked) private(set) var isChannelOpen = true
    @exclusivity(unchecked) var poll: EventPoll
    let wakeups: LoopWakeups
    let tie: RouterTie?
    /// What epoll(7) waits for on the tie's behalf.
    @exclusivity(unchecked) var tieInterest: TieInterest?
    /// What the last wait found of the tie.
    @exclusivity(unchecked) var tieEvent: ReadyEvent?
    let threads: HandlerThreads
    let notices: CrashNotices
    let mostNotices: Int
    /// What all connections are read into.
    @exclusivity(unchecked) var buffer: [UInt8]
    /// The connections by their places.
    @exclusivity(unchecked) var connections: [ConnectionPointer?] = []
    /// The connections of proxies that have no client yet, by their places.
    @exclusivity(unchecked) var receptions: [Int: ReceptionPointer] = [:]
    @exclusivity(unchecked) var freePlaces: [Int32] = []
    /// How many connections there are.
    @exclusivity(unchecked) var count = 0
    @exclusivity(unchecked) var timers = TimerQueue()
    /// The places of connections that have a turn without an event.
    @exclusivity(unchecked) private var queue: [Int32] = []
    @exclusivity(unchecked) private var spareQueue: [Int32] = []
    @exclusivity(unchecked) private var due: [Int32] = []
    /// The latest instant that the loop knows.
    @exclusivity(unchecked) var now = Instant.now
    @exclusivity(unchecked) var load: LoopLoad
    @exclusivity(unchecked) var housekeeping = LoopHousekeeping()
    @exclusivity(unchecked) private var hasCalls = (channel: false, signals: false, wakeups: false)
    /// Whether all connections end.
    @exclusivity(unchecked) var isTerminating = false
    /// The messages of the channel are received into it.
    let assignments = UnsafeMutableBufferPointer<ConnectionAssignment>.allocate(capacity: Descriptor.mostGiven)

    /// - Parameters:
    ///   - channel: The receiving end, on which connections come.
    ///   - context: What it goes by.
    init(_ channel: consuming Descriptor, _ context: SharedProcessContext) throws(SystemError) {
        self.context = context
        poll = try EventPoll(most: SharedProcess.mostEvents)
        let wakeups = try LoopWakeups()
        self.wakeups = wakeups
        tie = context.makeTie { wakeups.wake() }
        threads = HandlerThreads(most: context.mostThreads)
        // Some to spare: the place of a connection whose handler does not return is not given away again.
        mostNotices = context.mostConnections + 1024
        notices = try CrashNotices(mostNotices, numberAt: Close.lastIDOffset)
        buffer = Array(unsafeUninitializedCapacity: ConnectionProcess.bufferSize) { $1 = ConnectionProcess.bufferSize }
        load = LoopLoad(at: .now)
        try poll.add(channel.number, key: SharedProcess.channelKey, reading: true, writing: false)
        try poll.add(context.signals.number ?? -1, key: SharedProcess.signalKey, reading: true, writing: false)
        try poll.add(wakeups.number, key: SharedProcess.wakeupKey, reading: true, writing: false)
        self.channel = consume channel
    }

    /// Serves until it is to leave and has no connection, and returns its exit status.
    func run() -> Int32 {
        updateTitle()
        while isChannelOpen || count > 0 {
            guard let ready = wait() else { return 1 }
            for index in 0..<ready { handle(poll[index]) }
            wakeConnections()
            fireTimers()
            runQueue()
            CrashNotice.blameNone()
            if hasCalls.signals, !handleSignals() { break }
            if hasCalls.channel {
                receive()
                CrashNotice.blameNone()
            }
            // Last, since all of the above may begin or end the tie, or say something.
            if let tie { serve(tie) }
            keepHouse()
        }
        return 0
    }

    /// No connection comes any more.
    func closeChannel() {
        channel = nil
        isChannelOpen = false
    }

    // MARK: A turn

    /// Waits for events, and returns how many there are; nil where that failed.
    private func wait() -> Int? {
        let begun = Instant.now
        hasCalls = (false, false, false)
        do throws(SystemError) {
            let ready = try poll.wait(nanoseconds: timeout(at: begun))
            now = .now
            load.waited(from: begun, to: now)
            return ready
        } catch {
            context.log.write(.childFailed) {
                $0.number(.pid, processID)
                $0.text(.text, "\(error)")
            }
            return nil
        }
    }

    private func timeout(at begun: Instant) -> Int64 {
        guard queue.isEmpty, !wakeups.hasSome else { return 0 }
        var next = earlier(timers.first, earlier(load.deadline, housekeeping.deadline))
        if let tie { next = earlier(next, tie.deadline) }
        guard let deadline = next else { return SharedProcess.longestWait }
        return begun.nanoseconds(until: deadline, most: SharedProcess.longestWait)
    }

    private func handle(_ event: ReadyEvent) {
        if event.key < connections.count {
            guard let connection = connections[Int(event.key)] else {
                return turn(ofReceptionIn: Int(event.key), isReadable: true)
            }
            return turn(connection, isReadable: event.isReadable)
        }
        switch event.key {
        case SharedProcess.channelKey: hasCalls.channel = true
        case SharedProcess.signalKey: hasCalls.signals = true
        case SharedProcess.wakeupKey: hasCalls.wakeups = true
        case SharedProcess.tieKey: tieEvent = event
        default: break
        }
    }

    /// The handlers of some connections have made something.
    private func wakeConnections() {
        if hasCalls.wakeups { wakeups.clear() }
        guard wakeups.hasSome else { return }
        for place in wakeups.takeAll() {
            if let connection = connections[Int(place)] { turn(connection, isReadable: false) }
        }
    }

    /// Serves those whose timer is due. What they hear is sent to all first: their lines in the log take longer.
    private func fireTimers() {
        guard let first = timers.first, first <= now else { return }
        while let place = timers.takeDue(at: now) { due.append(Int32(place)) }
        for place in due {
            guard let connection = connections[Int(place)] else {
                turn(ofReceptionIn: Int(place), isReadable: true)
                continue
            }
            connection.pointee.firesAt = nil
            // As a rule the client was heard meanwhile.
            if let deadline = connection.pointee.driver.deadline, deadline <= now {
                turn(connection, isReadable: connection.pointee.driver.canRead, defersReport: true)
            } else {
                // This comes some times a minute.
                connection.pointee.driver.releaseMemory()
                updateTimer(of: connection)
            }
        }
        due.removeAll(keepingCapacity: true)
    }

    /// Gives a connection a turn behind those that are ready.
    func enqueue(_ connection: ConnectionPointer) {
        guard !connection.pointee.isQueued else { return }
        connection.pointee.isQueued = true
        queue.append(Int32(connection.pointee.place))
    }

    private func runQueue() {
        guard !queue.isEmpty else { return }
        swap(&queue, &spareQueue)
        for place in spareQueue {
            guard let connection = connections[Int(place)], connection.pointee.isQueued else { continue }
            connection.pointee.isQueued = false
            if connection.pointee.lastReads != nil { readBeforeEnd(connection) }
            turn(connection, isReadable: false)
        }
        spareQueue.removeAll(keepingCapacity: true)
    }

    /// A turn of one connection. With `defersReport` one that has just said all is reported in the next turn.
    func turn(_ connection: ConnectionPointer, isReadable: Bool, defersReport: Bool = false) {
        let now = Instant.now
        self.now = now
        connection.pointee.driver.crashNotice?.blame()
        connection.pointee.driver.resumed(at: now)
        if isReadable { _ = connection.pointee.driver.read(into: &buffer, at: now) }
        connection.pointee.driver.runHandler(at: now)
        // epoll(7) announces room only when a third of the send buffer is free. A slow reader may have made less of it, and is
        // judged by what the kernel takes, so that is tried first.
        if connection.pointee.driver.isBlocked { connection.pointee.driver.write(at: now) }
        // Nothing is due before its timer.
        if connection.pointee.isDue(at: now) || connection.pointee.driver.holdsMessages {
            connection.pointee.driver.judge(at: now)
            connection.pointee.driver.runHandler(at: now)
        }
        connection.pointee.driver.write(at: now)
        if connection.pointee.driver.isDoneSending {
            if defersReport, connection.pointee.driver.endedAt == nil {
                connection.pointee.driver.endWriting()
                enqueue(connection)
                return updateInterest(of: connection)
            }
            connection.pointee.driver.finishSending()
        }
        connection.pointee.driver.publishStatistics(at: now)
        if connection.pointee.driver.memory.takeRelease(at: now) { housekeeping.hasFreeMemory = true }
        if connection.pointee.driver.isOver(at: now) { return end(connection) }
        connection.pointee.driver.willWait()
        updateInterest(of: connection)
        updateTimer(of: connection)
    }

    /// Reads once, and ends the connection when all that has come is read.
    private func readBeforeEnd(_ connection: ConnectionPointer) {
        guard var reads = connection.pointee.lastReads else { return }
        let now = Instant.now
        connection.pointee.driver.crashNotice?.blame()
        connection.pointee.driver.resumed(at: now)
        let count =
            connection.pointee.driver.canRead ? connection.pointee.driver.read(into: &buffer, at: now) : 0
        reads.left -= 1
        if count > 0, reads.left > 0 {
            connection.pointee.lastReads = reads
            enqueue(connection)
        } else {
            connection.pointee.lastReads = nil
            connection.pointee.driver.end(reads.command, at: now)
        }
    }

    /// Reads all that has come, for a connection that ends now.
    func readWhatHasCome(_ connection: ConnectionPointer) {
        var reads = 0
        while reads < ConnectionProcess.lastReads, connection.pointee.driver.canRead,
            connection.pointee.driver.read(into: &buffer, at: now) > 0
        { reads += 1 }
    }

    // MARK: Waiting

    private func updateInterest(of connection: ConnectionPointer) {
        let awaited = connection.pointee.driver.awaited
        if awaited != connection.pointee.interest { change(connection, awaited) }
    }

    /// Tells epoll(7) what the connection waits for from now on.
    private func change(_ connection: ConnectionPointer, _ awaited: TransportInterest?) {
        let number = connection.pointee.driver.transport.eventNumber
        let key = UInt64(connection.pointee.place)
        let isKnown = connection.pointee.interest != nil
        connection.pointee.interest = awaited
        // WELCOME is sent, as a rule, and many clients only beat from here on.
        if !isKnown { connection.pointee.driver.releaseMemory() }
        guard let awaited else { return poll.remove(number) }
        if isKnown { return poll.change(number, key: key, reading: awaited.reading, writing: awaited.writing) }
        do throws(SystemError) {
            try poll.add(number, key: key, reading: awaited.reading, writing: awaited.writing)
        } catch {
            connection.pointee.interest = nil
            connection.pointee.driver.broke("\(error)")
            enqueue(connection)
        }
    }

    private func updateTimer(of connection: ConnectionPointer) {
        guard let deadline = connection.pointee.driver.deadline else { return }
        // One that has moved to a later time is looked at when it fires.
        if let firesAt = connection.pointee.firesAt, firesAt <= deadline { return }
        connection.pointee.firesAt = deadline
        timers.set(connection.pointee.place, at: deadline)
    }
}
