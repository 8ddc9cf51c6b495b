import Basics

/// When each of many connections has to be looked at, by their numbers from 0 on: a binary heap with the place of each number
/// in it.
///
/// A deadline that has moved to a later time stays where it is. The loop looks too early then, and asks the connection: with
/// clients that are heard again and again that is less work than to move it each time.
struct TimerQueue {
    private struct TimerEntry {
        var at: Instant
        let number: Int32
    }

    private var heap: [TimerEntry] = []
    /// Where in the heap each number is; -1 for nowhere.
    private var places: [Int32] = []

    /// When the next timer is due; nil for never.
    @inline(__always) var first: Instant? { heap.first?.at }
    /// How many numbers have a timer.
    var count: Int { heap.count }

    /// Sets the timer of `number`, whether it had one or not.
    mutating func set(_ number: Int, at instant: Instant) {
        while places.count <= number { places.append(-1) }
        var place = Int(places[number])
        if place < 0 {
            place = heap.count
            places[number] = Int32(place)
            heap.append(TimerEntry(at: instant, number: Int32(number)))
            return rise(from: place)
        }
        let isEarlier = instant < heap[place].at
        heap[place].at = instant
        if isEarlier { rise(from: place) } else { sink(from: place) }
    }

    /// Takes the timer of `number` away; nothing where it has none.
    mutating func remove(_ number: Int) {
        guard number < places.count, places[number] >= 0 else { return }
        remove(at: Int(places[number]))
    }

    /// Takes out a timer that is due at `now`, the earliest first, and returns its number; nil where none is due.
    mutating func takeDue(at now: Instant) -> Int? {
        guard let first = heap.first, first.at <= now else { return nil }
        remove(at: 0)
        return Int(first.number)
    }

    private mutating func remove(at place: Int) {
        places[Int(heap[place].number)] = -1
        let last = heap.removeLast()
        guard place < heap.count else { return }
        let isEarlier = last.at < heap[place].at
        put(last, at: place)
        if isEarlier { rise(from: place) } else { sink(from: place) }
    }

    private mutating func put(_ timer: TimerEntry, at place: Int) {
        heap[place] = timer
        places[Int(timer.number)] = Int32(truncatingIfNeeded: place)
    }

    private mutating func rise(from start: Int) {
        let timer = heap[start]
        var place = start
        while place > 0 {
            let parent = (place - 1) / 2
            guard timer.at < heap[parent].at else { break }
            put(heap[parent], at: place)
            place = parent
        }
        put(timer, at: place)
    }

    private mutating func sink(from start: Int) {
        let timer = heap[start]
        var place = start
        while true {
            var child = 2 * place + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].at < heap[child].at { child += 1 }
            guard heap[child].at < timer.at else { break }
            put(heap[child], at: place)
            place = child
        }
        put(timer, at: place)
    }
}
