import Basics
import Posix

/// Reaps children, and accounts for the connections that are over.
final class ChildReaper {
    private let registry: ChildRegistry
    private let launcher: ChildLauncher
    private let log: Log
    @exclusivity(unchecked) private var schedule = ReapSchedule(at: .now)
    /// Children that have announced their end, and were not reaped when this was looked through last.
    @exclusivity(unchecked) private var leaving: [ProcessID] = []
    /// What programs leave behind, where there are any.
    @exclusivity(unchecked) private var orphans: OrphanReaper?

    init(_ registry: ChildRegistry, _ launcher: ChildLauncher, log: Log) {
        self.registry = registry
        self.launcher = launcher
        self.log = log
    }

    /// From now on children may leave processes behind.
    func expectOrphans() {
        if orphans == nil { orphans = OrphanReaper() }
    }

    var hasOrphans: Bool { orphans?.deadline != nil }
    var deadline: Instant? { earlier(schedule.deadline, orphans?.deadline) }

    /// Accounts for connections that their processes have completed. Such a process waits for its next connection, or
    /// is about to end.
    func collectCompleted(for admission: inout Admission, at now: Instant) {
        registry.forEachCompletion { pid in
            guard let pool = registry.pool, pool.markIdle(pid) else { return leaving.append(pid) }
            guard let record = registry.remove(pid) else { return }
            account(for: record, failedHandshake: false, in: &admission, at: now)
        }
    }

    /// A child has ended, as a signal says. Where several have ended it is sent once, and names one of them.
    func childSignalled(_ pid: ProcessID, for admission: inout Admission, at now: Instant) {
        guard schedule.childSignalled(children: registry.liveConnections, at: now), let ended = reap(pid) else {
            return
        }
        childExited(ended, for: &admission, at: now)
    }

    /// Reaps those children that have announced their end, and, in a sweep or when it is time, all others.
    func reapChildren(inSweep isSweep: Bool, for admission: inout Admission, at now: Instant) {
        if schedule.takeSignal() {
            leaving.removeAll { pid in
                guard registry[pid] != nil else { return true }
                guard let ended = reap(pid) else { return false }
                childExited(ended, for: &admission, at: now)
                return true
            }
        }
        if schedule.beginExamination(inSweep: isSweep, at: now) {
            while let ended = reap() { childExited(ended, for: &admission, at: now) }
        }
        orphans?.kill(allBut: { registry.contains($0) }, at: now)
    }

    /// Gives back what there was for a process that has ended, and accounts for its connection.
    private func childExited(_ ended: Ended, for admission: inout Admission, at now: Instant) {
        orphans?.reaped(ended)
        let member = registry.pool?.remove(ended.pid)
        let record = registry.remove(ended.pid)
        guard let number = record?.slot ?? member?.slot else { return }
        defer { registry.releaseSlot(number) }
        let isCompleted = registry.removeCompletion(number)
        if let member, isCompleted || record == nil {
            if let record { account(for: record, failedHandshake: false, in: &admission, at: now) }
            return pooledProcessExited(member, ended, at: now)
        }
        guard let record else { return }
        let slot = registry.slot(number)
        let isProper = slot.isFinished && (ended.status == 0 || ended.status == ConnectionProcess.failedHandshake)
        if !isProper { report(ended, of: record, slot, at: now) }
        let failedHandshake = isProper && ended.status == ConnectionProcess.failedHandshake
        account(for: record, failedHandshake: failedHandshake, in: &admission, at: now)
    }

    private func account(
        for record: ChildTable.Record, failedHandshake: Bool, in admission: inout Admission, at now: Instant
    ) {
        if record.standing == .unidentified { registry.forgetAnnounced(record.slot) }
        admission.ended(record.countedAddress, slot: record.slot, failedHandshake: failedHandshake, at: now)
        registry.addStatistics(ofSlot: record.slot)
        if registry.budget.markFree() { log.write(registry.budget, .budgetFree) }
    }

    /// A process of the pool has ended that had no connection.
    private func pooledProcessExited(_ member: ProcessPool.Reaped, _ ended: Ended, at now: Instant) {
        // One that was retired has left as it should.
        if member.hasWaited { registry.pool?.failed(at: now) }
        guard ended.status != 0 else { return }
        log.write(.waitingChildDied) {
            $0.number(.pid, ended.pid)
            $0.addExit(ended)
        }
    }

    /// A child did not come to its proper end: something killed it, or its handler did.
    private func report(_ ended: Ended, of record: ChildTable.Record, _ slot: Scoreboard.Slot, at now: Instant) {
        log.write(.childDied) {
            $0.number(.connection, record.connection)
            $0.number(.pid, ended.pid)
            $0.address(.peer, record.peer)
            if let via = record.via { $0.address(.via, via) }
            $0.addExit(ended)
            if slot.request > 0 { $0.number(.request, slot.request) }
            let unhandled = slot.counts.unhandled
            if unhandled > 0 { $0.number(.unhandled, unhandled) }
            if let limit = launcher.limits.limit(thatEnded: ended, slot) { $0.text(.limit, limit) }
            $0.seconds(.age, now - record.acceptedAt)
        }
    }
}

extension LogLine {
    /// Adds how a process ended.
    fileprivate mutating func addExit(_ ended: Ended) {
        if let signal = ended.signal { text(.signal, signalName(signal)) } else { number(.status, ended.status ?? 0) }
    }
}
