import Basics
import Posix

/// All that the parent knows of its children: the table of those with a connection, the pool of those that were forked
/// ahead, and the memory that children share with the parent.
///
/// What is written for each connection lies together, and without a check of exclusivity: one thread runs all of this.
final class ChildRegistry {
    /// The memory behind it, mapped before the first fork.
    struct Memory {
        fileprivate(set) var scoreboard: Scoreboard
        fileprivate let table: ChildTable
        fileprivate let completions: SlotBitmap
        fileprivate let announcements: SourceAnnouncements
        fileprivate let board: ProcessBoard

        /// Maps memory for `slots` children (mmap(2)).
        init(slots: Int) throws(SystemError) {
            scoreboard = try Scoreboard(slots)
            table = try ChildTable(slots)
            completions = try SlotBitmap(slots)
            announcements = try SourceAnnouncements(slots)
            board = try ProcessBoard(slots)
        }

        /// A connection without a client, before the first fork, to warm the program up.
        mutating func run(_ warmUp: WarmUp) { warmUp.run(in: &scoreboard) }
    }

    @exclusivity(unchecked) private var table: ChildTable
    @exclusivity(unchecked) private var scoreboard: Scoreboard
    @exclusivity(unchecked) private var completions: SlotBitmap
    @exclusivity(unchecked) private var announcements: SourceAnnouncements
    /// The process that all of it is the parent's of.
    private let parent = processID
    /// How many connections have been given a process: the number of the last one.
    @exclusivity(unchecked) private(set) var connectionCount: UInt64 = 0
    /// How many of the connections are those of back-ends.
    @exclusivity(unchecked) private(set) var backEndCount = 0
    /// What the server has counted since it began; of each child, once its connection is over.
    @exclusivity(unchecked) var statistics = ServerStatistics()
    let commands: ChildCommands
    /// What shared processes tell of themselves.
    let board: ProcessBoard
    /// The processes that were forked ahead; nil without `--pool`.
    let pool: ProcessPool?
    /// The processes with several connections; nil where each has one.
    let shared: SharedProcesses?
    /// The router; nil without `--topics`.
    let router: RouterSupervisor?

    init(
        _ memory: Memory, commands: ChildCommands, _ options: ServerOptions, router: RouterSupervisor?, at now: Instant
    ) {
        scoreboard = memory.scoreboard
        table = memory.table
        completions = memory.completions
        announcements = memory.announcements
        board = memory.board
        self.commands = commands
        self.router = router
        pool =
            options.sharesProcesses
            ? nil
            : options.pool.map {
                ProcessPool($0, connectionsEach: options.poolReuse, at: now)
            }
        shared = options.sharesProcesses ? SharedProcesses(options, memory.board) : nil
    }

    // MARK: Slots

    /// Takes an empty slot that is free, for a connection or a process that is about to be forked. Throws EAGAIN, as fork(2)
    /// does where there are too many processes, while others on their way out have all slots.
    func acquireSlot() throws(SystemError) -> Int {
        guard let slot = scoreboard.take() else { throw .tooManyProcesses }
        commands.clear(slot)
        return slot
    }

    /// Empties the slot of a process that waits, for its next connection.
    func resetSlot(_ slot: Int) {
        scoreboard.clear(slot)
        commands.clear(slot)
    }

    /// Gives the slot of a process back that has ended or was never forked.
    func releaseSlot(_ slot: Int) { scoreboard.giveBack(slot) }

    /// What the child in a slot shows of its connection.
    func slot(_ index: Int) -> Scoreboard.Slot { scoreboard[index] }

    /// In a child: marks its connection as complete. All that it has written of it stays as it is.
    func markCompleted(_ slot: Int) { completions.mark(slot) }

    // MARK: Connections

    var isEmpty: Bool { table.isEmpty && pool?.isEmpty ?? true && shared?.isEmpty ?? true }
    /// How many connections there are.
    var liveConnections: Int { table.count }
    /// The children with a connection, by slot.
    var records: [ChildTable.Record] { table.records }
    /// The connection of a process that has no other.
    subscript(pid: ProcessID) -> ChildTable.Record? { table[pid] }
    /// The connection of this number, where it is still the one in the slot.
    func record(ofSlot slot: Int, connection: UInt64) -> ChildTable.Record? {
        table.record(ofSlot: slot, connection: connection)
    }
    /// The connections of a process with several.
    func records(of pid: ProcessID) -> [ChildTable.Record] { table.records(of: pid) }
    /// Whether the process is a child that is not reaped yet.
    func contains(_ pid: ProcessID) -> Bool {
        table[pid] != nil || pool?.contains(pid) ?? false || shared?.contains(pid) ?? false
            || router.map { $0.pid == pid } ?? false
    }
    /// The processes of all children, with or without a connection.
    var processes: [ProcessID] {
        if let shared { return Array(shared.processes) }
        return table.records.map(\.pid) + (pool?.processes.filter { table[$0] == nil } ?? [])
    }
    /// The processes of all children with a connection.
    var servingProcesses: [ProcessID] {
        if let shared { return shared.processes.filter { shared[$0]?.connections ?? 0 > 0 } }
        return table.records.map(\.pid)
    }

    /// What the living show now. They are read one after another: those of thousands at once would leave pages in the
    /// heap, which each fork pays for.
    var livingStatistics: some Collection<ConnectionStatistics> {
        table.takenSlots.lazy.map { [scoreboard] in ConnectionStatistics(scoreboard[$0], withName: false) }
    }

    /// The process in a slot has the connection that was assigned to it.
    func insert(_ pid: ProcessID, slot: Int, _ assignment: ConnectionAssignment) {
        connectionCount += 1
        statistics.accept()
        table.insert(
            ChildTable.Record(
                pid: pid, slot: slot, connection: assignment.connection, peer: assignment.peer,
                acceptedAt: assignment.acceptedAt, standing: assignment.standing,
                isShared: shared != nil))
        if assignment.isBackEnd { backEndCount += 1 }
        commands.connections = table.count
    }

    /// The connection in a slot goes to another process with several.
    func move(_ slot: Int, to pid: ProcessID) { table.move(slot, to: pid) }

    /// Removes the connection in a slot, of a process with several; nil where there is none.
    func remove(slot: Int) -> ChildTable.Record? {
        leave(table.remove(slot: slot))
    }

    /// The process has no connection any more: it was reaped, or it waits. Nil where it had none.
    func remove(_ pid: ProcessID) -> ChildTable.Record? {
        leave(table.remove(pid))
    }

    /// The table has one connection less, where there was one.
    @inline(__always) private func leave(_ record: ChildTable.Record?) -> ChildTable.Record? {
        if record?.standing == .backEnd { backEndCount -= 1 }
        commands.connections = table.count
        return record
    }

    /// Counts what a child has shown of a connection that is over.
    func addStatistics(ofSlot slot: Int) {
        statistics.reap(ConnectionStatistics(scoreboard[slot]))
        // A process that came to its proper end has done that itself.
        scoreboard[slot].charge(0)
        if table.isEmpty, budget.total != 0 { budget.reset() }
    }

    /// What all connections together may hold.
    var budget: MemoryBudget { scoreboard.budget }

    /// Calls `body` with each connection that its child has marked as complete since the last call.
    func forEachCompletion(_ body: (ChildTable.Record) -> Void) {
        completions.removeAll(below: table.end) { slot in
            if let record = table.markCompleted(slot) { body(record) }
        }
    }

    /// Takes the mark of one slot away; whether there was one.
    func removeCompletion(_ slot: Int) -> Bool { completions.remove(slot) }

    // MARK: Clients of proxies

    /// In a child: tells the parent which client its proxy has named, and wakes it.
    func announce(_ source: ClientSource, of slot: Int) {
        announcements.announce(source, of: slot)
        sendSignal(Signal.call, to: parent)
    }

    /// Judges each client that children have announced since the last call: `judge` says why it is refused, or nil. The
    /// child is told.
    func judgeAnnounced(_ judge: (ChildTable.Record) -> Admission.Refusal?) {
        announcements.takeAll(below: table.end) { slot, source in
            guard let record = table.identify(source, in: slot) else { return }
            let refusal = judge(record)
            table.judged(slot, isAdmitted: refusal == nil)
            commands.answer(refusal.map { .refused($0.reason, retryAfter: $0.retryAfter) } ?? .admitted, to: slot)
            sendSignal(Signal.call, to: record.pid)
        }
    }

    /// The connection in a slot is over, and its client was not judged: it may have been announced meanwhile, and the slot
    /// will be another's.
    func forgetAnnounced(_ slot: Int) { announcements.forget(slot) }

    // MARK: Commands

    /// Sends a command to the child of a connection. The kernel keeps one of several signals that wait, so the command
    /// stands where the child reads it.
    func send(_ command: ChildCommands.ChildCommand, to record: ChildTable.Record) {
        if let shared {
            guard let member = shared[record.pid] else { return }
            commands.post(command, to: record.slot)
            commands.countCommand(ofProcess: member.slot)
            sendSignal(Signal.call, to: record.pid)
        } else {
            // The signal is for this connection, and may come late.
            pool?.retire(record.pid)
            commands.post(command, to: record.slot)
            sendSignal(Signal.terminate, to: record.pid)
        }
    }

    /// Sends a command to the children of all connections, with one signal to each.
    func sendToAll(_ command: ChildCommands.ChildCommand) {
        guard let shared else {
            for record in table.records { send(command, to: record) }
            return
        }
        for record in table.records { commands.post(command, to: record.slot) }
        for pid in servingProcesses {
            if let member = shared[pid] { commands.countCommand(ofProcess: member.slot) }
            sendSignal(Signal.call, to: pid)
        }
    }

    /// No process that runs gets a further connection: it leaves with its last.
    func retireProcesses() {
        pool?.retireAll()
        shared?.retireAll()
    }

    /// Tells every child with a connection that the machine was suspended. Others have nothing to prove, and sleep on.
    func announceResume() { for pid in servingProcesses { sendSignal(Signal.resumed, to: pid) } }
}
