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
        registry.forEachCompletion { record in
            if let shared = registry.shared {
                shared.completed(record.pid, at: now)
                return close(record, isCompleted: true, in: &admission, at: now)
            }
            guard let pool = registry.pool, pool.markIdle(record.pid) else { return leaving.append(record.pid) }
            guard let record = registry.remove(record.pid) else { return }
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
        if registry.router?.exited(ended, log: log, at: now) == true { return }
        if let member = registry.shared?.remove(ended.pid, at: now) {
            return sharedProcessExited(member, ended, for: &admission, at: now)
        }
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
        if !isProper { report(ended, of: record, at: now) }
        let failedHandshake = isProper && ended.status == ConnectionProcess.failedHandshake
        account(for: record, failedHandshake: failedHandshake, in: &admission, at: now)
    }

    /// A process with several connections has ended. Those that it had not completed are lost.
    private func sharedProcessExited(
        _ member: SharedProcesses.SharedMember, _ ended: Ended, for admission: inout Admission, at now: Instant
    ) {
        let records = registry.records(of: ended.pid).map { ($0, isCompleted: registry.removeCompletion($0.slot)) }
        let lost = records.filter { !$0.isCompleted }.map(\.0)
        if !lost.isEmpty {
            report(ended, lost, at: now)
        } else if ended.status != 0 {
            log.write(.waitingChildDied) {
                $0.number(.pid, ended.pid)
                $0.addExit(ended)
            }
        }
        for (record, isCompleted) in records { close(record, isCompleted: isCompleted, in: &admission, at: now) }
        registry.releaseSlot(member.slot)
    }

    /// Accounts for a connection of a process with several, and gives its slot back.
    private func close(
        _ record: ChildTable.Record, isCompleted: Bool, in admission: inout Admission, at now: Instant
    ) {
        guard registry.remove(slot: record.slot) != nil else { return }
        let failedHandshake = isCompleted && registry.slot(record.slot).hasFailedHandshake
        account(for: record, failedHandshake: failedHandshake, in: &admission, at: now)
        registry.releaseSlot(record.slot)
    }

    /// A process with several connections did not come to its proper end. The first line names the connection at fault, where a
    /// crash has left a mark; each other connection has a line of its own.
    private func report(_ ended: Ended, _ lost: [ChildTable.Record], at now: Instant) {
        let fault = lost.first { registry.slot($0.slot).crashSize > 0 }
        log.write(.childDied) {
            if let fault { $0.put(fault) } else { $0.number(.pid, ended.pid) }
            $0.addExit(ended)
            $0.number(.connections, lost.count)
            if let fault { addFault(of: fault, ended, at: now, to: &$0) }
        }
        for record in lost where record.slot != fault?.slot {
            log.write(.connectionLost, reason: "process \(ended.pid)") {
                $0.put(record)
                let unhandled = registry.slot(record.slot).counts.unhandled
                if unhandled > 0 { $0.number(.unhandled, unhandled) }
                $0.seconds(.age, now - record.acceptedAt)
            }
        }
    }

    private func account(
        for record: ChildTable.Record, failedHandshake: Bool, in admission: inout Admission, at now: Instant
    ) {
        if record.standing == .unidentified { registry.forgetAnnounced(record.slot) }
        if record.standing != .backEnd {
            admission.ended(record.countedAddress, slot: record.slot, failedHandshake: failedHandshake, at: now)
        }
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
    private func report(_ ended: Ended, of record: ChildTable.Record, at now: Instant) {
        log.write(.childDied) {
            $0.put(record)
            $0.addExit(ended)
            addFault(of: record, ended, at: now, to: &$0)
        }
    }

    /// Adds what the connection did whose process died.
    private func addFault(of record: ChildTable.Record, _ ended: Ended, at now: Instant, to line: inout LogLine) {
        let slot = registry.slot(record.slot)
        if slot.request > 0 { line.number(.request, slot.request) }
        let unhandled = slot.counts.unhandled
        if unhandled > 0 { line.number(.unhandled, unhandled) }
        if let limit = launcher.limits.limit(thatEnded: ended, slot) { line.text(.limit, limit) }
        line.seconds(.age, now - record.acceptedAt)
    }
}

extension LogLine {
    /// Puts which connection it is, and in which process.
    fileprivate mutating func put(_ record: ChildTable.Record) {
        number(.connection, record.connection)
        number(.pid, record.pid)
        address(.peer, record.peer)
        if let via = record.via { address(.via, via) }
    }

    /// Adds how a process ended.
    mutating func addExit(_ ended: Ended) {
        if let signal = ended.signal { text(.signal, signalName(signal)) } else { number(.status, ended.status ?? 0) }
    }
}
