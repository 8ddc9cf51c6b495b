import Basics
import Posix

/// Forks children, and holds what they inherit. Nothing else in this module forks.
final class ChildLauncher {
    /// Makes what answers a connection's requests, in its child: of what the process has for it, the socket, which
    /// connection it is, and what a proxy says of the client.
    typealias RunnerMaker = (HandlerHost, borrowing Descriptor, ConnectionAssignment, ProxiedClient?) ->
        any HandlerRunner

    /// Up to this many are forked ahead in a turn of the loop: clients that come meanwhile wait for no more.
    private static let forkedAtOnce = 4

    private let registry: ChildRegistry
    private let descriptors: ParentDescriptors
    private let childSignals: OwnedResource<SignalDescriptor>
    private let log: Log
    private var settings: ConnectionSettings
    private(set) var limits: ChildLimits
    private var makeRunner: RunnerMaker
    private var title: ProcessTitle?
    private let connectionsPerProcess: Int
    private let connectionsAtATime: Int
    private var handlerThreads: Int
    private var routerTerms: RouterTerms
    private let routerLimits: RouterLimits
    /// The tokens, one of which a client must bring; nil where everybody may connect.
    @exclusivity(unchecked) private(set) var tokenFile: TokenFile?
    /// What a child reads into first. An array of its own takes 4 % more instructions of a child and one page fault more
    /// (tools/dev/instructions, tools/dev/cost).
    @exclusivity(unchecked) private var firstBuffer = ConnectionProcess.firstBuffer

    /// - Parameters:
    ///   - registry: Where children have their slots.
    ///   - descriptors: What each child closes.
    ///   - childSignals: What each child reads its signals from.
    ///   - options: What children go by.
    ///   - factory: What answers requests.
    ///   - tokenFile: Which clients may connect.
    ///   - log: Where children write their lines.
    init(
        _ registry: ChildRegistry, _ descriptors: ParentDescriptors, childSignals: consuming SignalDescriptor,
        _ options: ServerOptions, _ factory: HandlerFactory, tokenFile: TokenFile?, log: Log
    ) {
        self.registry = registry
        self.descriptors = descriptors
        self.childSignals = OwnedResource(childSignals)
        self.log = log
        self.tokenFile = tokenFile
        settings = options.connectionSettings
        limits = ChildLimits(options)
        makeRunner = factory.maker(log, options)
        title = options.title
        connectionsPerProcess = options.poolReuse
        connectionsAtATime = options.connectionsPerProcess
        handlerThreads = options.handlerThreads
        routerTerms = RouterTerms(options)
        routerLimits = RouterLimits(options)
    }

    /// Children that are forked from now on go by these options; without a `factory` what answers requests stays.
    func reconfigure(_ options: ServerOptions, _ factory: HandlerFactory?, tokenFile: TokenFile?) {
        settings = options.connectionSettings
        limits = ChildLimits(options)
        title = options.title
        handlerThreads = options.handlerThreads
        // What the router takes was said at its start.
        routerTerms.mostTopics = options.maxTopics
        if let factory { makeRunner = factory.maker(log, options) }
        self.tokenFile = tokenFile
    }

    /// Reads the token file again if it has changed. Returns whether the tokens are others now: a process that was
    /// forked before has the old ones.
    func refreshTokens() -> Bool { tokenFile?.refresh(log) ?? false }

    /// Forks a process of this kind. It gets `descriptor`; the caller closes its own copy.
    func launch(_ kind: ChildKind, slot: Int, _ descriptor: borrowing Descriptor) throws(SystemError) -> ProcessID {
        let isLimited = if case .router = kind { false } else { true }
        guard let pid = try fork(isLimited: isLimited) else {
            switch kind {
            case .connection(let assignment) where assignment.beginsWithHeader:
                identify(assignment, slot: slot, number: descriptor.number)
            case .connection(let assignment): serve(assignment, slot: slot, number: descriptor.number)
            case .pooled: waitForConnections(slot: slot, number: descriptor.number)
            case .shared: serveSeveral(slot: slot, number: descriptor.number)
            case .router: route(number: descriptor.number)
            }
        }
        return pid
    }

    /// A process that waits at the other end of a channel.
    struct WaitingChild {
        let pid: ProcessID
        let slot: Int
        /// The giving end.
        let channel: ParentOwned<Descriptor>
    }

    /// Forks a process of this kind, with a slot of its own, that gets its connections through a channel.
    func launchWithChannel(_ kind: ChildKind) throws(SystemError) -> WaitingChild {
        let ends = try DescriptorChannel()
        // Before the fork: the child closes the parent's end.
        let channel = ParentOwned(ends.giving, in: descriptors)
        let slot = try registry.acquireSlot()
        registry.board.clear(slot)
        do throws(SystemError) {
            return WaitingChild(pid: try launch(kind, slot: slot, ends.taking), slot: slot, channel: channel)
        } catch {
            registry.releaseSlot(slot)
            throw error
        }
    }

    /// Forks processes ahead of need, as long as some are missing. Returns whether there should be more: they follow in the
    /// next turn.
    func forkAhead(
        missing: (Instant) -> Int, failed: (Instant) -> Void, fork: (Instant) throws(SystemError) -> Void
    ) -> Bool {
        for _ in 0..<ChildLauncher.forkedAtOnce {
            let now = Instant.now
            guard missing(now) > 0 else { return false }
            do throws(SystemError) {
                try fork(now)
            } catch {
                failed(now)
                if error.call == "fork" { registry.statistics.forkFailed(error.name) }
                log.write(failure: .forkFailed, error)
                return false
            }
        }
        return missing(.now) > 0
    }

    /// Forks; nil in the child, which has closed what is the parent's alone.
    ///
    /// The limits of connections' processes are none of the router's.
    private func fork(isLimited: Bool) throws(SystemError) -> ProcessID? {
        guard case .parent(let pid) = try forkProcess() else {
            descriptors.closeInChild()
            if isLimited { limits.apply() }
            return nil
        }
        return pid
    }

    // MARK: In the new process alone

    /// Serves one connection and ends. It is not inlined: the parent shall not need the stack for it.
    ///
    /// The caller, which owns the descriptor of this number, never runs again in this process.
    @inline(never)
    private func serve(
        _ assignment: ConnectionAssignment, _ client: ProxiedClient? = nil, slot: Int, number: Int32
    ) -> Never {
        // Nothing of it is let go of: the system takes all back at once. To let go of it takes 13 % more instructions of a
        // child (tools/dev/instructions).
        let process = UnsafeMutablePointer<ConnectionProcess>.allocate(capacity: 1)
        process.initialize(to: makeProcess(Descriptor(owning: number), assignment, client, slot: slot))
        let status = process.pointee.run()
        writeUnfinishedOutput()
        registry.markCompleted(slot)
        exitProcess(status)
    }

    /// Reads the header of a proxy's connection, and serves its client if it is let in.
    @inline(never)
    private func identify(_ assignment: ConnectionAssignment, slot: Int, number: Int32) -> Never {
        let connection = Descriptor(owning: number)
        guard case .client(let client) = stage(connection, assignment, slot: slot) else {
            registry.markCompleted(slot)
            exitProcess(0)
        }
        serve(assignment.identified(as: client.peer), client, slot: slot, number: connection.number)
    }

    private func stage(
        _ connection: borrowing Descriptor, _ assignment: ConnectionAssignment, slot: Int
    ) -> ProxyStage.StageEnd {
        var stage = ProxyStage(assignment, registry, slot: slot, signals: childSignals, log: log, title: title)
        return stage.run(connection)
    }

    /// Serves one of several connections of this process: returns its exit status, and whether it may serve more.
    private func serveNext(
        _ connection: consuming Descriptor, _ assignment: ConnectionAssignment, slot: Int
    ) -> (Int32, mayServeMore: Bool) {
        defer { writeUnfinishedOutput() }
        var assignment = assignment
        var client: ProxiedClient?
        if assignment.beginsWithHeader {
            switch stage(connection, assignment, slot: slot) {
            case .client(let named): (client, assignment) = (named, assignment.identified(as: named.peer))
            case .over(let mayServeMore): return (0, mayServeMore)
            }
        }
        var process = makeProcess(connection, assignment, client, slot: slot)
        return (process.run(), process.hasLeftNothing)
    }

    /// Waits for connections, and serves one after another.
    @inline(never)
    private func waitForConnections(slot: Int, number: Int32) -> Never {
        do throws(SystemError) {
            try PooledProcess(
                Descriptor(owning: number), signals: childSignals, connections: connectionsPerProcess, log: log,
                title: title
            ).run { connection, assignment in
                serveNext(connection, assignment, slot: slot)
            } markCompleted: {
                registry.markCompleted(slot)
            }
        } catch {
            fail(.childFailed, error)
        }
    }

    /// Serves several connections at a time, and ends.
    @inline(never)
    private func serveSeveral(slot: Int, number: Int32) -> Never {
        let context = SharedProcessContext(
            registry: registry, settings: settings, tokens: tokenFile?.tokens, makeRunner: makeRunner,
            mostConnections: connectionsAtATime, mostThreads: handlerThreads, signals: childSignals, log: log,
            title: title, board: registry.board[slot], inbox: registry.commands[slot],
            makeTie: makeTie(wakeLoop:))
        do throws(SystemError) {
            let process = try SharedProcess(Descriptor(owning: number), context)
            let status = process.run()
            writeUnfinishedOutput()
            exitProcess(status)
        } catch {
            fail(.childFailed, error)
        }
    }

    /// Says why the process cannot go on, and ends it.
    private func fail(_ event: LogEvent, _ error: SystemError) -> Never {
        log.write(event) {
            $0.number(.pid, processID)
            $0.text(.text, "\(error)")
        }
        exitProcess(1)
    }

    /// Carries messages between processes, and ends.
    @inline(never)
    private func route(number: Int32) -> Never {
        guard let router = registry.router else { exitProcess(1) }
        router.lobby.entrance.closeInRouter()
        do throws(SystemError) {
            exitProcess(
                try RouterProcess(
                    lobby: Descriptor(owning: number), signals: childSignals, board: router.board, limits: routerLimits,
                    log: log, title: title
                ).run())
        } catch {
            fail(.routerFailed, error)
        }
    }

    /// The tie of this process to the router; nil without `ServerOptions.topics`.
    private func makeTie(wakeLoop: @escaping @Sendable () -> Void) -> RouterTie? {
        registry.router.map { RouterTie($0.lobby.entrance, routerTerms, wakeLoop: wakeLoop) }
    }

    private func makeProcess(
        _ connection: consuming Descriptor, _ assignment: ConnectionAssignment, _ client: ProxiedClient?, slot: Int
    ) -> ConnectionProcess {
        let tie = makeTie { sendSignal(Signal.call, to: processID) }
        let runner = makeRunner(HandlerHost(tie: tie), connection, assignment, client)
        // The parent's own stays as it is, for the next child; a process with a second connection makes another.
        let buffer = firstBuffer.isEmpty ? ConnectionProcess.firstBuffer : firstBuffer
        firstBuffer = []
        return ConnectionProcess(
            connection, assignment, client, assignment.isBackEnd ? settings.ofBackEnd : settings,
            tokens: assignment.isBackEnd ? nil : tokenFile?.tokens, log: log, slot: registry.slot(slot),
            commands: registry.commands[slot], title: title, runner: runner, signals: childSignals, buffer: buffer,
            tie: tie)
    }
}
