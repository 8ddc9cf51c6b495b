import Posix
import Synchronization

/// What shared processes tell the parent of themselves, in shared memory: a row for each slot, which the process with that slot
/// of its own writes. The parent trusts none of it, and a wrong figure costs an uneven share of connections at most.
struct ProcessBoard {
    struct ProcessRow: ~Copyable {
        fileprivate let load: Atomic<UInt32>
        fileprivate let isLeaving: Atomic<UInt32>
        fileprivate let taken: Atomic<UInt32>
        /// Fills the line of the cache: no two processes write the same one.
        let padding: InlineArray<13, UInt32>
    }

    /// One process's row, as both processes reach it.
    struct ProcessSlot {
        fileprivate let row: UnsafeMutablePointer<ProcessRow>

        /// How much of the time its loop was busy lately, in thousandths.
        var load: Int {
            get { Int(min(1000, row.pointee.load.load(ordering: .relaxed))) }
            nonmutating set { row.pointee.load.store(UInt32(clamping: newValue), ordering: .relaxed) }
        }
        /// How many connections it has taken out of its channel; the count goes round.
        var taken: UInt32 {
            get { row.pointee.taken.load(ordering: .relaxed) }
            nonmutating set { row.pointee.taken.store(newValue, ordering: .relaxed) }
        }
        /// Whether the process wants no further connection: it has grown too big, or lost a thread to a handler.
        var isLeaving: Bool {
            get { row.pointee.isLeaving.load(ordering: .relaxed) != 0 }
            nonmutating set { row.pointee.isLeaving.store(newValue ? 1 : 0, ordering: .relaxed) }
        }
    }

    private let rows: UnsafeMutablePointer<ProcessRow>

    /// Maps a row for each of `slots`, which costs no memory until it is used (mmap(2)).
    init(_ slots: Int) throws(SystemError) { rows = try sharedMemory(of: slots, ProcessRow.self) }

    subscript(slot: Int) -> ProcessSlot { ProcessSlot(row: rows + slot) }

    /// Empties the row of a process that is about to be forked.
    func clear(_ slot: Int) {
        self[slot].load = 0
        self[slot].isLeaving = false
        self[slot].taken = 0
    }
}
