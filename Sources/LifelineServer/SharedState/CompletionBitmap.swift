import Posix
import Synchronization

/// Where children say that they are done with a connection, and are about to wait for the next or to end: a bit for each
/// slot, in memory that all of them share, so that it costs neither side a system call. The parent looks when it has woken
/// for something else.
///
/// Who is wild in a child could set the bits of others: their next client would wait then. It could kill them, too.
struct CompletionBitmap {
    private static let bits = 64

    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    /// How many marks were made in all: nothing else is looked at while it stays the same.
    private let made: UnsafeMutablePointer<Atomic<UInt64>>
    private var seen: UInt64 = 0

    /// For so many slots.
    init(_ slots: Int) throws(SystemError) {
        made = try sharedMemory(of: CompletionBitmap.words(for: slots) + 1, Atomic<UInt64>.self)
        words = made + 1
    }

    private static func words(for slots: Int) -> Int { (slots + bits - 1) / bits }
    private func mask(_ slot: Int) -> UInt64 { 1 << UInt64(slot % CompletionBitmap.bits) }

    /// In a child: all that was written of the connection in the slot is true for ever.
    func make(_ slot: Int) {
        words[slot / CompletionBitmap.bits].bitwiseOr(mask(slot), ordering: .releasing)
        made.pointee.add(1, ordering: .releasing)
    }

    /// Takes the mark of one slot; whether there was one.
    func take(_ slot: Int) -> Bool {
        let old = words[slot / CompletionBitmap.bits].bitwiseAnd(~mask(slot), ordering: .acquiring).oldValue
        return old & mask(slot) != 0
    }

    /// Takes the marks of all slots below `end`, and tells which.
    mutating func takeAll(below end: Int, _ body: (Int) -> Void) {
        let made = made.pointee.load(ordering: .acquiring)
        guard made != seen else { return }
        seen = made
        for word in 0..<CompletionBitmap.words(for: end) where words[word].load(ordering: .relaxed) != 0 {
            var bits = words[word].exchange(0, ordering: .acquiring)
            while bits != 0 {
                let slot = word * CompletionBitmap.bits + bits.trailingZeroBitCount
                if slot < end { body(slot) }
                bits &= bits - 1
            }
        }
    }
}
