import Posix
import Synchronization

/// What the router tells the parent of itself, in shared memory. Each figure is whole at any moment; together they may
/// be of two moments.
struct RouterBoard {
    private static var fields: [WritableKeyPath<RouterCounts, UInt64>] {
        [
            \.ties, \.connections, \.topics, \.subscriptions, \.published, \.sent, \.delivered, \.dropped,
            \.lostAtClients,
            \.requests, \.queuedBytes,
        ]
    }

    private let figures: UnsafeMutablePointer<Atomic<UInt64>>

    /// Maps the memory, before the router is forked (mmap(2)).
    init() throws(SystemError) { figures = try sharedMemory(of: RouterBoard.fields.count, Atomic<UInt64>.self) }

    /// The figures that the router has told last: zeros before the first ones.
    var counts: RouterCounts {
        get {
            var counts = RouterCounts()
            for (index, field) in RouterBoard.fields.enumerated() {
                counts[keyPath: field] = figures[index].load(ordering: .relaxed)
            }
            return counts
        }
        nonmutating set {
            for (index, field) in RouterBoard.fields.enumerated() {
                figures[index].store(newValue[keyPath: field], ordering: .relaxed)
            }
        }
    }
}
