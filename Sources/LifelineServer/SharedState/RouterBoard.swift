import Posix
import Synchronization

/// What the router shows of itself, in shared memory: its counts. It writes them now and then, and the parent reads them. The
/// parent trusts none of it.
struct RouterBoard {
    private struct Row: ~Copyable {
        let counts: InlineArray<10, Atomic<UInt64>>
    }

    private let row: UnsafeMutablePointer<Row>

    /// Maps the memory (mmap(2)).
    init() throws(SystemError) { row = try sharedMemory(of: 1, Row.self) }

    /// Each count has a whole value at any moment; they are not all of the same moment.
    var counts: RouterCounts {
        get {
            var counts = RouterCounts()
            for (index, field) in RouterCounts.fields.enumerated() {
                counts[keyPath: field] = row.pointee.counts[index].load(ordering: .relaxed)
            }
            return counts
        }
        nonmutating set {
            for (index, field) in RouterCounts.fields.enumerated() {
                row.pointee.counts[index].store(newValue[keyPath: field], ordering: .relaxed)
            }
        }
    }
}
