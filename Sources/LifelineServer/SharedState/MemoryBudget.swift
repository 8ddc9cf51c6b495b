import Basics
import Posix
import Synchronization

/// What all connections together may hold, and what they hold: three numbers that all processes share.
///
/// A process adds what its connection holds once a turn, where that has changed, and only while there is a budget. It notes
/// in its slot what it has added, and the parent takes that back if the process dies. A process that has gone wild could
/// write anything here, and kill the others too.
struct MemoryBudget {
    struct BudgetAccount: ~Copyable {
        /// In bytes; 0 where there is no budget.
        fileprivate let limit: Atomic<Int>
        fileprivate let total: Atomic<Int>
        /// 1 from a refusal until much is free again.
        fileprivate let isExhausted: Atomic<Int>
    }

    private let account: UnsafeMutablePointer<BudgetAccount>

    /// An account with nothing in it (mmap(2)).
    init() throws(SystemError) { account = try sharedMemory(of: 1, BudgetAccount.self) }

    /// The budget in bytes; nil where there is none. Set by the parent alone.
    var limit: Int? {
        get {
            let limit = account.pointee.limit.load(ordering: .relaxed)
            return limit > 0 ? limit : nil
        }
        nonmutating set {
            account.pointee.limit.store(newValue ?? 0, ordering: .relaxed)
            if newValue == nil { account.pointee.isExhausted.store(0, ordering: .relaxed) }
        }
    }

    /// What all connections together have added.
    var total: Int { account.pointee.total.load(ordering: .relaxed) }

    /// A connection holds so much more than before, or less where it is below 0.
    func add(_ difference: Int) { account.pointee.total.wrappingAdd(difference, ordering: .relaxed) }

    /// No connection is left, so the total is 0. It was another where a process was killed between two instructions.
    func reset() { account.pointee.total.store(0, ordering: .relaxed) }

    /// Whether more is held than the budget: messages that clients were told to send, and answers that were made.
    var isExceeded: Bool { limit.map { total > $0 } ?? false }

    /// A request was refused, or the budget is exceeded. Returns whether it is the first since much was free: one process alone is told so.
    func markExhausted() -> Bool { account.pointee.isExhausted.exchange(1, ordering: .relaxed) == 0 }

    /// Returns whether much is free again, after a refusal: one process alone is told so.
    func markFree() -> Bool {
        guard account.pointee.isExhausted.load(ordering: .relaxed) != 0, let limit,
            MemoryShare.isFree(total: total, budget: limit)
        else { return false }
        return account.pointee.isExhausted.exchange(0, ordering: .relaxed) != 0
    }
}

extension Scoreboard.Slot {
    /// What the connection holds, in bytes.
    var held: Int {
        get { max(0, row.pointee.held.load(ordering: .relaxed)) }
        nonmutating set { row.pointee.held.store(newValue, ordering: .relaxed) }
    }

    /// How much of the budget's total is this connection's.
    var charged: Int { row.pointee.charged.load(ordering: .relaxed) }

    /// Adds to the budget's total what is missing there of `held`.
    func charge(_ held: Int) {
        let charged = charged
        guard held != charged else { return }
        budget.add(held &- charged)
        row.pointee.charged.store(held, ordering: .relaxed)
    }

    /// The handler's times.
    var handlerTimes: HandlerTimes {
        HandlerTimes(sum: Scoreboard.Slot.duration(row.pointee.handlerTimesSum.load(ordering: .relaxed))) {
            row.pointee.handlerTimes[$0].load(ordering: .relaxed)
        }
    }

    /// Shows the handler's times.
    func publish(_ times: inout HandlerTimes) {
        row.pointee.handlerTimesSum.store(Scoreboard.Slot.ticks(times.sum), ordering: .relaxed)
        times.publish { row.pointee.handlerTimes[$0].store($1, ordering: .relaxed) }
    }
}

extension Log {
    /// Writes a line about the budget.
    func write(_ budget: MemoryBudget, _ event: LogEvent) {
        write(event) {
            $0.number(.held, max(0, budget.total))
            $0.number(.budget, budget.limit ?? 0)
        }
    }
}
