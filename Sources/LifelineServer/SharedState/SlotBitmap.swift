import Posix
import Synchronization

/// A bit for each slot, by which a child marks its slot for the parent: its connection is complete, for example.
///
/// The bits lie in memory that all children share, so that neither side pays a system call. The parent looks when it
/// has woken for something else. A child that has gone wild could set the bits of others, whose next client would then
/// wait; it could kill them, too.
struct SlotBitmap {
    private static let bits = 64

    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// How many marks were made in all: while it stays the same, no word is read.
    private let marked: UnsafeMutablePointer<Atomic<UInt64>>
    private var lastMarked: UInt64 = 0

    /// Maps a bit for each of `slots` (mmap(2)).
    init(_ slots: Int) throws(SystemError) {
        marked = try sharedMemory(of: SlotBitmap.words(for: slots) + 1, Atomic<UInt64>.self)
        words = marked + 1
    }

    private static func words(for slots: Int) -> Int { (slots + bits - 1) / bits }
    private func mask(_ slot: Int) -> UInt64 { 1 << UInt64(slot % SlotBitmap.bits) }

    /// In a child: marks its slot. The parent that sees the mark sees all that was written before.
    func mark(_ slot: Int) {
        words[slot / SlotBitmap.bits].bitwiseOr(mask(slot), ordering: .releasing)
        marked.pointee.add(1, ordering: .releasing)
    }

    /// Removes the mark of one slot; whether there was one.
    func remove(_ slot: Int) -> Bool {
        let old = words[slot / SlotBitmap.bits].bitwiseAnd(~mask(slot), ordering: .acquiring).oldValue
        return old & mask(slot) != 0
    }

    /// Removes the marks of all slots below `end`, and calls `body` with each that had one.
    mutating func removeAll(below end: Int, _ body: (Int) -> Void) {
        let marked = marked.pointee.load(ordering: .acquiring)
        guard marked != lastMarked else { return }
        lastMarked = marked
        for word in 0..<SlotBitmap.words(for: end) where words[word].load(ordering: .relaxed) != 0 {
            var bits = words[word].exchange(0, ordering: .acquiring)
            while bits != 0 {
                let slot = word * SlotBitmap.bits + bits.trailingZeroBitCount
                if slot < end { body(slot) }
                bits &= bits - 1
            }
        }
    }
}
