import Basics
import Posix

/// What a connection holds, as its slot and the budget of all connections have it.
struct ConnectionMemory {
    private let slot: Scoreboard.Slot
    /// What the slot shows.
    private var published = 0
    /// Whether there is a budget, and how much of its total is this connection's.
    private var hasBudget = false
    private var charged = 0
    /// How many requests it had no room for.
    private var refused: UInt64 = 0
    private var release = MemoryRelease()

    init(_ slot: Scoreboard.Slot, of connection: inout ServerConnection) {
        self.slot = slot
        updateShare(of: &connection)
    }

    /// When to wake, to give memory back; nil for never.
    @inline(__always) var deadline: Instant? { release.deadline }

    /// Tells the connection what is free in the budget, where there is one.
    @inline(__always) mutating func updateShare(of connection: inout ServerConnection) {
        let budget = slot.budget.limit
        if budget != nil || hasBudget { updateShare(of: &connection, budget) }
    }

    private mutating func updateShare(of connection: inout ServerConnection, _ budget: Int?) {
        hasBudget = budget != nil
        guard let budget else { return connection.take(.unlimited) }
        charge(connection.held)
        connection.take(MemoryShare(of: budget, total: slot.budget.total, own: charged))
    }

    /// Shows what the connection holds now: without a change it stores nothing.
    @inline(__always) mutating func publish(_ connection: borrowing ServerConnection, at now: Instant, _ log: Log) {
        let held = connection.held
        if held != published || charged != (hasBudget ? held : 0) { show(held, at: now, log) }
        if hasBudget, connection.counts.overBudget > refused { showRefusals(connection.counts.overBudget, log) }
    }

    private mutating func show(_ held: Int, at now: Instant, _ log: Log) {
        let isLess = held < published
        published = held
        slot.held = held
        release.holds(held, at: now)
        charge(hasBudget ? held : 0)
        guard hasBudget else { return }
        if isLess {
            if slot.budget.markFree() { log.write(slot.budget, .budgetFree) }
        } else if slot.budget.isExceeded, slot.budget.markExhausted() {
            log.write(slot.budget, .budgetExhausted)
        }
    }

    /// The budget had no room for requests: so many until now.
    private mutating func showRefusals(_ count: UInt64, _ log: Log) {
        refused = count
        if slot.budget.markExhausted() { log.write(slot.budget, .budgetExhausted) }
    }

    /// Gives memory back where that is due.
    @inline(__always) mutating func releaseWhatIsFree(at now: Instant) {
        if release.isArmed, release.isDue(at: now) { releaseFreeMemory() }
    }

    /// Whether memory is to be given back, at `now`: for a loop that does it for several connections at a time.
    @inline(__always) mutating func takeRelease(at now: Instant) -> Bool { release.isArmed && release.isDue(at: now) }

    /// The connection is over: it holds nothing.
    mutating func close() { charge(0) }

    private mutating func charge(_ held: Int) {
        slot.charge(held)
        charged = held
    }
}
