import Basics
import Framing
import Posix

/// Accepts clients, and gives each a process or refuses it.
///
/// No failure of accept or fork ends the server, and none makes it spin.
final class ConnectionAcceptor {
    /// Up to this many connections are accepted in a row before children are reaped again.
    private static var acceptedAtOnce: Int { 64 }
    /// A handshake of TCP that had begun when the server stops has this long to end: more than a round trip.
    private static var lastHandshakes: Duration { .milliseconds(250) }

    /// What clients are accepted from.
    let listeners: [ServerListener]
    /// The same, and behind them what back-ends are accepted from.
    private let allListeners: [ServerListener]
    let registry: ChildRegistry
    private let launcher: ChildLauncher
    private let reaper: ChildReaper
    let refused: RefusedConnections
    private let descriptors: ParentDescriptors
    private let notifier: ServiceNotifier
    let log: Log
    /// What a turn needs of a listener. To look at the listener itself would count a reference, and each fork would copy the
    /// page where the count lies.
    private struct Source {
        /// The number of its descriptor; -1 once it is closed, which poll(2) passes over.
        var number: Int32
        /// Whether a connection begins with a proxy's header.
        var takesHeaders = false
        /// Whether back-ends connect to it.
        var isForBackEnds = false
        /// Where it is in the poll set; nil where it is not accepted from in this turn.
        var token: PollSet.Token?
    }

    /// What each listener is in a turn. It is no array: each turn writes it, and looks at it again.
    private let sources: UnsafeMutablePointer<Source>
    /// How many connections came to each listener.
    @exclusivity(unchecked) private(set) var accepted: [UInt64]
    /// The listener that comes first in the next turn.
    @exclusivity(unchecked) private var nextListener = 0
    /// Given up for a moment where accept lacks a descriptor, so that one client can be accepted and told.
    @exclusivity(unchecked) private var spare: ParentOwned<Descriptor>?
    @exclusivity(unchecked) private var backoff = AcceptBackoff()
    @exclusivity(unchecked) var random = SystemRandomNumberGenerator()
    @exclusivity(unchecked) var admission: Admission
    /// Until when a server that has stopped waits for clients that are on their way in; nil where it waits for none.
    @exclusivity(unchecked) private var listensUntil: Instant?

    /// - Parameters:
    ///   - listeners: What clients are accepted from.
    ///   - backEnds: What back-ends are accepted from; nil where there is nothing.
    ///   - admission: Which clients are let in.
    ///   - registry: Where a client's process is entered.
    ///   - launcher: What forks it.
    ///   - reaper: What accounts for connections that are over, before a client is judged.
    ///   - descriptors: Where the parent's descriptors are listed.
    ///   - notifier: What hears of failures of accept.
    ///   - log: Where refusals are written.
    init(
        _ listeners: [ServerListener], backEnds: ServerListener?, _ admission: Admission, _ registry: ChildRegistry,
        _ launcher: ChildLauncher, _ reaper: ChildReaper, _ descriptors: ParentDescriptors,
        _ notifier: ServiceNotifier, log: Log
    ) {
        self.listeners = listeners
        allListeners = listeners + (backEnds.map { [$0] } ?? [])
        accepted = Array(repeating: 0, count: allListeners.count)
        sources = .allocate(capacity: allListeners.count)
        sources.initialize(repeating: Source(number: -1), count: allListeners.count)
        self.admission = admission
        self.registry = registry
        self.launcher = launcher
        self.reaper = reaper
        self.descriptors = descriptors
        self.notifier = notifier
        self.log = log
        refused = RefusedConnections(descriptors)
        openSpare()
        listenersHaveChanged()
    }

    deinit { sources.deallocate() }

    /// Listeners were closed, or take headers of other proxies.
    func listenersHaveChanged() {
        for (index, listener) in allListeners.enumerated() {
            sources[index].number = listener.number
            sources[index].takesHeaders = listener.proxies != nil
            sources[index].isForBackEnds = index >= listeners.count
        }
    }

    // MARK: The parent's loop

    /// Whether a client is still told that it is refused, or is on its way in to be.
    var hasClients: Bool { refused.deadline != nil || listensUntil != nil }
    /// A pause ends while the server serves. Afterwards its end stays in the past, and would keep poll(2) from waiting.
    func deadline(isServing: Bool) -> Instant? {
        earlier(earlier(refused.deadline, isServing ? backoff.until : nil), listensUntil)
    }

    func add(to set: inout PollSet, isServing: Bool, at now: Instant) {
        let mayAccept = isServing ? !backoff.isOn(at: now) : listensUntil != nil
        for index in allListeners.indices { sources[index].token = mayAccept ? set.add(sources[index].number) : nil }
        refused.add(to: &set)
    }

    /// Reads what refused clients send, and closes those that have ended.
    func readRefused(_ set: borrowing PollSet, at now: Instant) { refused.resumed(set, at: now) }

    /// Accepts clients that wait, to serve them.
    func acceptWaiting(_ set: borrowing PollSet) {
        // All listeners have the same share of a turn, and another one is the first each time: a busy one holds up none.
        var ready = 0
        for index in allListeners.indices where set.isReadable(sources[index].token) { ready += 1 }
        guard ready > 0 else {
            if sources[0].token != nil { notifier.accepted() }
            return
        }
        let share = max(1, ConnectionAcceptor.acceptedAtOnce / ready)
        var index = nextListener
        for _ in allListeners.indices {
            if index >= allListeners.count { index = 0 }
            if set.isReadable(sources[index].token) {
                acceptSome(at: index, upTo: share)
                nextListener = index + 1
            }
            index += 1
        }
    }

    /// What is done once a second at most: an idle parent sleeps for longer.
    func sweep() {
        if spare == nil { openSpare() }
    }

    private func openSpare() {
        spare = nil
        guard let event = try? Descriptor.event() else { return }
        spare = ParentOwned(event, in: descriptors)
    }

    // MARK: Clients

    private func acceptSome(at index: Int, upTo most: Int) {
        for _ in 0..<most {
            let now = Instant.now
            guard !backoff.isOn(at: now) else { break }
            do throws(SystemError) {
                let client = try Descriptor.accept(on: sources[index].number)
                notifier.accepted()
                guard let client else { break }
                accepted[index] &+= 1
                serve(client, fromListener: index, at: now)
            } catch {
                if error.isConnectionGone { continue }
                acceptFailed(error, on: allListeners[index], at: now)
                break
            }
        }
        if let shared = registry.shared { send(by: shared) }
    }

    private func serve(_ accepted: consuming Accepted, fromListener index: Int, at now: Instant) {
        if sources[index].isForBackEnds { return serveBackEnd(accepted, at: now) }
        let peer = accepted.peer
        reaper.collectCompleted(for: &admission, at: now)
        let beginsWithHeader = sources[index].takesHeaders
        if let refusal = judge(peer.ipNumber, fromListener: index, at: now) {
            report(refusal, of: peer, via: nil)
            refused.add(accepted.connection, refusal.close, at: now)
            return
        }
        if launcher.refreshTokens() { registry.retireProcesses() }
        let assignment = ConnectionAssignment(
            connection: registry.connectionCount + 1, peer: peer, acceptedAt: now,
            handshakeTimeout: beginsWithHeader ? admission.proxyHandshakeTimeout : admission.handshakeTimeout,
            beginsWithHeader: beginsWithHeader)
        serve(accepted.connection, assignment, at: now)
    }

    /// Gives a connection that is let in a process, or refuses it where the system has none.
    @inline(__always)
    func serve(_ connection: consuming Descriptor, _ assignment: ConnectionAssignment, at now: Instant) {
        if let shared = registry.shared { return share(connection, assignment, among: shared, at: now) }
        if let pool = registry.pool, assign(connection, assignment, to: pool, at: now) { return }
        do throws(SystemError) {
            try launch(assignment, connection)
            backoff.forked()
        } catch {
            forkFailed(error, at: now)
            refused.add(connection, admission.refuse(.processes, using: &random).close, at: now)
        }
    }

    /// Forks a process for the connection. The caller closes its own copy.
    @inline(__always)
    private func launch(_ assignment: ConnectionAssignment, _ connection: borrowing Descriptor) throws(SystemError) {
        let slot = try registry.acquireSlot()
        if assignment.beginsWithHeader { registry.commands.clearVerdict(slot) }
        do throws(SystemError) {
            enter(try launcher.launch(.connection(assignment), slot: slot, connection), slot: slot, assignment)
        } catch {
            registry.releaseSlot(slot)
            throw error
        }
    }

    private func forkFailed(_ error: SystemError, at now: Instant) {
        backoff.forkFailed(at: now)
        registry.statistics.forkFailed(error.name)
        log.write(failure: .forkFailed, error)
    }

    // MARK: Processes with several connections

    /// Puts the connection in the next message to the process with the most room. The messages are sent behind the last
    /// connection of a turn.
    private func share(
        _ connection: consuming Descriptor, _ assignment: ConnectionAssignment, among shared: SharedProcesses,
        at now: Instant
    ) {
        // No process that is forked meanwhile gets it.
        let socket = ParentOwned(connection, in: descriptors)
        do throws(SystemError) {
            let member = try shared.next(launcher, at: now)
            var assignment = assignment
            let slot = try registry.acquireSlot()
            assignment.slot = Int32(slot)
            if assignment.beginsWithHeader { registry.commands.clearVerdict(slot) }
            enter(member.pid, slot: slot, assignment)
            backoff.forked()
            shared.assign(SharedProcesses.Placed(socket: socket, assignment: assignment), to: member)
            if shared.hasFullBatch(member) { send(by: shared) }
        } catch {
            forkFailed(error, at: now)
            refused.add(socket, admission.refuse(.processes, using: &random).close, at: now)
        }
    }

    /// Sends each process its connections. Those that one cannot take go to another; a client that none can take is refused.
    func send(by shared: SharedProcesses) {
        let now = Instant.now
        for placed in shared.send(at: now) {
            let slot = Int(placed.assignment.slot)
            do throws(SystemError) {
                let member = try shared.next(launcher, at: now)
                registry.move(slot, to: member.pid)
                shared.assign(placed, to: member)
            } catch {
                forkFailed(error, at: now)
                takeBack(placed, at: now)
            }
        }
        // A process that is full or gone is tried once: whoever comes now is one too many.
        for placed in shared.send(at: now) { takeBack(placed, at: now) }
    }

    /// Refuses a client that was let in, and has no process.
    private func takeBack(_ placed: SharedProcesses.Placed, at now: Instant) {
        let slot = Int(placed.assignment.slot)
        guard let record = registry.remove(slot: slot) else { return }
        let refusal = admission.refuse(.processes, using: &random)
        registry.slot(slot).closeReason = CloseReasonLabel.numbers(of: .closed(refusal.close.code, "", by: .server))
        if record.standing != .backEnd {
            admission.ended(record.countedAddress, slot: slot, failedHandshake: false, at: now)
        }
        registry.addStatistics(ofSlot: slot)
        registry.releaseSlot(slot)
        refused.add(placed.socket, refusal.close, at: now)
    }

    /// Gives the connection to a process that waits; false where there is none, and it needs one of its own. The caller
    /// closes its own copy.
    private func assign(
        _ connection: borrowing Descriptor, _ assignment: ConnectionAssignment, to pool: ProcessPool, at now: Instant
    ) -> Bool {
        while let member = pool.next() {
            registry.resetSlot(member.slot)
            if assignment.beginsWithHeader { registry.commands.clearVerdict(member.slot) }
            guard pool.assign(connection, assignment, to: member, at: now) else { continue }
            enter(member.pid, slot: member.slot, assignment)
            return true
        }
        return false
    }

    /// A process has the connection.
    private func enter(_ pid: ProcessID, slot: Int, _ assignment: ConnectionAssignment) {
        registry.insert(pid, slot: slot, assignment)
        guard !assignment.isBackEnd else { return }
        admission.began(assignment.beginsWithHeader ? nil : assignment.peer.ipNumber, slot: slot)
    }

    /// Why a connection does not get a process; nil where it does.
    @inline(__always)
    private func judge(_ address: UInt128?, fromListener index: Int, at now: Instant) -> Admission.Refusal? {
        guard sources[index].takesHeaders, let proxies = listeners[index].proxies else {
            return admission.judge(address, at: now, using: &random) { registry.slot($0).hasGreeted }
        }
        guard proxies.contains(address) else {
            return admission.refuse(.proxyFrom, "it is in no range of --proxy-from", using: &random)
        }
        return admission.judgeProxy(at: now, using: &random) { registry.slot($0).hasGreeted }
    }

    /// Judges the clients that proxies have named since the last turn, and tells their processes.
    func judgeAnnounced(at now: Instant) {
        registry.judgeAnnounced { record in
            guard let source = record.source else { return nil }
            let refusal = admission.judgeClient(source.address, at: now, using: &random)
            if let refusal { report(refusal, of: record.peer, via: record.via) }
            return refusal
        }
    }

    func report(_ refusal: Admission.Refusal, of peer: SocketAddress, via proxy: SocketAddress?) {
        log.write(.refused, reason: refusal.reason.rawValue, most: 1) {
            $0.text(.reason, "\(refusal.reason.code)")
            $0.text(.limit, refusal.reason.rawValue)
            $0.address(.peer, peer)
            if let proxy { $0.address(.via, proxy) }
            $0.text(.text, refusal.detail)
        }
    }

    private func acceptFailed(_ error: SystemError, on listener: ServerListener, at now: Instant) {
        backoff.acceptFailed(at: now)
        registry.statistics.acceptFailed(error.name)
        notifier.acceptFailed(at: now)
        log.write(failure: .acceptFailed, error)
        guard error.isOutOfDescriptors else { return }
        spare = nil
        if let accepted = try? listener.socket?.resource.accept() {
            // Closed at once: the descriptor is the spare one, which the next client in need will get.
            _ = try? accepted.connection.send(admission.refuse(.descriptors, using: &random).close.refusal[...])
        }
        openSpare()
    }

    // MARK: The end

    /// Accepts no more clients to serve them. Closing a listener resets clients that are queued on it, and those whose
    /// handshake of TCP is half done. So no new ones are let in, and the listener stays open until the others have come
    /// and been told.
    ///
    /// A listener that a supervisor has too is closed at once: clients queued on it wait for the next server.
    ///
    /// - Parameters:
    ///   - waits: Whether handshakes of TCP that have begun may end.
    ///   - drain: Tells clients when to come back; nil where nothing is drained.
    ///   - now: The instant of the turn.
    func stop(waits: Bool, during drain: DrainSchedule?, at now: Instant) {
        listensUntil = now
        for listener in allListeners {
            guard !listener.isHandedOver else {
                listener.close()
                continue
            }
            if listener.address.isUnix {
                listener.socketFile?.remove()
            } else {
                listener.socket?.resource.dropNewHandshakes()
                if waits { listensUntil = now + ConnectionAcceptor.lastHandshakes }
            }
        }
        listenersHaveChanged()
        refuseLatecomers(during: drain, at: now)
    }

    /// Tells clients that came too late that the server is shutting down, and closes the listener when its time is
    /// over.
    func refuseLatecomers(during drain: DrainSchedule?, at now: Instant) {
        guard let listensUntil else { return }
        for listener in allListeners {
            while let accepted = try? listener.socket?.resource.accept() {
                var refusal = admission.refuse(.shutdown, using: &random)
                if let drain { refusal.retryAfter = drain.retryAfter(at: now) { .random(in: 0..<1) } }
                refused.add(accepted.connection, refusal.close, at: now)
            }
        }
        guard listensUntil <= now else { return }
        closeListeners()
    }

    func closeListeners() {
        for listener in allListeners { listener.close() }
        listenersHaveChanged()
        listensUntil = nil
    }

    /// Closes what is left of refused clients, without waiting.
    func closeRefused() { refused.closeAll() }
}
