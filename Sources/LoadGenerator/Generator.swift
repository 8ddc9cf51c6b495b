import Framing
import Posix

extension Nanoseconds {
    /// The monotonic clock.
    static var now: Nanoseconds { Nanoseconds(monotonicNanoseconds()) }
}

/// The loop: all connections, on one thread.
public struct Generator: ~Copyable {
    /// Connections that are being made at once, where no rate is asked for: fewer than any backlog.
    static let mostConnecting = 128
    static let signalKey = UInt64.max

    enum Stage {
        case connecting, warmUp, measuring
        case finishing(until: Nanoseconds)
        case over
    }

    let options: LoadOptions
    let address: SocketAddress
    let sources: [SocketAddress]
    let script: LoadProfile
    var load: Load
    var tally = LoadCounters()
    var events: EventPoll
    var buffer = SendBuffer()
    var wheel: TimerWheel
    var chance: SeededRandom
    let signals: SignalDescriptor
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
    let conversations: UnsafeMutablePointer<LoadConnection>
    let lines: UnsafeMutablePointer<LoadSocket>
    let slots: UnsafeMutablePointer<Slot>

    var stage = Stage.connecting
    let started: Nanoseconds
    var connectTime = Nanoseconds.zero
    var warmUpUntil = Nanoseconds.zero
    /// Connections that were tried, and of these those whose first attempt failed.
    var opened = 0
    var failedAtFirst = 0
    var lastFailure: LoadConnectionEnd?
    /// Connections that do not come back.
    var gone = 0
    var nextSource = 0
    /// Where a SHORT connection may be made, in an open loop.
    var idle: [Int] = []
    /// SHORT connections that are begun at once.
    var again: [Int] = []
    var cuts: UInt64 = 0
    var nextTick: Nanoseconds
    var isInterrupted = false
    var processorTimeBefore = Nanoseconds.zero
    var processorTimeUsed = Nanoseconds.zero
    var error: LoadError?
    var hadTooFew: UInt32?

    /// Sets everything up; throws where the system has too little for so many connections.
    public static func prepared(_ options: LoadOptions, to address: SocketAddress) throws(LoadError) -> Generator {
        let wanted = UInt64(options.connections) + 32
        if let most = ProcessLimit.files.raise(), most < wanted {
            throw LoadError(
                kind: .system,
                text: "\(options.connections) connections need \(wanted) descriptors, and \(most) are allowed; "
                    + "raise the limit with ulimit -n \(wanted), or take --connections \(max(1, Int(most) - 32))")
        }
        do throws(SystemError) {
            let events = try EventPoll()
            let signals = try SignalDescriptor([Signal.interrupt, Signal.terminate])
            try events.add(signals.number, key: signalKey, reading: true, writing: false)
            return Generator(options, address, events, signals)
        } catch {
            throw LoadError(kind: .system, text: "cannot wait for connections: \(error)")
        }
    }

    private init(
        _ options: LoadOptions, _ address: SocketAddress, _ events: consuming EventPoll,
        _ signals: consuming SignalDescriptor
    ) {
        self.options = options
        self.address = address
        self.events = events
        self.signals = signals
        sources = address.sources(options.sources)
        script = LoadProfile(options)
        load = Load(options: options)
        let now = Nanoseconds.now
        started = now
        nextTick = now + .seconds(1)
        wheel = TimerWheel(count: options.connections, at: now)
        chance = SeededRandom(seed: options.seed)
        let slotsEach = Int(script.mask) + 1
        slots = .allocate(capacity: options.connections * slotsEach)
        slots.initialize(repeating: Slot(), count: options.connections * slotsEach)
        conversations = .allocate(capacity: options.connections)
        lines = .allocate(capacity: options.connections)
        for index in 0..<options.connections {
            (conversations + index).initialize(to: LoadConnection(index, slots + index * slotsEach))
            (lines + index).initialize(to: LoadSocket())
        }
        wakePrecisely()
    }

    deinit {
        input.deallocate()
        conversations.deinitialize(count: options.connections).deallocate()
        lines.deinitialize(count: options.connections).deallocate()
        slots.deallocate()
    }

    // MARK: The run

    /// Makes the load, and returns what came of it; `progress` is called each second with how it goes.
    public mutating func run(progress: (Progress) -> Void) throws(LoadError) -> LoadReport {
        if options.isShort { start(at: .now) }
        while true {
            let now = Nanoseconds.now
            step(at: now, progress)
            if let error { throw error }
            if case .over = stage { break }
            wait(until: nextDeadline(at: now))
        }
        return report()
    }

    mutating func wait(until deadline: Nanoseconds) {
        let count: Int
        do throws(SystemError) {
            count = try events.wait(nanoseconds: (deadline - .now).count)
        } catch {
            preconditionFailure("\(error)")
        }
        for index in 0..<count { ready(events[index]) }
        while let index = again.popLast() {
            let now = Nanoseconds.now
            if load.isOn, load.budget > 0 { connect(index, due: now, at: now) }
        }
    }

    /// When `step` has something to do, if nothing comes before.
    func nextDeadline(at now: Nanoseconds) -> Nanoseconds {
        var next = min(wheel.nextExpiry, nextTick)
        switch stage {
        case .connecting:
            if let rate = options.connectRate, opened < options.connections {
                next = min(next, started + .seconds(Double(opened) / rate))
            }
        case .warmUp: next = min(next, warmUpUntil)
        case .measuring:
            next = min(next, tally.measuredUntil)
            if options.churn > 0 { next = min(next, instantOfCut(cuts)) }
        case .finishing(let until): next = min(next, until)
        case .over: break
        }
        if load.isOn, load.isOpenLoop { next = min(next, load.instant(of: load.due)) }
        return next
    }

    mutating func step(at now: Nanoseconds, _ progress: (Progress) -> Void) {
        while let index = wheel.popExpired(at: now) { woke(index, at: now) }
        switch stage {
        case .connecting: connectMore(at: now)
        case .warmUp: if now >= warmUpUntil { measure(at: now) }
        case .measuring:
            if now >= tally.measuredUntil || isAllDone { finish(at: now, within: script.timeout + .seconds(2)) }
            while options.churn > 0, load.isOn || options.inFlight == 0, instantOfCut(cuts) <= now { cut(at: now) }
        case .finishing(let until):
            if now >= until || (0..<options.connections).allSatisfy({ conversations[$0].phase == .away }) {
                end(at: now)
            }
        case .over: break
        }
        if load.isOn, load.isOpenLoop { arrive(at: now) }
        if now >= nextTick {
            nextTick = nextTick + .seconds(1)
            let second = tally.nextInterval()
            if case .measuring = stage { tally.seconds.append(second) }
            progress(Progress(stage: stageName, elapsed: now - started, second: second, failed: tally.failed))
        }
    }

    var stageName: String {
        switch stage {
        case .connecting: "connecting"
        case .warmUp: "warming up"
        case .measuring: "measuring"
        case .finishing, .over: "finishing"
        }
    }

    /// Whether no request is to be sent any more, or there is nobody left to send one.
    var isAllDone: Bool {
        if gone == options.connections { return true }
        guard load.budget == 0 else { return false }
        return (0..<options.connections).allSatisfy { conversations[$0].inFlight == 0 }
    }

    mutating func connectMore(at now: Nanoseconds) {
        while opened < options.connections {
            if let rate = options.connectRate {
                guard started + .seconds(Double(opened) / rate) <= now else { break }
            } else {
                guard opened - Int(tally.handshakes.count) - failedAtFirst < Generator.mostConnecting else { break }
            }
            opened += 1
            connect(opened - 1, due: now, at: now)
            if error != nil { return }
        }
        guard opened == options.connections, Int(tally.handshakes.count) + failedAtFirst >= opened else { return }
        connectTime = now - started
        guard tally.everConnected > 0 else { return fail(with: lastFailure) }
        start(at: now)
    }

    mutating func start(at now: Nanoseconds) {
        stage = .warmUp
        warmUpUntil = now + Nanoseconds(options.warmUp)
        load.isOn = options.inFlight > 0 && !options.isSilent
        load.start = now
        for index in 0..<options.connections {
            if !options.isShort {
                flush(index, at: now)
            } else if load.isOpenLoop {
                idle.append(index)
            } else {
                connect(index, due: now, at: now)
            }
        }
    }

    mutating func measure(at now: Nanoseconds) {
        stage = .measuring
        // From now on, exactly: what was due before is not counted.
        tally.measuredFrom = now
        tally.measuredUntil = now + Nanoseconds(options.duration)
        nextTick = now + .seconds(1)
        _ = tally.nextInterval()
        if let requests = options.requests { load.budget = requests }
        processorTimeBefore = Nanoseconds(processorTime())
        guard options.isSilent else { return }
        load.isSilenced = true
        // Silence is counted from here, and each turn takes its time.
        for index in 0..<options.connections { flush(index, at: .now) }
    }

    /// Nothing new is begun; what is unanswered may still be answered.
    mutating func finish(at now: Nanoseconds, within bound: Nanoseconds) {
        tally.measuredUntil = min(tally.measuredUntil, now)
        if tally.measuredFrom > now { tally.measuredFrom = now }
        processorTimeUsed = Nanoseconds(processorTime()) - processorTimeBefore
        // What is left of a second is none.
        if now > nextTick - .milliseconds(10) { tally.seconds.append(tally.nextInterval()) }
        load.isOn = false
        stage = .finishing(until: now + bound)
        for index in 0..<options.connections {
            switch conversations[index].phase {
            case .away, .over, .closing: break
            case .connecting, .greeting, .open:
                if options.isSilent || (!options.isShort && conversations[index].phase != .open) {
                    conversations[index].end(.finished, &tally, script)
                    finish(index, at: now)
                } else if !options.isShort {
                    conversations[index].leave()
                    flush(index, at: now)
                }
            }
        }
    }

    mutating func end(at now: Nanoseconds) {
        for index in 0..<options.connections where conversations[index].phase != .away {
            conversations[index].end(.timeout, &tally, script)
            finish(index, at: now)
        }
        stage = .over
    }

    mutating func fail(with ending: LoadConnectionEnd?) {
        let text = ending?.text ?? "nothing"
        error =
            switch ending {
            case .unreachable, nil: LoadError(kind: .unavailable, text: "no server answers at \(address): \(text)")
            case .refused(.busy), .refused(.shuttingDown):
                LoadError(kind: .busy, text: "the server at \(address) takes nobody now: \(text)")
            case .refused(.unauthorized):
                LoadError(kind: .unwanted, text: "the server at \(address) does not want this client: \(text)")
            default: LoadError(kind: .protocolError, text: "what answers at \(address) is no Lifeline server: \(text)")
            }
    }

    // MARK: Load

    mutating func arrive(at now: Nanoseconds) {
        // Not all of a backlog at once: what has come is read in between.
        for _ in 0..<256 {
            guard load.instant(of: load.due) <= now, load.budget > 0 else { break }
            let index = Int(load.due % UInt64(options.connections))
            load.due += 1
            if !options.isShort {
                conversations[index].becomesDue()
                flush(index, at: now)
            }
        }
        while options.isShort, load.taken < load.due, load.budget > 0, let index = idle.popLast() {
            load.taken += 1
            connect(index, due: load.instant(of: load.taken - 1), at: now)
        }
    }

    func instantOfCut(_ number: UInt64) -> Nanoseconds {
        tally.measuredFrom + .seconds(Double(number) / (options.churn / 100 * Double(options.connections)))
    }

    /// Cuts a connection: half of them by a reset, half by an end of stream without CLOSE.
    mutating func cut(at now: Nanoseconds) {
        cuts += 1
        let start = Int(chance.next() % UInt64(options.connections))
        for step in 0..<options.connections {
            let index = (start + step) % options.connections
            guard conversations[index].phase == .open else { continue }
            if cuts % 2 == 0 {
                lines[index].socket?.resetWhenClosed()
                tally.cutByReset += 1
            } else {
                tally.cutByClose += 1
            }
            conversations[index].end(.cut, &tally, script)
            return finish(index, at: now)
        }
    }

    // MARK: The result

    func report() -> LoadReport {
        var waiting = load.due - load.taken
        if !options.isShort { waiting = (0..<options.connections).reduce(0) { $0 + UInt64(conversations[$1].waiting) } }
        if load.budget == 0 { waiting = 0 }
        return LoadReport(
            options: options, target: "\(address)", tally: tally, connectTime: connectTime,
            processorTime: processorTimeUsed, leftOver: waiting, serversWindow: hadTooFew, isInterrupted: isInterrupted,
            sources: sources.count)
    }
}

extension SocketAddress {
    /// `count` addresses of this machine to connect from (nil: `LoadOptions.defaultSources`), in turn, so that no address
    /// runs out of ports; none where this is not an IPv4 address of loopback.
    fileprivate func sources(_ count: Int?) -> [SocketAddress] {
        guard host?.hasPrefix("127.") ?? false else { return [] }
        let count = count ?? LoadOptions.defaultSources
        return (0..<count).compactMap { SocketAddress(host: "127.0.0.\($0 + 1)", port: 0) }
    }
}
