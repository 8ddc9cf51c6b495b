import Basics
import Posix

/// The process that accepts and forks; it never reads what a client sends.
///
/// It is an event loop and the wiring of what the loop calls: `ConnectionAcceptor` lets clients in, `ChildLauncher`
/// forks their processes, `ChildReaper` accounts for them when they end, `ParentShutdown` ends the server,
/// `AdminServer` answers operators. `ChildRegistry` is what they all know of the children.
///
/// Its life is that of `ShutdownState`. No client, and no failure of accept or fork, ends it.
///
/// The properties of these types that each connection comes by are accessed without a check of exclusivity. One thread
/// runs all of this, and what is called while one of those properties is changed looks at others alone. With the checks
/// the parent takes 58 % more instructions for a connection (tools/dev/instructions).
final class Parent {
    /// Children are looked for this often even if no signal says that one has ended.
    private static var longestWait: Duration { .seconds(5) }

    private let log: Log
    private let notifier: ServiceNotifier
    private let registry: ChildRegistry
    private let launcher: ChildLauncher
    private let reaper: ChildReaper
    private let acceptor: ConnectionAcceptor
    private let shutdown: ParentShutdown
    private let reload: ServerReload
    private let admin: AdminServer
    private let signals: ParentOwned<SignalDescriptor>
    private let cleanData: ParentOwned<CleanData>
    private let resumeTimer: ParentOwned<ResumeTimer>
    private var suspendMeter = SuspendMeter(.now)
    private var pidfile: ParentOwned<Pidfile>?
    private var nextSweep = Instant.now

    /// A parent that serves by `options` with what `factory` makes, and reads its configuration again with `reload`.
    init(
        _ resources: consuming ServerResources, _ options: ServerOptions, _ factory: HandlerFactory, _ reload: Reloader?
    ) {
        // What is allocated here lies together: it is written between two forks, and each page of it costs a copy.
        let log = Log(movingFrom: resources.log)
        let descriptors = resources.descriptors
        let notifier = resources.notifier
        let ownGroup = resources.account?.group
        let registry = ChildRegistry(
            resources.memory, commands: resources.commands, options, router: resources.router, at: .now)
        registry.budget.limit = options.memoryBudget.map { Int($0) }
        launcher = ChildLauncher(
            registry, descriptors, childSignals: resources.childSignals, options, factory,
            tokenFile: resources.tokenFile, log: log)
        reaper = ChildReaper(registry, launcher, log: log)
        if factory.leavesOrphans { reaper.expectOrphans() }
        acceptor = ConnectionAcceptor(
            resources.listeners, backEnds: resources.backEndListener, Admission(options), registry, launcher, reaper,
            descriptors, notifier, log: log)
        shutdown = ParentShutdown(options, registry, acceptor, notifier, log: log)
        self.reload = ServerReload(
            options, reload, ownGroup: ownGroup, registry, launcher, reaper, acceptor, shutdown, notifier, log: log)
        admin = AdminServer(
            resources.admin, in: descriptors,
            ControlCommands(registry, acceptor, shutdown, self.reload, hasTopics: options.topics, log: log))
        signals = ParentOwned(resources.signals, in: descriptors)
        cleanData = ParentOwned(resources.cleanData, in: descriptors)
        resumeTimer = ParentOwned(ResumeTimer(), in: descriptors)
        if let pidfile = resources.pidfile { self.pidfile = ParentOwned(pidfile, in: descriptors) }
        self.log = log
        self.notifier = notifier
        self.registry = registry
    }

    /// Serves until a signal or an operator ends it, and nothing is left that it waits for.
    func run() {
        var set = PollSet()
        set.removeAll(reserving: 8)
        registry.router?.resumed(launcher, log: log, at: .now)
        while !shutdown.isOver { turn(&set) }
        registry.router?.end()
        acceptor.closeRefused()
        log.sweep(at: .now, all: true)
        reportStopped()
        pidfile = nil
        admin.close()
    }

    /// One turn of the loop: waits, and does what there is to do.
    private func turn(_ set: inout PollSet) {
        let isShort = replenishPool()
        let begun = Instant.now
        set.removeAll()
        let signalled = set.add(signals.resource.number)
        let resumed = set.add(resumeTimer.resource.number ?? -1)
        acceptor.add(to: &set, isServing: shutdown.isServing, at: begun)
        admin.add(to: &set)
        wait(for: &set, until: isShort ? begun : deadline(from: begun))
        let now = Instant.now
        if set.isReadable(signalled) { handleSignals(at: now) }
        if set.isReadable(resumed) { machineResumed() }
        // After the signals: a child that has ended by then has marked its connection before.
        reaper.collectCompleted(for: &acceptor.admission, at: now)
        acceptor.judgeAnnounced(at: now)
        acceptor.readRefused(set, at: now)
        shutdown.resumed(at: now)
        if shutdown.isOver { return }
        reaper.reapChildren(inSweep: nextSweep <= now, for: &acceptor.admission, at: now)
        registry.router?.resumed(launcher, log: log, at: now)
        admin.resumed(set, at: now)
        if shutdown.isServing { acceptor.acceptWaiting(set) } else { shutdown.refuseLatecomers(at: now) }
        notifier.turned(at: now)
        sweep(at: now)
        shutdown.endTurn(hasOrphans: reaper.hasOrphans)
    }

    /// Forks processes that are to wait for connections; whether others should follow in the next turn.
    private func replenishPool() -> Bool {
        guard shutdown.isServing else { return false }
        if let shared = registry.shared { return shared.replenish(launcher) }
        return registry.pool?.replenish(launcher) ?? false
    }

    private func deadline(from now: Instant) -> Instant? {
        var deadline = earlier(shutdown.deadline, reaper.deadline)
        deadline = earlier(deadline, acceptor.deadline(isServing: shutdown.isServing))
        deadline = earlier(deadline, admin.deadline)
        deadline = earlier(deadline, notifier.deadline)
        deadline = earlier(deadline, registry.router?.deadline)
        if shutdown.isServing {
            deadline = earlier(deadline, registry.pool?.deadline(sweep: nextSweep))
            deadline = earlier(deadline, registry.shared?.deadline)
        }
        return earlier(deadline, now + Parent.longestWait)
    }

    private func wait(for set: inout PollSet, until deadline: Instant?) {
        do {
            try set.wait(until: deadline)
        } catch {
            // Memory for the call is short, and nothing else can be wrong: the next turn tries again.
            log.write(.pollFailed) { $0.text(.text, "\(error)") }
        }
    }

    private func handleSignals(at now: Instant) {
        while let (signal, sender) = signals.resource.next() {
            switch signal {
            case Signal.terminate, Signal.interrupt: shutdown.terminate(at: now)
            case Signal.quit: shutdown.quit(at: now)
            case Signal.reload: reload.run()
            case Signal.reopen:
                log.reopen()
                for pid in registry.processes { sendSignal(Signal.reopen, to: pid) }
                if let router = registry.router?.pid { sendSignal(Signal.reopen, to: router) }
            case Signal.processorTimeOver:
                log.write(.processorTimeOver) { $0.number(.children, registry.liveConnections) }
                shutdown.terminate(at: now)
            case Signal.childEnded: reaper.childSignalled(sender, for: &acceptor.admission, at: now)
            default: break  // A child has announced the client of a proxy.
            }
        }
    }

    /// The machine has resumed, or somebody has set the time of day, which changes nothing.
    private func machineResumed() {
        resumeTimer.resource.clear()
        guard let suspended = suspendMeter.suspended(.now) else { return }
        log.write(.machineResumed) {
            $0.seconds(.suspended, suspended)
            $0.number(.children, registry.liveConnections)
        }
        registry.announceResume()
    }

    /// What is done once a second at most: an idle parent sleeps for longer.
    private func sweep(at now: Instant) {
        guard nextSweep <= now else { return }
        nextSweep = now + .seconds(1)
        log.sweep(at: now)
        registry.pool?.sweep(at: now)
        registry.shared?.sweep(at: now)
        // What is read but now and then comes back with all that lies round it, and each fork would copy its entries.
        cleanData.resource.forget()
        acceptor.sweep()
        if shutdown.isServing { notifier.notifyServing(registry.liveConnections) }
    }

    private func reportStopped() {
        log.write(.stopped) {
            $0.number(.connections, registry.connectionCount)
            for (reason, count) in acceptor.admission.refused.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                $0.number(LogField(reason), count)
            }
        }
    }
}
