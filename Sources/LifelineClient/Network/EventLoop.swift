import Basics
import Posix

/// The loop of the thread of input and output. It belongs to that thread alone, as do all links.
final class EventLoop {
    static let wakeUpKey: UInt64 = 0

    private struct Timer: Comparable, Sendable {
        let at: Instant
        let link: LinkID
        static func < (left: Timer, right: Timer) -> Bool { left.at < right.at }
    }

    private let thread: IOThread
    private var events: EventPoll
    private var links: [LinkID: SessionDriver] = [:]
    /// The link of each socket.
    private var owners: [UInt64: SessionDriver] = [:]
    private var lastKey = EventLoop.wakeUpKey
    /// At most one timer of each link counts: that of `SessionDriver.timer`.
    private var timers = Heap<Timer>()
    private var lookups: [Endpoint: [LinkID]] = [:]
    private var commands: [SessionCommand] = []
    private var ready: [ReadyEvent] = []
    /// What recv(2) fills; it is read before the next link has its turn.
    var buffer = [UInt8](repeating: 0, count: 65536)

    init(_ thread: IOThread, _ events: consuming EventPoll) {
        self.thread = thread
        self.events = events
    }

    func run() {
        while true {
            ready.removeAll(keepingCapacity: true)
            do {
                try events.wait(until: timers.first?.at) { ready.append($0) }
            } catch {
                preconditionFailure("\(error)")  // Only arguments that are wrong bring epoll_wait(2) here.
            }
            for event in ready {
                if event.key == EventLoop.wakeUpKey {
                    carryOutCommands()
                } else if let link = owners[event.key] {
                    link.ready(event)
                    settle(link)
                }
            }
            fireTimers()
        }
    }

    private func fireTimers() {
        let now = Instant.now
        while let timer = timers.first, timer.at <= now {
            timers.removeFirst()
            guard let link = links[timer.link], link.timer == timer.at else { continue }
            link.timer = nil
            link.timerFired()
            settle(link)
        }
    }

    /// Sees to it that the link runs again when it has to, or forgets it.
    private func settle(_ link: SessionDriver) {
        if link.isOver {
            links[link.id] = nil
            return
        }
        guard let deadline = link.deadline else { return }
        // A timer that comes too early only asks again, so a deadline that moves back costs nothing.
        if let timer = link.timer, timer <= deadline { return }
        timers.prune(live: links.count) { links[$0.link]?.timer == $0.at }
        link.timer = deadline
        timers.insert(Timer(at: deadline, link: link.id))
    }

    // MARK: Commands

    private func carryOutCommands() {
        thread.wakeUps.clearWakeUps()
        commands.removeAll(keepingCapacity: true)
        thread.takeCommands(into: &commands)
        // Each link has its turn once for all of its commands, so that they leave in one write.
        var touched: [LinkID] = []
        for command in commands {
            guard let link = carryOut(command), !link.isTouched else { continue }
            link.isTouched = true
            touched.append(link.id)
        }
        for id in touched {
            guard let link = links[id] else { continue }
            link.isTouched = false
            link.turn()
            settle(link)
        }
    }

    private func carryOut(_ command: SessionCommand) -> SessionDriver? {
        switch command {
        case .open(let id, let endpoint, let session, let sinks):
            let link = SessionDriver(id, to: endpoint, session, sinks, loop: self)
            links[id] = link
            return link
        case .call(let id, let call, let request, let reply, let monitor):
            guard let link = links[id] else {
                reply.resume(returning: .failure(.notSent(.connection(monitor.end ?? .closedByProgram))))
                return nil
            }
            link.start(call, request, reply)
            return link
        case .abandon(let id, let call):
            links[id]?.abandon(call)
            return links[id]
        case .close(let id, let continuation):
            guard let link = links[id] else {
                continuation?.resume()
                return nil
            }
            link.close(continuation)
            return link
        case .resolved(let endpoint, let result):
            for id in lookups.removeValue(forKey: endpoint) ?? [] {
                guard let link = links[id] else { continue }
                link.resolved(result)
                link.turn()
                settle(link)
            }
            return nil
        }
    }

    // MARK: What links use

    /// Watches `socket` for `link`.
    func watch(_ descriptor: consuming Descriptor, for link: SessionDriver, writing: Bool) throws(SystemError) -> Socket
    {
        lastKey += 1
        let socket = Socket(descriptor, key: lastKey, writing: writing)
        try events.add(socket.descriptor.number, key: socket.key, reading: true, writing: writing)
        owners[socket.key] = link
        return socket
    }

    /// Waits for room to write as well, or no longer.
    func setWriting(_ writing: Bool, on socket: Socket) {
        guard socket.isWriting != writing else { return }
        socket.isWriting = writing
        events.change(socket.descriptor.number, key: socket.key, reading: true, writing: writing)
    }

    /// Forgets `socket`, which is closed when its owner lets go of it.
    func unwatch(_ socket: Socket) { owners[socket.key] = nil }

    /// Finds the addresses of `endpoint` for `link`, on a thread of its own; links that ask for the same share it.
    func lookUp(_ endpoint: Endpoint, for link: SessionDriver) -> ConnectionError? {
        if lookups[endpoint] != nil {
            lookups[endpoint]?.append(link.id)
            return nil
        }
        do {
            try startThread(named: "lifeline-dns") { [thread] in
                thread.submit(.resolved(endpoint, resolve(endpoint)))
            }
        } catch {
            return ConnectionError(.unreachable, "\(error)")
        }
        lookups[endpoint] = [link.id]
        return nil
    }
}

/// A socket in the loop's set.
final class Socket {
    let descriptor: Descriptor
    let key: UInt64
    /// Whether room to write is waited for.
    fileprivate(set) var isWriting: Bool

    init(_ descriptor: consuming Descriptor, key: UInt64, writing: Bool) {
        self.descriptor = descriptor
        self.key = key
        isWriting = writing
    }
}
