import Basics
import Posix

/// The processes that were forked ahead, as the parent knows them: those that wait, and those that serve a connection
/// and may wait again.
///
/// A process that is retired loses its channel: it leaves by itself, at once or when its connection is over.
final class ProcessPool {
    final class PooledMember {
        let pid: ProcessID
        let slot: Int
        fileprivate var channel: ParentOwned<Descriptor>?
        /// When it got its connection; nil while it waits.
        fileprivate var busySince: Instant?

        fileprivate init(_ pid: ProcessID, slot: Int, _ channel: consuming ParentOwned<Descriptor>) {
            self.pid = pid
            self.slot = slot
            self.channel = consume channel
        }

        fileprivate func send(_ connection: borrowing Descriptor, _ assignment: ConnectionAssignment) -> Bool {
            switch channel {
            case .some(let channel): withUnsafeBytes(of: assignment) { channel.resource.give(connection, $0) }
            case nil: false
            }
        }
    }

    /// What is known of a member that was reaped.
    struct Reaped {
        let slot: Int
        /// It should have waited.
        let hasWaited: Bool
    }

    /// What a longer connection saves by a process that serves another is nothing, and its channel is a descriptor of
    /// the parent's.
    private static let longestStay = Duration.seconds(1)

    private let reusesProcesses: Bool
    private var sizing: PoolSizing
    private var members: [ProcessID: PooledMember] = [:]
    /// The one that waited last is the next: its memory is in the caches.
    private var waiting: [PooledMember] = []
    /// Those with a channel that serve a connection.
    private var busy: [ProcessID: PooledMember] = [:]
    /// How many connections were assigned to them.
    private(set) var assignedCount: UInt64 = 0

    /// - Parameters:
    ///   - size: How many shall wait.
    ///   - connections: How many connections each of them serves.
    ///   - now: When it begins.
    init(_ size: PoolSize, connectionsEach connections: Int, at now: Instant) {
        reusesProcesses = connections > 1
        sizing = PoolSizing(size, at: now)
    }

    var isEmpty: Bool { members.isEmpty }
    var waitingCount: Int { waiting.count }
    var processes: Dictionary<ProcessID, PooledMember>.Keys { members.keys }
    func contains(_ pid: ProcessID) -> Bool { members[pid] != nil }

    // MARK: How many

    /// How many should wait.
    var wanted: Int { sizing.wanted }
    /// When busy ones are to be retired, or others forked; nil where nothing is to be done.
    func deadline(sweep: Instant) -> Instant? { earlier(sizing.pause.until, busy.isEmpty ? nil : sweep) }

    private func missing(at now: Instant) -> Int {
        sizing.missing(waiting: waiting.count, all: waiting.count + busy.count, at: now)
    }

    /// Forks processes that are to wait. Returns whether there should be more: they follow in the next turn.
    func replenish(_ launcher: ChildLauncher) -> Bool {
        launcher.forkAhead {
            missing(at: $0)
        } failed: {
            sizing.pause.failed(at: $0)
        } fork: { _ throws(SystemError) in
            let child = try launcher.launchWithChannel(.pooled)
            insert(child.pid, slot: child.slot, child.channel)
        }
    }

    /// A process waits at the other end of `channel`.
    func insert(_ pid: ProcessID, slot: Int, _ channel: consuming ParentOwned<Descriptor>) {
        let member = PooledMember(pid, slot: slot, channel)
        members[pid] = member
        waiting.append(member)
    }

    /// A process that waited has died, and others may too.
    func failed(at now: Instant) { sizing.pause.failed(at: now) }

    /// Retires those that are not needed, or are at one connection for long.
    func sweep(at now: Instant) {
        for (pid, member) in busy where now - (member.busySince ?? now) > ProcessPool.longestStay { retire(pid) }
        retire(waiting: sizing.surplus(waiting: waiting.count, at: now))
    }

    // MARK: Connections

    /// Removes and returns one that waits, which is to get a connection.
    func next() -> PooledMember? {
        let member = waiting.popLast()
        sizing.dequeued(waiting: waiting.count, ranOut: member == nil)
        return member
    }

    /// Sends the connection to a member that has waited; false where it cannot take it, and is retired.
    func assign(
        _ connection: borrowing Descriptor, _ assignment: ConnectionAssignment, to member: PooledMember, at now: Instant
    ) -> Bool {
        let isAssigned = member.send(connection, assignment)
        if isAssigned {
            assignedCount += 1
            sizing.pause.served()
        }
        if isAssigned, reusesProcesses {
            member.busySince = now
            busy[member.pid] = member
        } else {
            member.channel = nil
        }
        return isAssigned
    }

    /// A process has completed its connection and waits, where it may; false where it never was a member.
    func markIdle(_ pid: ProcessID) -> Bool {
        guard let member = members[pid] else { return false }
        if busy.removeValue(forKey: pid) != nil {
            member.busySince = nil
            waiting.append(member)
        }
        return true
    }

    /// A member that serves a connection shall serve no other.
    func retire(_ pid: ProcessID) { busy.removeValue(forKey: pid)?.channel = nil }

    /// Retires `count` of those that wait, those first that have waited longest.
    private func retire(waiting count: Int) {
        for member in waiting.prefix(count) { member.channel = nil }
        waiting.removeFirst(min(count, waiting.count))
    }

    /// Retires all, those that serve a connection when it is over.
    func retireAll() {
        retire(waiting: waiting.count)
        for pid in Array(busy.keys) { retire(pid) }
    }

    /// A process was reaped, and is a member no more; nil where it never was.
    func remove(_ pid: ProcessID) -> Reaped? {
        guard let member = members.removeValue(forKey: pid) else { return nil }
        busy[pid] = nil
        let index = waiting.firstIndex { $0.pid == pid }
        if let index { waiting.remove(at: index) }
        return Reaped(slot: member.slot, hasWaited: index != nil)
    }
}
