/// A hashed timer wheel with one deadline for each connection. The costs to set and to expire a deadline do not depend
/// on the number of connections.
///
/// The wheel is a ring of lists, each for about a millisecond. A deadline beyond the ring goes into its last list, and
/// expires early; its owner then sets it again. So a deadline that moves on need not be set each time.
struct TimerWheel {
    /// A slot is 2^20 ns long, 1.05 ms.
    private static let shift: Int64 = 20
    private let slots: Int

    private var first: [Int32]
    private var next: [Int32]
    private var previous: [Int32]
    /// The slot of each, or -1.
    private var slot: [Int32]
    /// The deadline that was set for each.
    private var deadlines: [Nanoseconds]
    /// A bit for each slot that is not empty.
    private var used: [UInt64]
    /// The first slot of time that has not expired.
    private var position: Int64

    /// A wheel for `count` connections. Its slots, a power of two, reach as far as most beats: over a minute.
    init(count: Int, at now: Nanoseconds, slots: Int = 65536) {
        self.slots = slots
        first = Array(repeating: -1, count: slots)
        used = Array(repeating: 0, count: slots / 64)
        next = Array(repeating: -1, count: count)
        previous = next
        slot = next
        deadlines = Array(repeating: .never, count: count)
        position = now.count >> TimerWheel.shift
    }

    /// The deadline that was set for `index`.
    func deadline(of index: Int) -> Nanoseconds { deadlines[index] }

    /// Sets the deadline of `index` in place of the one before. A deadline beyond the ring expires early.
    mutating func set(_ index: Int, _ deadline: Nanoseconds) {
        remove(index)
        deadlines[index] = deadline
        guard deadline != .never else { return }
        // The slot behind the deadline: never too early.
        let wanted = deadline.count >> TimerWheel.shift + 1
        let place = Int32(
            min(max(wanted, position), position + Int64(slots) - 1) & Int64(slots - 1))
        slot[index] = place
        let head = first[Int(place)]
        next[index] = head
        previous[index] = -1
        if head >= 0 { previous[Int(head)] = Int32(index) }
        first[Int(place)] = Int32(index)
        used[Int(place) >> 6] |= 1 << UInt64(place & 63)
    }

    mutating func remove(_ index: Int) {
        let place = Int(slot[index])
        guard place >= 0 else { return }
        if previous[index] >= 0 { next[Int(previous[index])] = next[index] } else { first[place] = next[index] }
        if next[index] >= 0 { previous[Int(next[index])] = previous[index] }
        if first[place] < 0 { used[place >> 6] &= ~(1 << UInt64(place & 63)) }
        slot[index] = -1
    }

    /// Removes and returns one whose slot is due; nil where none is.
    mutating func popExpired(at now: Nanoseconds) -> Int? {
        let end = now.count >> TimerWheel.shift
        while position <= end {
            let place = Int(position & Int64(slots - 1))
            if first[place] >= 0 {
                let index = Int(first[place])
                remove(index)
                return index
            }
            position = min(nextUsed() ?? end + 1, end + 1)
        }
        return nil
    }

    /// The instant at which the next one may be due; `never` where none is set.
    var nextExpiry: Nanoseconds { nextUsed().map { Nanoseconds($0 << TimerWheel.shift) } ?? .never }

    /// The first slot of time from `position` on that is not empty.
    private func nextUsed() -> Int64? {
        let start = Int(position & Int64(slots - 1))
        let words = used.count
        for step in 0...words {
            let word = (start >> 6 + step) & (words - 1)
            var bits = used[word]
            if step == 0 { bits &= ~0 << UInt64(start & 63) }
            if step == words { bits &= ~(~0 << UInt64(start & 63)) }
            guard bits != 0 else { continue }
            let place = word << 6 + bits.trailingZeroBitCount
            return position + Int64((place - start + slots) & (slots - 1))
        }
        return nil
    }
}
