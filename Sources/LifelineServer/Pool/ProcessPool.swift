import Basics
import Posix

/// The children that were forked ahead, as the parent knows them: those that wait, and those that serve a connection and
/// may come back to wait.
///
/// A child that is let go loses its channel: it leaves by itself, at once or when its connection is over.
final class ProcessPool {
    final class Member {
        let pid: ProcessID
        let slot: Int
        fileprivate var channel: Descriptor?
        /// When it got its connection; nil while it waits.
        fileprivate(set) var busySince: Instant?

        fileprivate init(_ pid: ProcessID, slot: Int, _ channel: consuming Descriptor) {
            self.pid = pid
            self.slot = slot
            self.channel = consume channel
        }

        fileprivate func give(_ connection: borrowing Descriptor, _ words: PooledProcess.Words) -> Bool {
            switch channel {
            case .some(let channel): withUnsafeBytes(of: words) { channel.give(connection, $0) }
            case nil: false
            }
        }
    }

    /// What is known of one that was reaped.
    struct Reaped {
        let slot: Int
        /// It should have waited.
        let hasWaited: Bool
    }

    /// What a connection that lasts for longer saves by a child that comes back is nothing, and its channel is a
    /// descriptor of the parent's.
    private static let longestStay = Duration.seconds(1)

    private var members: [ProcessID: Member] = [:]
    /// The one that waited last is the next: its memory is in the caches.
    private var waiting: [Member] = []
    /// Those with a channel that serve a connection.
    private var busy: [ProcessID: Member] = [:]
    private let comeBack: Bool
    private var pool: PoolSizing
    /// How many connections were given to them.
    private(set) var given: UInt64 = 0

    /// `reuse` is how many connections each of them serves.
    init(_ size: PoolSize, reuse: Int, at now: Instant) {
        comeBack = reuse > 1
        pool = PoolSizing(size, at: now)
    }

    var isEmpty: Bool { members.isEmpty }
    var waitingCount: Int { waiting.count }
    /// How many wait or may come back.
    var count: Int { waiting.count + busy.count }
    var processes: Dictionary<ProcessID, Member>.Keys { members.keys }
    func contains(_ pid: ProcessID) -> Bool { members[pid] != nil }

    func add(_ pid: ProcessID, slot: Int, _ channel: consuming Descriptor) {
        let member = Member(pid, slot: slot, channel)
        members[pid] = member
        waiting.append(member)
    }

    // MARK: How many

    /// How many should wait.
    var wanted: Int { pool.wanted }
    /// When those are to be let go that are busy, or others forked; nil where nothing is to be done.
    func deadline(sweep: Instant) -> Instant? { earlier(pool.pausedUntil, busy.isEmpty ? nil : sweep) }
    /// How many are to be forked.
    func missing(at now: Instant) -> Int { pool.missing(waiting: waiting.count, all: count, at: now) }
    func failed(at now: Instant) { pool.failed(at: now) }

    /// Lets those go that are not needed, or are at one connection for long.
    func sweep(at now: Instant) {
        for (pid, member) in busy where now - (member.busySince ?? now) > ProcessPool.longestStay { letGo(pid) }
        letGo(waiting: pool.surplus(waiting: waiting.count, at: now))
    }

    // MARK: Connections

    /// One that waits and is to get a connection.
    func next() -> Member? {
        let member = waiting.popLast()
        pool.took(waiting: waiting.count, ranOut: member == nil)
        return member
    }

    /// Gives the connection to a member that has waited; false where it cannot take it, and is let go.
    func give(
        _ connection: borrowing Descriptor, _ words: PooledProcess.Words, to member: Member, at now: Instant
    ) -> Bool {
        let isGiven = member.give(connection, words)
        if isGiven {
            given += 1
            pool.served()
        }
        if isGiven, comeBack {
            member.busySince = now
            busy[member.pid] = member
        } else {
            member.channel = nil
        }
        return isGiven
    }

    /// A child is done with its connection and waits, where it may; false where it never was one of these.
    func takeBack(_ pid: ProcessID) -> Bool {
        guard let member = members[pid] else { return false }
        if busy.removeValue(forKey: pid) != nil {
            member.busySince = nil
            waiting.append(member)
        }
        return true
    }

    /// A member that serves a connection shall serve no other.
    func letGo(_ pid: ProcessID) { busy.removeValue(forKey: pid)?.channel = nil }

    /// So many of those that wait shall leave, those first that have waited longest.
    func letGo(waiting count: Int) {
        for member in waiting.prefix(count) { member.channel = nil }
        waiting.removeFirst(min(count, waiting.count))
    }

    /// All shall leave, those that serve a connection when it is over.
    func letAllGo() {
        letGo(waiting: waiting.count)
        for pid in Array(busy.keys) { letGo(pid) }
    }

    /// A process was reaped, and is one of them no more; nil where it never was.
    func remove(_ pid: ProcessID) -> Reaped? {
        guard let member = members.removeValue(forKey: pid) else { return nil }
        busy[pid] = nil
        let index = waiting.firstIndex { $0.pid == pid }
        if let index { waiting.remove(at: index) }
        return Reaped(slot: member.slot, hasWaited: index != nil)
    }

    /// The parent's ends of all channels.
    func append(to numbers: inout [Int32]) {
        for member in members.values { numbers.append(member.channel?.number ?? -1) }
    }
}
