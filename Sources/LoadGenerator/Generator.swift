import Framing
import Posix

extension Nanoseconds {
    /// The monotonic clock.
    static var now: Nanoseconds { Nanoseconds(monotonicNanoseconds()) }
}

/// The load generator: one event loop on one thread drives all connections. With several processes each
/// has one for its share of them.
public struct Generator: ~Copyable {
    /// Simultaneous attempts to connect: fewer than any server's backlog.
    static let mostConnecting = 128
    static let signalKey = UInt64.max

    enum Stage {
        case connecting
        /// One process of several: the connections are open, and the others' are not yet.
        case ready
        case warmUp, measuring
        case finishing(until: Nanoseconds)
        case over
    }

    let options: LoadOptions
    let address: SocketAddress
    let sources: [SocketAddress]
    let profile: LoadProfile
    var load: Load
    var counters = LoadCounters()
    var events: EventPoll
    var buffer = SendBuffer()
    var timers: TimerWheel
    var random: SeededRandom
    let signals: SignalDescriptor
    /// The way to the first process, where this is one of several.
    let worker: WorkerChannel?
    /// The instant at which the first process lets the load start.
    var startAt = Nanoseconds.never
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
    let connections: UnsafeMutablePointer<LoadConnection>
    let sockets: UnsafeMutablePointer<LoadSocket>
    let slots: UnsafeMutablePointer<RequestSlot>

    var stage = Stage.connecting
    let started: Nanoseconds
    var connectTime = Nanoseconds.zero
    var warmUpUntil = Nanoseconds.zero
    /// Connections whose first attempt has begun.
    var opened = 0
    /// Connections whose first attempt has failed.
    var failedAtFirst = 0
    var lastFailure: LoadConnectionEnd?
    /// Connections that are not opened again.
    var retired = 0
    var nextSource = 0
    /// Closed connections, for SHORT requests of an open loop.
    var idle: [Int] = []
    /// SHORT connections that the loop opens again at once.
    var toReopen: [Int] = []
    var cuts: UInt64 = 0
    var nextTick: Nanoseconds
    var isInterrupted = false
    var processorTimeBefore = Nanoseconds.zero
    var processorTimeUsed = Nanoseconds.zero
    var waitingTimeBefore = Nanoseconds.zero
    var waitingTimeUsed = Nanoseconds.zero
    var error: LoadError?
    /// The server's max_in_flight, where it is below the option.
    var allowedInFlight: UInt32?

    /// Allocates all that the run needs, and raises the limit of descriptors. Throws `LoadError.Kind.system` where the
    /// system has too few descriptors.
    static func prepared(
        _ options: LoadOptions, to address: SocketAddress, worker: WorkerChannel? = nil
    ) throws(LoadError) -> Generator {
        if worker == nil { try raiseFileLimit(for: options) }
        do throws(SystemError) {
            let events = try EventPoll()
            // The signals of a terminal reach all processes: the first one passes them on.
            let signals = try SignalDescriptor(worker == nil ? [Signal.interrupt, Signal.terminate] : [])
            try events.add(signals.number, key: signalKey, reading: true, writing: false)
            if let worker { try events.add(worker.number, key: workerKey, reading: true, writing: false) }
            return Generator(options, address, events, signals, worker)
        } catch {
            throw LoadError(kind: .system, text: "cannot wait for connections: \(error)")
        }
    }

    private init(
        _ options: LoadOptions, _ address: SocketAddress, _ events: consuming EventPoll,
        _ signals: consuming SignalDescriptor, _ worker: WorkerChannel?
    ) {
        self.options = options
        self.worker = worker
        self.address = address
        self.events = events
        self.signals = signals
        sources = address.sources(options.sources)
        profile = LoadProfile(options)
        load = Load(options: options)
        let now = Nanoseconds.now
        started = now
        nextTick = now + .seconds(1)
        timers = TimerWheel(count: options.connections, at: now)
        random = SeededRandom(seed: options.seed)
        let slotsEach = Int(profile.mask) + 1
        slots = .allocate(capacity: options.connections * slotsEach)
        slots.initialize(repeating: RequestSlot(), count: options.connections * slotsEach)
        connections = .allocate(capacity: options.connections)
        sockets = .allocate(capacity: options.connections)
        for index in 0..<options.connections {
            (connections + index).initialize(to: LoadConnection(index, slots + index * slotsEach))
            (sockets + index).initialize(to: LoadSocket())
        }
        wakePrecisely()
    }

    deinit {
        input.deallocate()
        connections.deinitialize(count: options.connections).deallocate()
        sockets.deinitialize(count: options.connections).deallocate()
        slots.deallocate()
    }

    // MARK: The run

    /// Makes the load, and returns the report. Calls `progress` once a second. SIGINT and SIGTERM end the run early.
    ///
    /// It forks where `options.processes` is above 1, and this process must have one thread then. Throws `LoadError` where no
    /// connection succeeds, an option contradicts the server's limits, or the system has too little for the run.
    public static func run(
        _ options: LoadOptions, to address: SocketAddress, progress: (Progress) -> Void
    ) throws(LoadError) -> LoadReport {
        guard options.processes == 1 else {
            var group = try GeneratorGroup.forked(options, to: address)
            return try group.run(progress: progress)
        }
        var generator = try prepared(options, to: address)
        try generator.runToEnd(progress: progress)
        return generator.report()
    }

    /// Allows this process, and those that it forks, as many descriptors as one of them needs.
    static func raiseFileLimit(for options: LoadOptions) throws(LoadError) {
        let wanted = UInt64((options.connections + options.processes - 1) / options.processes) + 32
        guard let most = ProcessLimit.files.raise(), most < wanted else { return }
        let each = max(1, Int(most) - 32)
        throw LoadError(
            kind: .system,
            text: "\(options.connections) connections need \(wanted) descriptors"
                + "\(options.processes == 1 ? "" : " in each process"), and \(most) are allowed; raise the limit with "
                + "ulimit -n \(wanted), or take --connections \(each * options.processes) or "
                + "--processes \((options.connections + each - 1) / each)")
    }

    /// Runs the load until `result` is whole.
    mutating func runToEnd(progress: (Progress) -> Void) throws(LoadError) {
        if worker != nil, options.isShort {
            becomeReady()
        } else if options.isShort {
            startWarmUp(at: .now)
        }
        while true {
            let now = Nanoseconds.now
            step(at: now, progress)
            if let error { throw error }
            if case .over = stage { return }
            wait(until: nextDeadline(at: now))
        }
    }

    mutating func wait(until deadline: Nanoseconds) {
        let count: Int
        do throws(SystemError) {
            count = try events.wait(nanoseconds: (deadline - .now).count)
        } catch {
            preconditionFailure("\(error)")
        }
        for index in 0..<count { handle(events[index]) }
        while let index = toReopen.popLast() {
            let now = Nanoseconds.now
            if load.isOn, load.budget > 0 { connect(index, due: now, at: now) }
        }
    }

    /// The instant of the next step that no event triggers.
    func nextDeadline(at now: Nanoseconds) -> Nanoseconds {
        var next = min(timers.nextExpiry, nextTick)
        switch stage {
        case .connecting:
            if let rate = options.connectRate, opened < options.connections, mayConnect {
                next = min(next, started + .seconds(Double(opened) / rate))
            }
        case .ready: next = min(next, startAt)
        case .warmUp: next = min(next, warmUpUntil)
        case .measuring:
            next = min(next, counters.measuredUntil)
            if options.churn > 0 { next = min(next, cutInstant(cuts)) }
        case .finishing(let until): next = min(next, until)
        case .over: break
        }
        if load.isOn, load.isOpenLoop { next = min(next, load.instant(of: load.due)) }
        return next
    }

    /// Does all that is due at `now`.
    mutating func step(at now: Nanoseconds, _ progress: (Progress) -> Void) {
        while let index = timers.popExpired(at: now) { timerFired(index, at: now) }
        switch stage {
        case .connecting: openConnections(at: now)
        case .ready: if now >= startAt { startWarmUp(at: startAt) }
        case .warmUp: if now >= warmUpUntil { startMeasuring(at: now) }
        case .measuring:
            if now >= counters.measuredUntil || isAllDone {
                stopMeasuring(at: now, within: profile.timeout + .seconds(2))
            }
            while options.churn > 0, load.isOn || options.inFlight == 0, cutInstant(cuts) <= now {
                cutConnection(at: now)
            }
        case .finishing(let until):
            if now >= until || (0..<options.connections).allSatisfy({ connections[$0].phase == .away }) {
                abortRemaining(at: now)
            }
        case .over: break
        }
        if load.isOn, load.isOpenLoop { startDueRequests(at: now) }
        if now >= nextTick {
            nextTick = nextTick + .seconds(1)
            let interval = counters.nextInterval()
            let second = LoadCounters.Second(interval)
            if case .measuring = stage { counters.seconds.append(second) }
            tell(interval)
            progress(Progress(stage: stageName, elapsed: now - started, second: second, failed: counters.failed))
        }
    }

    var stageName: String {
        switch stage {
        case .connecting, .ready: "connecting"
        case .warmUp: "warming up"
        case .measuring: "measuring"
        case .finishing, .over: "finishing"
        }
    }

    /// Whether all requests have ended, or no connection is left.
    var isAllDone: Bool {
        if retired == options.connections { return true }
        guard load.budget == 0 else { return false }
        return (0..<options.connections).allSatisfy { connections[$0].inFlight == 0 }
    }

    // MARK: The result

    /// What this process has measured.
    func result() -> WorkerResult {
        var waiting = load.due - load.connected
        if !options.isShort { waiting = (0..<options.connections).reduce(0) { $0 + UInt64(connections[$1].waiting) } }
        if load.budget == 0 { waiting = 0 }
        return WorkerResult(
            counters: counters, processorTime: processorTimeUsed, waitingTime: waitingTimeUsed, leftOver: waiting,
            serversWindow: allowedInFlight)
    }

    private func report() -> LoadReport {
        LoadReport(
            [result()], seconds: counters.seconds, options: options, target: "\(address)", connectTime: connectTime,
            isInterrupted: isInterrupted, sources: sources.count)
    }
}

extension SocketAddress {
    /// `count` loopback addresses to connect from (nil: `LoadOptions.defaultSources`), so that no address runs out of
    /// ports. Empty where this is no IPv4 loopback address.
    func sources(_ count: Int?) -> [SocketAddress] {
        guard host?.hasPrefix("127.") ?? false else { return [] }
        let count = count ?? LoadOptions.defaultSources
        return (0..<count).compactMap { SocketAddress(host: "127.0.0.\($0 + 1)", port: 0) }
    }
}
