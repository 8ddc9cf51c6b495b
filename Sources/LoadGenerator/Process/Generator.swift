import Framing
import Posix

extension Nanoseconds {
    /// The monotonic clock.
    static var now: Nanoseconds { Nanoseconds(monotonicNanoseconds()) }
}

/// The loop: all connections, on one thread.
public struct Generator: ~Copyable {
    /// Connections that are being made at once, where no rate is asked for: fewer than any backlog.
    private static let mostConnecting = 128
    private static let signalKey = UInt64.max

    private enum Stage {
        case connecting, warmUp, measuring
        case finishing(until: Nanoseconds)
        case over
    }

    private let options: LoadOptions
    private let address: SocketAddress
    private let sources: [SocketAddress]
    private let script: Script
    private var load: Load
    private var tally = Tally()
    private var events: EventPoll
    private var buffer = SendBuffer()
    private var wheel: Wheel
    private var chance: Chance
    private let signals: SignalDescriptor
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
    private let conversations: UnsafeMutablePointer<Conversation>
    private let lines: UnsafeMutablePointer<Line>
    private let slots: UnsafeMutablePointer<Slot>

    private var stage = Stage.connecting
    private let started: Nanoseconds
    private var connectTime = Nanoseconds.zero
    /// Connections that were tried, and of these those whose first attempt failed.
    private var opened = 0
    private var failedAtFirst = 0
    private var lastFailure: Ending?
    /// Connections that do not come back.
    private var gone = 0
    private var nextSource = 0
    /// Where a SHORT connection may be made, in an open loop.
    private var idle: [Int] = []
    private var cuts: UInt64 = 0
    private var nextTick: Nanoseconds
    private var isInterrupted = false
    private var processorTimeBefore = Nanoseconds.zero
    private var processorTimeUsed = Nanoseconds.zero
    private var error: LoadError?
    private var hadTooFew: UInt32?

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
        script = Script(options)
        load = Load(options: options)
        let now = Nanoseconds.now
        started = now
        nextTick = now + .seconds(1)
        wheel = Wheel(count: options.connections, at: now)
        chance = Chance(seed: options.seed)
        let slotsEach = Int(script.mask) + 1
        slots = .allocate(capacity: options.connections * slotsEach)
        slots.initialize(repeating: Slot(), count: options.connections * slotsEach)
        conversations = .allocate(capacity: options.connections)
        lines = .allocate(capacity: options.connections)
        for index in 0..<options.connections {
            (conversations + index).initialize(to: Conversation(index, slots + index * slotsEach))
            (lines + index).initialize(to: Line())
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

    private mutating func wait(until deadline: Nanoseconds) {
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
    private func nextDeadline(at now: Nanoseconds) -> Nanoseconds {
        var next = min(wheel.nextExpiry, nextTick)
        switch stage {
        case .connecting:
            if let rate = options.connectRate, opened < options.connections {
                next = min(next, started + .seconds(Double(opened) / rate))
            }
        case .warmUp: next = min(next, tally.measuredFrom)
        case .measuring:
            next = min(next, tally.measuredUntil)
            if options.churn > 0 { next = min(next, instantOfCut(cuts)) }
        case .finishing(let until): next = min(next, until)
        case .over: break
        }
        if load.isOn, load.isOpenLoop { next = min(next, load.instant(of: load.due)) }
        return next
    }

    private mutating func step(at now: Nanoseconds, _ progress: (Progress) -> Void) {
        while let index = wheel.popExpired(at: now) { woke(index, at: now) }
        switch stage {
        case .connecting: connectMore(at: now)
        case .warmUp: if now >= tally.measuredFrom { measure(at: now) }
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

    private var stageName: String {
        switch stage {
        case .connecting: "connecting"
        case .warmUp: "warming up"
        case .measuring: "measuring"
        case .finishing, .over: "finishing"
        }
    }

    /// Whether no request is to be sent any more, or there is nobody left to send one.
    private var isAllDone: Bool {
        if gone == options.connections { return true }
        guard load.budget == 0 else { return false }
        return (0..<options.connections).allSatisfy { conversations[$0].inFlight == 0 }
    }

    private mutating func connectMore(at now: Nanoseconds) {
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

    private mutating func start(at now: Nanoseconds) {
        stage = .warmUp
        tally.measuredFrom = now + Nanoseconds(options.warmUp)
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

    private mutating func measure(at now: Nanoseconds) {
        stage = .measuring
        // From now on, exactly: what was due before is not counted, nor what this loop was late for.
        tally.measuredFrom = now
        tally.measuredUntil = now + Nanoseconds(options.duration)
        nextTick = now + .seconds(1)
        _ = tally.nextInterval()
        if let requests = options.requests { load.budget = requests }
        processorTimeBefore = Nanoseconds(processorTime())
    }

    /// Nothing new is begun; what is unanswered may still be answered.
    private mutating func finish(at now: Nanoseconds, within bound: Nanoseconds) {
        tally.measuredUntil = min(tally.measuredUntil, now)
        if tally.measuredFrom > now { tally.measuredFrom = now }
        processorTimeUsed = Nanoseconds(processorTime()) - processorTimeBefore
        if now > nextTick - .seconds(0.5) { tally.seconds.append(tally.nextInterval()) }
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

    private mutating func end(at now: Nanoseconds) {
        for index in 0..<options.connections where conversations[index].phase != .away {
            conversations[index].end(.timeout, &tally, script)
            finish(index, at: now)
        }
        stage = .over
    }

    private mutating func fail(with ending: Ending?) {
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

    private mutating func arrive(at now: Nanoseconds) {
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

    private func instantOfCut(_ number: UInt64) -> Nanoseconds {
        tally.measuredFrom + .seconds(Double(number) / (options.churn / 100 * Double(options.connections)))
    }

    /// Cuts a connection: half of them by a reset, half by an end of stream without CLOSE.
    private mutating func cut(at now: Nanoseconds) {
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

    // MARK: Connections

    private mutating func connect(_ index: Int, due: Nanoseconds, at now: Nanoseconds) {
        conversations[index].connect(due: due, random: chance.share(), at: now)
        if options.isShort { load.budget -= 1 }
        let source = sources.isEmpty ? nil : sources[nextSource]
        nextSource = nextSource + 1 < sources.count ? nextSource + 1 : 0
        do throws(SystemError) {
            lines[index].open(try .connecting(to: address, from: source))
            flush(index, at: now, isNew: true)
            guard let number = lines[index].socket?.number else { return }
            try events.add(
                number, key: lines[index].key(index), reading: true, writing: lines[index].waitsToWrite)
            wheel.set(index, conversations[index].deadline(script, at: now))
        } catch {
            conversations[index].end(.unreachable(error: error.name), &tally, script)
            finish(index, at: now)
        }
    }

    private mutating func ready(_ event: ReadyEvent) {
        if event.key == Generator.signalKey { return interrupted() }
        let index = Int(truncatingIfNeeded: event.key & 0xFFFF_FFFF)
        guard lines[index].generation == UInt32(truncatingIfNeeded: event.key >> 32) else { return }
        if conversations[index].phase == .connecting, event.isWritable {
            do throws(SystemError) {
                try lines[index].socket?.checkConnected()
                conversations[index].connected()
            } catch {
                conversations[index].end(.unreachable(error: error.name), &tally, script)
                return finish(index, at: .now)
            }
        }
        guard event.isReadable else { return flush(index, at: .now) }
        do throws(SystemError) {
            let result = try lines[index].socket?.receive(into: input) ?? .wouldBlock
            let now = Nanoseconds.now
            switch result {
            case .bytes(let count):
                let before = conversations[index].phase
                conversations[index].receive(
                    UnsafeRawBufferPointer(rebasing: input[..<count]), script, &tally, at: now)
                if conversations[index].phase != before { turned(index, at: now) }
            case .end: conversations[index].streamEnded(&tally, script)
            case .wouldBlock: break
            }
            flush(index, at: now)
        } catch {
            conversations[index].end(error.isReset ? .reset : .broken(error: error.name), &tally, script)
            finish(index, at: .now)
        }
    }

    /// The connection has come to another phase by what it read.
    private mutating func turned(_ index: Int, at now: Nanoseconds) {
        wheel.set(index, conversations[index].deadline(script, at: now))
        guard conversations[index].phase == .open else { return }
        if options.size > Int(conversations[index].maxMessage) {
            error = LoadError(
                kind: .options,
                text: "the server takes messages of at most \(conversations[index].maxMessage) bytes; take a --size of that")
        }
        if Int(conversations[index].maxInFlight) < options.inFlight { hadTooFew = conversations[index].maxInFlight }
        if case .finishing = stage, !options.isShort { conversations[index].leave() }
    }

    private mutating func woke(_ index: Int, at now: Nanoseconds) {
        if conversations[index].phase == .away {
            if case .finishing = stage { return }
            guard !options.isShort || load.isOn else { return }
            return connect(index, due: now, at: now)
        }
        conversations[index].woke(
            script, &tally, asked: wheel.deadline(of: index), random: chance.share(), at: now)
        wheel.set(index, conversations[index].deadline(script, at: now))
        flush(index, at: now)
    }

    /// Writes what there is to write, as far as the kernel takes it, and closes what is over.
    private mutating func flush(_ index: Int, at now: Nanoseconds, isNew: Bool = false) {
        do throws(SystemError) {
            while conversations[index].phase != .over, conversations[index].phase != .away {
                if lines[index].hasPending {
                    if conversations[index].phase == .connecting, !isNew { break }
                    let result = try lines[index].sendPending()
                    let count = if case .bytes(let count) = result { count } else { 0 }
                    conversations[index].sent(count, waits: lines[index].hasPending, at: now)
                    if lines[index].hasPending { break }
                    continue
                }
                buffer.clear()
                conversations[index].fill(&buffer, &load, script, &tally, at: now)
                guard buffer.count > 0 else { break }
                let result = try lines[index].socket?.send(buffer.bytes) ?? .wouldBlock
                let count = if case .bytes(let count) = result { count } else { 0 }
                let waits = count < buffer.count
                if waits { lines[index].keep(UnsafeRawBufferPointer(rebasing: buffer.bytes[count...])) }
                conversations[index].sent(count, waits: waits, at: now)
                if waits { break }
            }
        } catch {
            let isConnecting = conversations[index].phase == .connecting
            conversations[index].end(
                isConnecting ? .unreachable(error: error.name) : error.isReset ? .reset : .broken(error: error.name),
                &tally, script)
        }
        let phase = conversations[index].phase
        if phase == .over { return finish(index, at: now) }
        guard phase != .away else { return }
        if phase == .closing, !lines[index].hasPending, !lines[index].isShut {
            lines[index].socket?.shutdownWriting()
            lines[index].isShut = true
            wheel.set(index, conversations[index].deadline(script, at: now))
        }
        if lines[index].hasPending != lines[index].waitsToWrite {
            lines[index].waitsToWrite.toggle()
            if !isNew, let number = lines[index].socket?.number {
                events.change(
                    number, key: lines[index].key(index), reading: true, writing: lines[index].waitsToWrite)
            }
        }
    }

    /// The connection is over: closes its socket, and decides whether and when it comes back.
    private mutating func finish(_ index: Int, at now: Nanoseconds) {
        if conversations[index].takeFarewell() { _ = try? lines[index].socket?.send(Close(.normal).frame[...]) }
        lines[index].socket = nil
        lines[index].generation &+= 1
        wheel.remove(index)
        let ending = conversations[index].ending ?? .finished
        tally.end(ending)
        let isFirst = !conversations[index].isReturning && !conversations[index].wasOpen
        conversations[index].closed(at: now)
        if isFirst, !options.isShort {
            failedAtFirst += 1
            lastFailure = ending
        }
        if tally.everConnected == 0, !isBusy(ending) { return fail(with: ending) }
        if case .finishing = stage { return }
        let isServers = !ending.isOwn && !options.isShort
        if options.isSilent || conversations[index].isUnwanted || (isServers && !options.comesBack) {
            gone += 1
            return
        }
        if ending == .cut || (options.isShort && ending == .closed(.normal)) {
            conversations[index].attempts = 0
            guard options.isShort else { return connect(index, due: now, at: now) }
            // Not from here: each would begin inside the end of the one before.
            if load.isOpenLoop { idle.append(index) } else { again.append(index) }
            return
        }
        wheel.set(index, now + conversations[index].pause(&chance))
    }

    private func isBusy(_ ending: Ending) -> Bool {
        switch ending {
        case .refused(.busy), .refused(.shuttingDown), .finished: true
        default: false
        }
    }

    /// SHORT connections that are begun at once.
    private var again: [Int] = []

    private mutating func interrupted() {
        while signals.next() != nil {
            if isInterrupted { stage = .over }
            isInterrupted = true
        }
        if case .over = stage { return }
        finish(at: .now, within: .seconds(1))
    }

    // MARK: The result

    private func report() -> LoadReport {
        var waiting = load.due - load.taken
        if !options.isShort { waiting = (0..<options.connections).reduce(0) { $0 + UInt64(conversations[$1].waiting) } }
        return LoadReport(
            options: options, target: "\(address)", tally: tally, connectTime: connectTime,
            processorTime: processorTimeUsed, leftOver: waiting, serversWindow: hadTooFew, isInterrupted: isInterrupted,
            sources: sources.count)
    }
}

extension SocketAddress {
    /// `count` addresses of this machine to connect from (32 where nil), in turn, so that no address runs out of ports;
    /// none where this is not an IPv4 address of loopback.
    fileprivate func sources(_ count: Int?) -> [SocketAddress] {
        guard host?.hasPrefix("127.") ?? false else { return [] }
        return (0..<(count ?? 32)).compactMap { SocketAddress(host: "127.0.0.\($0 + 1)", port: 0) }
    }
}
