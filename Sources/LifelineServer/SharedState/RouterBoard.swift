import Posix
import Synchronization

/// What the router tells the parent of itself, in shared memory. Each figure is whole at any moment; together they may
/// be of two moments.
struct RouterBoard {
    private let figures: UnsafeMutablePointer<Atomic<UInt64>>

    /// Maps the memory, before the router is forked (mmap(2)).
    init() throws(SystemError) { figures = try sharedMemory(of: RouterCounts.fields.count, Atomic<UInt64>.self) }

    /// The figures that the router has told last: zeros before the first ones.
    var counts: RouterCounts {
        get {
            var counts = RouterCounts()
            for (index, field) in RouterCounts.fields.enumerated() {
                counts[keyPath: field] = figures[index].load(ordering: .relaxed)
            }
            return counts
        }
        nonmutating set {
            for (index, field) in RouterCounts.fields.enumerated() {
                figures[index].store(newValue[keyPath: field], ordering: .relaxed)
            }
        }
    }
}
