import Basics
import Framing
import Posix

/// The process that accepts and forks; it never reads what a client sends.
///
/// Its life: it polls the listener, its signals, and the connections that it refuses. For each connection it forks a
/// child, closes its own copy, and keeps a line about it until it is reaped. The first SIGTERM or SIGINT drains: the
/// clients queued on the listener are told that the server is shutting down, the listener is closed, the children are
/// told one by one, and the parent only reaps. A second signal, or the end of the grace, kills what is left; SIGQUIT
/// waits for nothing. When the last child is reaped, `run` returns.
///
/// Nothing that a client does, and no failure of accept or fork, ends it.
///
/// What each connection comes by is accessed without a check of exclusivity. One thread runs all of this, and what is
/// called while one of those properties is changed (the closures that `admission`, `done`, `leaving` and `orphans` are
/// given) looks at others alone.
final class Parent {
    /// Makes what works on a connection's requests, in its child: of the socket, the connection's number and its peer.
    typealias RunnerMaker = (borrowing Descriptor, UInt64, SocketAddress) -> any HandlerRunner

    /// So many connections are accepted in a row before children are reaped again.
    private static var acceptedAtOnce: Int { 64 }
    /// Children are looked for this often even if no signal says that one has ended.
    private static var sweepEvery: Duration { .seconds(5) }
    /// To look whether any child has ended costs the system a little for each that there is. For each it is left in peace
    /// for so many microseconds afterwards: a hundredth of the time goes into it at most.
    private static var peaceForEach: Int { 5 }

    var options: ServerOptions { didSet { service = options.service } }
    private var service: ConnectionDriver.Settings
    let log: Log
    var makeWorker: RunnerMaker
    let readAgain: Reloader?
    /// What programs leave behind, where there are any.
    @exclusivity(unchecked) var orphans: OrphanReaper?
    private let signals: OwnedResource<SignalDescriptor>
    let childSignals: OwnedResource<SignalDescriptor>
    private let cleanData: OwnedResource<CleanData>
    let listener: OwnedResource<Descriptor>
    let address: SocketAddress
    /// A supervisor has the listener too.
    let isHandedOver: Bool
    let socketFile: SocketFile?
    private let pidfile: OwnedResource<Pidfile>
    let supervisor: ServiceNotifier
    let orders: ChildCommands
    var title: ProcessTitle?
    /// Set for as long as `run` lasts: what it serves asks this parent.
    private(set) var look: AdminServer!
    @exclusivity(unchecked) var tokenFile: TokenFile?
    /// The group that the server has become.
    let ownGroup: UInt32?
    private let refusals = RefusedConnections()
    /// Listed for each fork; the memory is kept.
    @exclusivity(unchecked) private var ownDescriptors: [Int32] = []
    /// Given up for a moment where accept lacks a descriptor, so that one client can be accepted and told.
    @exclusivity(unchecked) private var spare = try? Descriptor.event()
    @exclusivity(unchecked) var children: ChildTable
    @exclusivity(unchecked) var slots: Scoreboard
    /// Set by children that are done with their connections.
    @exclusivity(unchecked) var done: CompletionBitmap
    /// Children that have said so and were not reaped yet, unless somebody has reaped them meanwhile.
    @exclusivity(unchecked) var leaving: [ProcessID] = []
    /// Those that were forked ahead, with `--pool`.
    let crew: ProcessPool?
    @exclusivity(unchecked) private(set) var connections: UInt64 = 0
    /// What a child reads into first: for an array of its own it would ask the runtime, which writes to one more page.
    @exclusivity(unchecked) private var firstBuffer: [UInt8] = []
    @exclusivity(unchecked) private var pause = AcceptBackoff()
    @exclusivity(unchecked) var admission: Admission
    @exclusivity(unchecked) var random = SystemRandomNumberGenerator()
    private var nextSweep = Instant.now
    /// A signal has said so since children were reaped.
    private var hasOneEnded = false
    /// When all children are looked at, since one has ended that nobody may have named; nil where none has.
    @exclusivity(unchecked) private var looksThrough: Instant?
    /// When all children were looked at last.
    @exclusivity(unchecked) private var lookedThrough = Instant.now
    @exclusivity(unchecked) var shutdown: ShutdownState
    /// Set when the server drains: who is sent away when.
    @exclusivity(unchecked) var drain: DrainSchedule?
    /// While the server drains: how long clients that are already on their way in are waited for.
    @exclusivity(unchecked) var listensUntil: Instant?

    init(
        _ options: ServerOptions, _ listening: consuming ServerListener, _ signals: consuming SignalDescriptor,
        childSignals: consuming SignalDescriptor, _ cleanData: consuming CleanData, _ pidfile: consuming Pidfile?,
        _ supervisor: ServiceNotifier, _ books: Books, orders: ChildCommands, tokenFile: TokenFile?, ownGroup: UInt32?,
        log: Log,
        _ source: HandlerFactory, reload readAgain: Reloader?
    ) {
        self.options = options
        service = options.service
        address = listening.address
        isHandedOver = listening.isHandedOver
        listener = OwnedResource(listening.socket)
        self.signals = OwnedResource(signals)
        self.childSignals = OwnedResource(childSignals)
        self.cleanData = OwnedResource(cleanData)
        self.pidfile = OwnedResource(pidfile)
        self.supervisor = supervisor
        children = books.children
        slots = books.slots
        done = books.done
        crew = options.pool.map { ProcessPool($0, reuse: options.poolReuse, at: .now) }
        self.orders = orders
        title = options.title
        self.tokenFile = tokenFile
        self.ownGroup = ownGroup
        self.readAgain = readAgain
        self.log = log
        makeWorker = source.make(log, options)
        orphans = source.leavesOrphans ? OrphanReaper() : nil
        admission = Admission(options)
        shutdown = ShutdownState(drain: options.drain, grace: options.grace)
        socketFile = address.unixPath.flatMap { SocketFile(at: $0) }
    }

    /// Serves until it is told to end; `listeners` are where an operator asks.
    func run(_ listeners: consuming AdminServer.Listeners) {
        look = AdminServer(
            listeners, at: .now, control: { [unowned self] in answer($0) }, metrics: { [unowned self] in metrics() })
        defer { look.end() }
        // What poll(2) is asked, of which the memory is kept. Behind it lies what children alone write to.
        var entries: [PollEntry] = []
        entries.reserveCapacity(8)
        ownDescriptors.reserveCapacity(8)
        firstBuffer = ConnectionProcess.firstBuffer
        while shutdown.isServing || hasChildren || orphans?.deadline != nil
            || (!shutdown.isAtOnce && (refusals.deadline != nil || listensUntil != nil))
        {
            let isShort = forkAhead()
            let now = Instant.now
            let mayAccept = shutdown.isServing ? !pause.isOn(at: now) : listensUntil != nil
            entries.removeAll(keepingCapacity: true)
            entries.append(PollEntry(signals.number ?? -1))
            entries.append(PollEntry(mayAccept ? listener.number ?? -1 : -1))
            refusals.append(to: &entries)
            let others = entries.count
            look.append(to: &entries)
            wait(for: &entries, from: now, until: isShort ? now : nil)
            let woke = Instant.now
            if entries[0].isReadable {
                while let (signal, sender) = signals.next() { take(signal, of: sender, at: woke) }
            }
            // After the signals: who has ended by then has said so before.
            collect(at: woke)
            refusals.woke(entries[2..<others], at: woke)
            let step = shutdown.woke(at: woke)
            if step == .leave { break }
            take(step, at: woke)
            sendAway(at: woke)
            reapAll(at: woke)
            look.woke(entries[others...], at: woke)
            if !shutdown.isServing { refuseLatecomers(at: woke) } else if entries[1].isReadable { acceptSome() }
            if mayAccept, !entries[1].isReadable { supervisor.accepted() }
            supervisor.turned(at: woke)
            sweep(at: woke)
        }
        refusals.leaveAll()
        log.sweep(at: .now, all: true)
        log.write(.info, "stopped") {
            $0.number("connections", connections)
            for (reason, count) in admission.refused.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                $0.number("refused_\(reason.field)", count)
            }
        }
        pidfile.close()
    }

    /// What is done every now and then, however often the loop comes round.
    private func sweep(at now: Instant) {
        guard nextSweep <= now else { return }
        nextSweep = now + .seconds(1)
        log.sweep(at: now)
        crew?.sweep(at: now)
        // What is read but now and then comes back with all that lies round it, and each fork would copy its entries.
        cleanData.forget()
        if spare == nil { spare = try? Descriptor.event() }
        if shutdown.isServing { supervisor.tellServing(children.count) }
    }

    private func take(_ signal: Int32, of sender: ProcessID, at now: Instant) {
        switch signal {
        case Signal.terminate, Signal.interrupt:
            take(shutdown.signalled(at: now), at: now)
        case Signal.quit:
            take(shutdown.quit(at: now), at: now)
        case Signal.reload:
            reload()
        case Signal.reopen:
            log.reopen()
            for pid in processes { sendSignal(Signal.reopen, to: pid) }
        case Signal.childEnded:
            hasEnded(sender, at: now)
        default:
            break
        }
    }

    private func wait(for entries: inout [PollEntry], from now: Instant, until soon: Instant?) {
        let end = earlier(earlier(shutdown.deadline, drain?.deadline), earlier(listensUntil, orphans?.deadline))
        let others = earlier(earlier(refusals.deadline, supervisor.deadline), look.deadline)
        let own = earlier(
            earlier(earlier(end, others), earlier(pause.until, crew?.deadline(sweep: nextSweep))),
            earlier(looksThrough, soon))
        do {
            try poll(&entries, until: earlier(own, now + Parent.sweepEvery))
        } catch {
            // Memory for the call is short, and nothing else can be wrong: the next turn tries again.
            log.write(.error, "poll failed") { $0.text("text", "\(error)") }
        }
    }

    // MARK: Connections

    private func acceptSome() {
        for _ in 0..<Parent.acceptedAtOnce {
            let now = Instant.now
            guard !pause.isOn(at: now) else { return }
            do throws(SystemError) {
                let accepted = try listener.accept()
                supervisor.accepted()
                guard let accepted else { return }
                serve(accepted, at: now)
            } catch {
                if error.isConnectionGone { continue }
                acceptFailed(error, at: now)
                return
            }
        }
    }

    private func serve(_ accepted: consuming Accepted, at now: Instant) {
        let peer = accepted.peer
        collect(at: now)
        let refusal = admission.judge(peer.ipNumber, at: now, using: &random) { slots[$0].hasGreeted }
        if let refusal {
            report(refusal, of: peer)
            refuse(accepted.connection, refusal, at: now)
            return
        }
        // Who was forked ahead has inherited the tokens that there were.
        if tokenFile?.refresh(log) ?? false { crew?.letAllGo() }
        if handOver(accepted.connection, of: peer, at: now) { return }
        let slot = takeSlot()
        let words = words(for: peer, at: now)
        listOwnDescriptors()
        do throws(SystemError) {
            switch try forkProcess() {
            case .child:
                becomeChild(accepted.connection, words, slot: slot)
            case .parent(let pid):
                began(pid, slot, peer: peer, at: now)
                pause.forked()
            }
        } catch {
            slots.giveBack(slot)
            pause.forkFailed(at: now)
            look.count(fork: error)
            reportTrouble("fork failed", error)
            refuse(accepted.connection, admission.refuse(.processes, using: &random), at: now)
        }
    }

    /// What the child of the next connection is told.
    func words(for peer: SocketAddress, at now: Instant) -> PooledProcess.Words {
        PooledProcess.Words(
            connection: connections + 1, peer: peer, acceptedAt: now, handshakeTimeout: admission.handshakeTimeout)
    }

    func takeSlot() -> Int {
        let slot = slots.take()
        orders.clear(slot)
        return slot
    }

    /// A child has the next connection.
    func began(_ pid: ProcessID, _ slot: Int, peer: SocketAddress, at now: Instant) {
        connections += 1
        look.totals.accept()
        children.insert(
            ChildTable.Record(pid: pid, slot: slot, connection: connections, peer: peer, acceptedAt: now))
        admission.began(peer.ipNumber, slot: slot)
    }

    /// A connection is over: what its child has shown of it is counted now.
    func ended(_ record: ChildTable.Record, failedHandshake: Bool, at now: Instant) {
        admission.ended(record.peer.ipNumber, slot: record.slot, failedHandshake: failedHandshake, at: now)
        look.totals.reap(ConnectionStatistics(slots[record.slot]))
    }

    /// The children's processes, with or without a connection.
    var processes: [ProcessID] {
        children.records.map(\.pid) + (crew?.processes.filter { children[$0] == nil } ?? [])
    }
    private var hasChildren: Bool { !children.isEmpty || !(crew?.isEmpty ?? true) }

    func refuse(_ connection: consuming Descriptor, _ refusal: Admission.Refusal, at now: Instant) {
        refusals.refuse(connection, refusal.close, at: now)
    }

    private func report(_ refusal: Admission.Refusal, of peer: SocketAddress) {
        log.write(.warning, "refused", reason: refusal.reason.rawValue, most: 1) {
            $0.text("reason", "\(refusal.reason.code)")
            $0.text("limit", refusal.reason.rawValue)
            $0.address("peer", peer)
            $0.text("text", refusal.detail)
        }
    }

    private func acceptFailed(_ error: SystemError, at now: Instant) {
        pause.acceptFailed(at: now)
        look.count(accept: error)
        supervisor.acceptFailed(at: now)
        reportTrouble("accept failed", error)
        guard error.isOutOfDescriptors else { return }
        spare = nil
        if let accepted = try? listener.accept() {
            // Closed at once: the descriptor is the spare one, which the next client in need will get.
            _ = try? accepted.connection.send(admission.refuse(.descriptors, using: &random).close.refusal[...])
        }
        spare = try? Descriptor.event()
    }

    func reportTrouble(_ event: String, _ error: SystemError) {
        log.write(.error, event, reason: error.text, most: 1) { $0.text("text", "\(error)") }
    }

    /// What follows runs in the new process alone. It is not inlined: the parent shall not need the stack for it.
    @inline(never)
    private func becomeChild(_ connection: consuming Descriptor, _ words: PooledProcess.Words, slot: Int) -> Never {
        begin()
        // Nothing of it is let go of: the system takes all back at once.
        let place = UnsafeMutablePointer<ConnectionProcess>.allocate(capacity: 1)
        place.initialize(to: child(connection, words, slot: slot))
        let status = place.pointee.run()
        done.make(slot)
        exitProcess(status)
    }

    /// Before a fork: lists the descriptors that no child is to have, mostly in the order in which they were opened.
    func listOwnDescriptors() {
        ownDescriptors.removeAll(keepingCapacity: true)
        ownDescriptors.append(pidfile.number ?? -1)
        ownDescriptors.append(cleanData.number ?? -1)
        ownDescriptors.append(listener.number ?? -1)
        ownDescriptors.append(signals.number ?? -1)
        look.append(to: &ownDescriptors)
        ownDescriptors.append(supervisor.number ?? -1)
        ownDescriptors.append(spare?.number ?? -1)
        refusals.append(to: &ownDescriptors)
        crew?.append(to: &ownDescriptors)
    }

    /// In a new child, before anything else: all that is the parent's is closed. Whoever owns it does not hear of it, and
    /// is not asked again: to forget it would be to write, in each of their pages, what parent and child share until then.
    func begin() {
        closeInChild(ownDescriptors)
        limitChild()
    }

    /// In a child: what serves a connection there.
    func child(_ connection: consuming Descriptor, _ words: PooledProcess.Words, slot: Int) -> ConnectionProcess {
        let worker = makeWorker(connection, words.connection, words.peer)
        // The parent's own stays as it is, for the next child; who serves a second connection makes another.
        let buffer = firstBuffer.isEmpty ? ConnectionProcess.firstBuffer : firstBuffer
        firstBuffer = []
        return ConnectionProcess(
            connection, peer: words.peer, id: words.connection, acceptedAt: words.acceptedAt, service: service,
            handshakeTimeout: words.handshakeTimeout, tokens: tokenFile?.tokens, log: log, slot: slots[slot],
            orders: orders[slot], title: title, worker: worker, signals: childSignals,
            buffer: buffer)
    }

    private func limitChild() {
        if let most = options.maxMemory { ProcessLimit.memory.lower(to: most) }
        if let most = options.maxCPU { ProcessLimit.processorTime.lower(to: UInt64((most / .seconds(1)).rounded(.up))) }
        if let most = options.maxFiles { ProcessLimit.files.lower(to: most) }
    }

    /// The limit that a child has died of, by the name of its flag.
    private func limit(thatEnded child: Ended, _ slot: Scoreboard.Slot) -> String? {
        if child.signal == Signal.processorTimeOver, options.maxCPU != nil { return "max-cpu" }
        // The allocation that failed is not in it, and is the greater part as a rule: an array grows by doubling.
        if let most = options.maxMemory, slot.crashSize >= most / 3 { return "max-memory" }
        return nil
    }

    /// A child has ended, as a signal says. Where several have ended it is sent once, and names one of them.
    private func hasEnded(_ pid: ProcessID, at now: Instant) {
        hasOneEnded = true
        if looksThrough == nil { looksThrough = lookedThrough + .microseconds(Parent.peaceForEach * children.count) }
        guard looksThrough! > now, let ended = reap(pid) else { return }
        settle(ended, at: now)
    }

    /// Reaps those children that have said that they end, and, when it is time, all others too.
    private func reapAll(at now: Instant) {
        if hasOneEnded {
            hasOneEnded = false
            leaving.removeAll { pid in
                guard children[pid] != nil else { return true }
                guard let ended = reap(pid) else { return false }
                settle(ended, at: now)
                return true
            }
        }
        if nextSweep <= now || looksThrough.map({ $0 <= now }) ?? false {
            looksThrough = nil
            lookedThrough = now
            while let ended = reap() { settle(ended, at: now) }
        }
        orphans?.kill(allBut: { children[$0] != nil || crew?.contains($0) ?? false }, at: now)
    }

    /// What there was for a process that has ended is given back.
    private func settle(_ ended: Ended, at now: Instant) {
        orphans?.reaped(ended)
        let member = crew?.remove(ended.pid)
        let record = children.remove(ended.pid)
        guard let number = record?.slot ?? member?.slot else { return }
        let isDone = done.take(number)
        if let member, isDone || record == nil {
            if let record { self.ended(record, failedHandshake: false, at: now) }
            return leftPool(member, ended, at: now)
        }
        guard let record else { return }
        let slot = slots[number]
        let isProper = slot.isFinished && (ended.status == 0 || ended.status == ConnectionProcess.failedHandshake)
        if !isProper { report(ended, of: record, slot, at: now) }
        self.ended(record, failedHandshake: isProper && ended.status == ConnectionProcess.failedHandshake, at: now)
        slots.giveBack(number)
    }

    /// A child that did not come to its proper end: something killed it, or its handler did.
    private func report(_ ended: Ended, of record: ChildTable.Record, _ slot: Scoreboard.Slot, at now: Instant) {
        log.write(.warning, "child died") {
            $0.number("connection", record.connection)
            $0.number("pid", ended.pid)
            $0.address("peer", record.peer)
            $0.how(ended)
            if slot.request > 0 { $0.number("request", slot.request) }
            if let limit = limit(thatEnded: ended, slot) { $0.text("limit", limit) }
            $0.seconds("age", now - record.acceptedAt)
        }
    }
}

extension LogLine {
    /// How a process ended.
    mutating func how(_ ended: Ended) {
        if let signal = ended.signal { text("signal", signalName(signal)) } else { number("status", ended.status ?? 0) }
    }
}
