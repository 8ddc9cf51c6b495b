import Posix
import Synchronization

/// The connections of a shared process whose handlers have something for the event loop, by slot. Any thread adds to it, and
/// the loop takes them out.
final class LoopWakeups: Sendable {
    private let event: Descriptor
    private let waiting = ConditionLock<[Int32]>([])
    /// Whether there is one to take. Written with the lock, read without.
    private let isWaiting = Atomic(false)

    /// Throws what eventfd(2) does.
    init() throws(SystemError) { event = try .event() }

    /// What the loop waits for: readable while there is something to take.
    var number: Int32 { event.number }

    /// Notes the connection of `slot`, and wakes the loop if it does not know of any yet. With `wakes` false the loop itself
    /// notes it, which takes what there is before it waits.
    func add(_ slot: Int32, wakes: Bool) {
        let isFirst = waiting.withLock { slots in
            defer { slots.append(slot) }
            if slots.isEmpty { isWaiting.store(true, ordering: .releasing) }
            return slots.isEmpty
        }
        if isFirst, wakes { event.wakeUp() }
    }

    /// Wakes the loop, for no connection.
    func wake() { event.wakeUp() }

    /// Whether there is one to take; it costs no lock.
    var hasSome: Bool { isWaiting.load(ordering: .acquiring) }

    /// Takes out all that are noted, once for each time that they were.
    func takeAll() -> [Int32] {
        waiting.withLock { slots in
            defer { slots = [] }
            isWaiting.store(false, ordering: .relaxed)
            return slots
        }
    }

    /// Undoes the wake-ups so far: before `takeAll`, where the loop was woken.
    func clear() { event.clearWakeUps() }
}
