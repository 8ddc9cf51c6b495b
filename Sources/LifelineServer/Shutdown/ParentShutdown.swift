import Basics
import Posix

/// Ends the server: tells each child and each client when it is its turn, and knows what is still waited for.
final class ParentShutdown {
    private let registry: ChildRegistry
    private let acceptor: ConnectionAcceptor
    private let notifier: ServiceNotifier
    private let log: Log
    private var drainDuration: Duration
    @exclusivity(unchecked) private var state: ShutdownState
    /// Set when the server drains: when each client is sent away.
    @exclusivity(unchecked) private var schedule: DrainSchedule?

    init(
        _ options: ServerOptions, _ registry: ChildRegistry, _ acceptor: ConnectionAcceptor,
        _ notifier: ServiceNotifier, log: Log
    ) {
        self.registry = registry
        self.acceptor = acceptor
        self.notifier = notifier
        self.log = log
        drainDuration = options.drain
        state = ShutdownState(drain: options.drain, grace: options.grace)
    }

    var isServing: Bool { state.isServing }
    /// Whether there is nothing left to wait for.
    var isOver: Bool { state.isOver }
    var deadline: Instant? { earlier(state.deadline, schedule?.deadline) }

    /// Goes by these options, as long as nothing has begun.
    func reconfigure(_ options: ServerOptions) {
        drainDuration = options.drain
        state = ShutdownState(drain: options.drain, grace: options.grace)
    }

    /// SIGTERM or SIGINT came, or an operator's `drain`.
    func terminate(at now: Instant) { carryOut(state.signalled(at: now), at: now) }

    /// SIGQUIT came.
    func quit(at now: Instant) { carryOut(state.quit(at: now), at: now) }

    /// The loop woke up: sends clients away whose turn it is, and takes the step whose time has come.
    func resumed(at now: Instant) {
        // Before the step: a parent that wakes late finds departures due together with the end, and the command that a
        // child reads is the last one.
        while let departure = schedule?.next(at: now) {
            if let record = registry.record(ofSlot: departure.client.slot, connection: departure.client.connection) {
                registry.send(.sendAway(retryAfter: departure.retryAfter), to: record)
            }
        }
        carryOut(state.resumed(at: now), at: now)
    }

    /// Refuses clients that come while the server ends.
    func refuseLatecomers(at now: Instant) { acceptor.refuseLatecomers(during: schedule, at: now) }

    /// Ends the loop where nothing is left that the server waits for.
    func endTurn(hasOrphans: Bool) {
        guard !state.isServing else { return }
        state.endTurn(hasProcesses: !registry.isEmpty || hasOrphans, hasClients: acceptor.hasClients)
    }

    private func carryOut(_ step: ShutdownState.Step, at now: Instant) {
        switch step {
        case .none: break
        case .drain: drain(at: now)
        case .end:
            if drainDuration > .zero { report(.drained) }
            registry.sendToAll(.end)
        case .quit: quitAll(at: now)
        case .kill: killAll()
        }
    }

    private func drain(at now: Instant) {
        registry.retireProcesses()
        report(.draining) { $0.seconds(.over, drainDuration) }
        let clients =
            drainDuration > .zero
            ? registry.records.map { LiveConnection(slot: $0.slot, connection: $0.connection) } : []
        schedule = DrainSchedule(of: clients, over: drainDuration, from: now) { .random(in: 0..<1) }
        notifier.notify(.stopping(connections: registry.liveConnections))
        notifier.accepted()  // Nothing is accepted any more, so whatever failed is no reason to restart the server.
        acceptor.stop(waits: true, during: schedule, at: now)
    }

    private func quitAll(at now: Instant) {
        registry.retireProcesses()
        report(.quitting)
        notifier.notify(.stopping(connections: registry.liveConnections))
        schedule = DrainSchedule(of: [], over: .zero, from: now) { 0 }
        for pid in registry.servingProcesses { sendSignal(Signal.quit, to: pid) }
        acceptor.stop(waits: false, during: schedule, at: now)
    }

    private func killAll() {
        log.write(.killing) { $0.number(.children, registry.liveConnections) }
        for pid in registry.processes { sendSignal(Signal.kill, to: pid) }
        acceptor.closeListeners()
    }

    private func report(_ event: LogEvent, _ fields: (inout LogLine) -> Void = { _ in }) {
        log.write(event) {
            $0.number(.children, registry.liveConnections)
            fields(&$0)
        }
    }
}
