import Basics

/// The requests that a program has in a tagged framing, in the order of their ids.
///
/// The time of a request begins when it is given, and anew with each answer to one that was given before it: a program
/// that takes one at a time has the whole time for each.
struct TaggedRequests {
    struct Given {
        let id: UInt32
        /// Where it lies in the program's standard input.
        let start: Int
        let end: Int
        /// When its time began.
        var since: Instant
        /// The parts of its answer that have come, put together; nil before the first.
        var parts: [UInt8]?
    }

    private var entries: [Given] = []
    /// The highest id that was ever given.
    private(set) var highest: UInt32 = 0

    var isEmpty: Bool { entries.isEmpty }
    /// The one whose time is over first.
    var oldest: Given? { entries.first }
    var all: [Given] { entries }

    /// Adds a request, whose id is above all others.
    mutating func add(_ id: UInt32, from start: Int, to end: Int, at now: Instant) {
        entries.append(Given(id: id, start: start, end: end, since: now))
        highest = id
    }

    private func index(of id: UInt32) -> Int? {
        // As a rule the oldest is answered first.
        if entries.first?.id == id { return 0 }
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].id == id ? low : nil
    }

    func contains(_ id: UInt32) -> Bool { index(of: id) != nil }

    /// Takes out a request, which has its ending. Where that `isProgress` of the program, the time of the next begins.
    mutating func remove(_ id: UInt32, isProgress: Bool, at now: Instant) -> Given? {
        guard let index = index(of: id) else { return nil }
        let removed = entries.remove(at: index)
        // Times rise with the ids. So it is enough to change the next: who comes behind it has it from there.
        if index < entries.count {
            entries[index].since = max(entries[index].since, isProgress ? now : removed.since)
        }
        return removed
    }

    mutating func removeAll() -> [Given] {
        defer { entries = [] }
        return entries
    }

    /// Adds a part to the answer of a request. Returns false where there is no such request, or where its answer would have
    /// more than `most` bytes.
    mutating func add(part: ArraySlice<UInt8>, separator: [UInt8], to id: UInt32, most: Int) -> Bool {
        guard let index = index(of: id) else { return false }
        let length = entries[index].parts.map { $0.count + separator.count } ?? 0
        guard length + part.count <= most else { return false }
        if entries[index].parts != nil {
            entries[index].parts! += separator
        } else {
            entries[index].parts = []
        }
        entries[index].parts! += part
        return true
    }

    /// Begins the time of all anew: it was not the program's.
    mutating func restartClocks(at now: Instant) {
        for index in entries.indices { entries[index].since = now }
    }
}
