import Posix
import Synchronization

/// What children behind a proxy announce to the parent: the source that the header of their connection names. A row for
/// each slot, which its child writes, and a mark that it is written.
///
/// The parent takes a source once. What a child that has gone wild writes later changes nothing.
struct SourceAnnouncements {
    private struct SourceRow: ~Copyable {
        let high: Atomic<UInt64>
        let low: Atomic<UInt64>
        let port: Atomic<UInt64>
    }

    private let rows: UnsafeMutablePointer<SourceRow>
    private var marks: SlotBitmap

    /// Maps memory for `slots` children, which costs none until it is used (mmap(2)).
    init(_ slots: Int) throws(SystemError) {
        rows = try sharedMemory(of: slots, SourceRow.self)
        marks = try SlotBitmap(slots)
    }

    /// In a child: announces the source of the connection in a slot.
    func announce(_ source: ClientSource, of slot: Int) {
        rows[slot].high.store(UInt64(truncatingIfNeeded: source.address >> 64), ordering: .relaxed)
        rows[slot].low.store(UInt64(truncatingIfNeeded: source.address), ordering: .relaxed)
        rows[slot].port.store(UInt64(source.port), ordering: .relaxed)
        marks.mark(slot)
    }

    /// Forgets what the child in a slot has announced.
    func forget(_ slot: Int) { _ = marks.remove(slot) }

    /// Calls `body` with each slot below `end` that has announced a source since the last call.
    mutating func takeAll(below end: Int, _ body: (Int, ClientSource) -> Void) {
        marks.removeAll(below: end) { [rows] slot in
            let address =
                UInt128(rows[slot].high.load(ordering: .relaxed)) << 64
                | UInt128(rows[slot].low.load(ordering: .relaxed))
            let port = UInt16(truncatingIfNeeded: rows[slot].port.load(ordering: .relaxed))
            body(slot, ClientSource(address: address, port: port))
        }
    }
}
