import Basics
import Posix

/// The processes that serve several connections each, as the parent knows them.
///
/// A process that is retired loses its channel: it gets no further connection, and leaves with its last one.
final class SharedProcesses {
    final class SharedMember {
        let pid: ProcessID
        /// Its own, not that of a connection.
        let slot: Int
        /// How many connections it has, with those on their way to it.
        fileprivate(set) var connections = 0
        fileprivate let leavesAt: Instant?
        fileprivate var channel: ParentOwned<Descriptor>?
        fileprivate var emptySince: Instant?
        fileprivate var delivery: DeliveryWatch
        /// What the next message to it has.
        fileprivate var batch: [Placed] = []

        fileprivate init(
            _ pid: ProcessID, slot: Int, _ channel: consuming ParentOwned<Descriptor>, leavesAt: Instant?,
            at now: Instant
        ) {
            self.pid = pid
            self.slot = slot
            self.channel = consume channel
            self.leavesAt = leavesAt
            emptySince = now
            delivery = DeliveryWatch(at: now)
        }
    }

    /// A connection that has a process, and is not sent to it yet.
    struct Placed {
        let socket: ParentOwned<Descriptor>
        let assignment: ConnectionAssignment
    }

    private let board: ProcessBoard
    private var sizing: ProcessSizing
    private var members: [ProcessID: SharedMember] = [:]
    /// Those that get connections, in the order of their start.
    private var open: [SharedMember] = []
    /// How many connections those have.
    private var openConnections = 0
    /// Those with a batch.
    private var pending: [SharedMember] = []

    /// - Parameters:
    ///   - options: How many connections each serves, and how many are forked ahead.
    ///   - board: What they tell of themselves.
    init(_ options: ServerOptions, _ board: ProcessBoard) {
        self.board = board
        sizing = ProcessSizing(options)
    }

    /// Processes that are forked from now on go by these options.
    func reconfigure(_ options: ServerOptions) { sizing = ProcessSizing(options) }

    var isEmpty: Bool { members.isEmpty }
    /// How many there are.
    var count: Int { members.count }
    /// How many of them get connections.
    var openCount: Int { open.count }
    var processes: Dictionary<ProcessID, SharedMember>.Keys { members.keys }
    func contains(_ pid: ProcessID) -> Bool { members[pid] != nil }
    subscript(pid: ProcessID) -> SharedMember? { members[pid] }
    /// When others are to be forked after a pause.
    var deadline: Instant? { sizing.pause.until }

    // MARK: How many

    /// Forks processes ahead of need. Returns whether there should be more: they follow in the next turn.
    func replenish(_ launcher: ChildLauncher) -> Bool {
        launcher.forkAhead {
            missing(at: $0)
        } failed: {
            sizing.pause.failed(at: $0)
        } fork: { now throws(SystemError) in
            _ = try fork(launcher, at: now)
        }
    }

    private func missing(at now: Instant) -> Int {
        sizing.missing(processes: open.count, connections: openConnections, at: now)
    }

    private func fork(_ launcher: ChildLauncher, at now: Instant) throws(SystemError) -> SharedMember {
        let child = try launcher.launchWithChannel(.shared)
        let leavesAt = sizing.leavesAt(startedAt: now, random: .random(in: 0..<1))
        let member = SharedMember(child.pid, slot: child.slot, child.channel, leavesAt: leavesAt, at: now)
        members[member.pid] = member
        open.append(member)
        return member
    }

    /// Retires those that are not needed, too old, or say that they want to leave.
    func sweep(at now: Instant) {
        for member in open where mustLeave(member, at: now) || isSurplus(member, at: now) { retire(member) }
    }

    private func mustLeave(_ member: SharedMember, at now: Instant) -> Bool {
        board[member.slot].isLeaving || member.leavesAt.map { $0 <= now } ?? false
    }

    private func isSurplus(_ member: SharedMember, at now: Instant) -> Bool {
        guard let since = member.emptySince else { return false }
        return sizing.isSurplus(emptySince: since, processes: open.count, at: now)
    }

    private func retire(_ member: SharedMember) {
        guard member.channel != nil else { return }
        member.channel = nil
        open.removeAll { $0 === member }
        openConnections -= member.connections
    }

    /// Retires all: each leaves with its last connection.
    func retireAll() {
        for member in open { member.channel = nil }
        open = []
        openConnections = 0
    }

    // MARK: Connections

    /// The process that gets the next connection: of those that are wanted, the one with the most room. It is forked where none
    /// has room.
    func next(_ launcher: ChildLauncher, at now: Instant) throws(SystemError) -> SharedMember {
        if let member = roomiest(at: now) { return member }
        return try fork(launcher, at: now)
    }

    private func roomiest(at now: Instant) -> SharedMember? {
        let wanted = sizing.wanted(for: openConnections + 1)
        var (best, least): (SharedMember?, Int) = (nil, .max)
        for (index, member) in open.enumerated() {
            if index >= wanted, best != nil { break }
            guard member.connections < sizing.most, member.delivery.takes(board[member.slot].taken, at: now),
                !mustLeave(member, at: now)
            else { continue }
            let score = sizing.score(connections: member.connections, load: board[member.slot].load)
            if score < least { (best, least) = (member, score) }
        }
        return best
    }

    /// Puts a connection in the next message to a member.
    func assign(_ placed: Placed, to member: SharedMember) {
        member.connections += 1
        member.emptySince = nil
        openConnections += 1
        if member.batch.isEmpty { pending.append(member) }
        member.batch.append(placed)
    }

    /// Whether a message is full, and should be sent.
    func hasFullBatch(_ member: SharedMember) -> Bool { member.batch.count >= Descriptor.mostGiven }

    /// Sends the messages. Returns the connections that their processes cannot take, which have none now: a process that is
    /// gone is retired, and one whose channel is full gets no connection for a moment.
    func send(at now: Instant) -> [Placed] {
        var left: [Placed] = []
        for member in pending {
            var batch = member.batch[...]
            member.batch = []
            var result = GiveResult.given
            while !batch.isEmpty, result == .given {
                let message = batch.prefix(Descriptor.mostGiven)
                result = give(message, to: member)
                guard result == .given else { break }
                member.delivery.sent(message.count, taken: board[member.slot].taken, at: now)
                batch = batch.dropFirst(message.count)
            }
            switch result {
            case .given: break
            case .full: member.delivery.clogged(at: now)
            case .gone: retire(member)
            }
            left += batch
            for _ in batch { removeConnection(of: member, at: now) }
        }
        pending = []
        return left
    }

    private func give(_ message: ArraySlice<Placed>, to member: SharedMember) -> GiveResult {
        guard let channel = member.channel else { return .gone }
        return message.map(\.assignment).withUnsafeBytes {
            channel.resource.give(numbers: message.map { $0.socket.resource.number }, $0)
        }
    }

    /// A process has completed a connection.
    func completed(_ pid: ProcessID, at now: Instant) {
        guard let member = members[pid] else { return }
        removeConnection(of: member, at: now)
        sizing.pause.served()
    }

    private func removeConnection(of member: SharedMember, at now: Instant) {
        member.connections -= 1
        if member.connections == 0 { member.emptySince = now }
        if member.channel != nil { openConnections -= 1 }
    }

    /// A process was reaped, and is a member no more; nil where it never was.
    func remove(_ pid: ProcessID, at now: Instant) -> SharedMember? {
        guard let member = members.removeValue(forKey: pid) else { return nil }
        // One that was retired has left as it should.
        if member.channel != nil, member.connections == 0 { sizing.pause.failed(at: now) }
        retire(member)
        return member
    }
}

extension ProcessSizing {
    init(_ options: ServerOptions) {
        self.init(most: options.connectionsPerProcess, ahead: options.pool, maxAge: options.maxAge)
    }
}
