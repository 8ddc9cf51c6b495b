import Basics
import Posix

/// The event loop of the I/O thread. The loop and all drivers belong to that thread alone.
final class EventLoop {
    static let wakeUpKey: UInt64 = 0
    private static let resumeKey = UInt64.max
    private static let avoidance = Duration.seconds(60)

    private struct Timer: Comparable, Sendable {
        let at: Instant
        let session: SessionID
        static func < (left: Timer, right: Timer) -> Bool { left.at < right.at }
    }

    let thread: IOThread
    private var events: EventPoll
    private let resumeTimer = ResumeTimer()
    private var suspendMeter = SuspendMeter(.now)
    private var drivers: [SessionID: SessionDriver] = [:]
    /// The driver of each socket.
    private var owners: [UInt64: SessionDriver] = [:]
    private var lastKey = EventLoop.wakeUpKey
    /// At most one timer of each driver is valid, that of `SessionDriver.timer`.
    private var timers = Heap<Timer>()
    /// Addresses whose handshake failed while others of the same name were left, and until when they come last. Each
    /// connection would otherwise wait for a mute one anew.
    private var avoided: [String: Instant] = [:]
    /// The sessions that wait for the addresses of an endpoint.
    private var lookups: [Endpoint: [SessionID]] = [:]
    private var commands: [SessionCommand] = []
    private var ready: [ReadyEvent] = []
    /// Those whose first results have come in this turn.
    var waiting: [CallResults] = []
    /// The buffer of all reads. A driver reads it to the end within its turn.
    var buffer = [UInt8](repeating: 0, count: 65536)

    init(_ thread: IOThread, _ events: consuming EventPoll) {
        self.thread = thread
        self.events = events
        if let number = resumeTimer.number {
            // Without it a suspend is not noticed; all else goes on.
            try? self.events.add(number, key: EventLoop.resumeKey, reading: true, writing: false)
        }
    }

    func run() {
        while true {
            ready.removeAll(keepingCapacity: true)
            do {
                try events.wait(until: timers.first?.at) { ready.append($0) }
            } catch {
                preconditionFailure("\(error)")  // epoll_wait(2) fails for wrong arguments alone.
            }
            for event in ready {
                if event.key == EventLoop.wakeUpKey {
                    runCommands()
                } else if event.key == EventLoop.resumeKey {
                    machineResumed()
                } else if let driver = owners[event.key] {
                    driver.handle(event)
                    schedule(driver)
                }
            }
            fireTimers()
            wakeWaiting()
        }
    }

    /// The machine has resumed, or somebody has set the time of day, which changes nothing.
    private func machineResumed() {
        resumeTimer.clear()
        guard let suspended = suspendMeter.suspended(.now) else { return }
        for driver in drivers.values {
            driver.machineResumed(after: suspended)
            schedule(driver)
        }
    }

    private func fireTimers() {
        let now = Instant.now
        while let timer = timers.first, timer.at <= now {
            timers.removeFirst()
            guard let driver = drivers[timer.session], driver.timer == timer.at else { continue }
            driver.timer = nil
            driver.timerFired()
            schedule(driver)
        }
    }

    /// Sets the timer of the driver, or removes a driver that is over.
    private func schedule(_ driver: SessionDriver) {
        if driver.isOver {
            drivers[driver.id] = nil
            return
        }
        guard let deadline = driver.deadline else { return }
        // A timer that fires early sets the next one, so a deadline that moves later needs no new timer.
        if let timer = driver.timer, timer <= deadline { return }
        timers.prune(live: drivers.count) { drivers[$0.session]?.timer == $0.at }
        driver.timer = deadline
        timers.insert(Timer(at: deadline, session: driver.id))
    }

    // MARK: Commands

    private func runCommands() {
        thread.wakeUps.clearWakeUps()
        commands.removeAll(keepingCapacity: true)
        thread.takeCommands(into: &commands)
        // One turn carries out all commands of a driver, so that their bytes leave in one write.
        var touched: [SessionID] = []
        for command in commands {
            guard let driver = run(command), !driver.isTouched else { continue }
            driver.isTouched = true
            touched.append(driver.id)
        }
        for id in touched {
            guard let driver = drivers[id] else { continue }
            driver.isTouched = false
            driver.turn()
            schedule(driver)
        }
    }

    /// Carries out `command`; returns the driver that needs a turn.
    private func run(_ command: SessionCommand) -> SessionDriver? {
        switch command {
        case .open(let id, let servers, let tls, let session, let sinks):
            let driver = SessionDriver(id, to: servers, tls, session, sinks, loop: self)
            drivers[id] = driver
            return driver
        case .call(let id, let call, let request, let reply, let status):
            guard let driver = drivers[id] else {
                resume(reply, returning: .failure(.notSent(.connection(status.end ?? .closedByProgram))))
                return nil
            }
            driver.start(call, request, reply)
            return driver
        case .abandon(let id, let call):
            drivers[id]?.abandon(call)
            return drivers[id]
        case .answered(let id, let key, let result):
            drivers[id]?.answerEnded(key, result)
            return drivers[id]
        case .taken(let id), .sent(let id): return drivers[id]
        case .close(let id, let limit, let continuation):
            guard let driver = drivers[id] else {
                continuation?.resume()
                return nil
            }
            driver.close(within: limit, continuation)
            return driver
        case .resolved(let endpoint, let result):
            for id in lookups.removeValue(forKey: endpoint) ?? [] {
                guard let driver = drivers[id] else { continue }
                driver.resolved(result)
                driver.turn()
                schedule(driver)
            }
            return nil
        }
    }

    // MARK: What drivers use

    /// Adds a socket whose events go to `driver`.
    func watch(
        _ transport: consuming ClientTransport, for driver: SessionDriver, writing: Bool
    ) throws(SystemError) -> Socket {
        lastKey += 1
        let socket = Socket(transport, key: lastKey, watchesWriting: writing)
        try events.add(socket.number, key: socket.key, reading: true, writing: writing)
        owners[socket.key] = driver
        return socket
    }

    /// Sets whether the loop watches `socket` for room to write.
    func setWriting(_ writing: Bool, on socket: Socket) {
        guard socket.watchesWriting != writing else { return }
        socket.watchesWriting = writing
        events.change(socket.number, key: socket.key, reading: true, writing: writing)
    }

    /// Removes `socket`. Its owner closes it when it releases the object.
    func unwatch(_ socket: Socket) { owners[socket.key] = nil }

    /// Looks up `endpoint` for `driver` on a new thread, which all drivers share that wait for the same endpoint.
    ///
    /// Returns an error where the system has no thread left.
    func lookUp(_ endpoint: Endpoint, for driver: SessionDriver) -> ConnectionError? {
        if lookups[endpoint] != nil {
            lookups[endpoint]?.append(driver.id)
            return nil
        }
        do {
            try startThread(named: "lifeline-dns") { [thread] in
                thread.submit(.resolved(endpoint, resolve(endpoint)))
            }
        } catch {
            return ConnectionError(.unreachable, "\(error)")
        }
        lookups[endpoint] = [driver.id]
        return nil
    }

    /// Puts `address` behind the others of its name for a minute.
    func avoid(_ address: SocketAddress, at now: Instant) {
        avoided["\(address)"] = now + EventLoop.avoidance
    }

    /// The addresses of a name in the order in which to try them.
    func ordered(_ addresses: [SocketAddress], at now: Instant) -> [SocketAddress] {
        guard !avoided.isEmpty else { return addresses }
        avoided = avoided.filter { $0.value > now }
        return addresses.filter { avoided["\($0)"] == nil } + addresses.filter { avoided["\($0)"] != nil }
    }
}
