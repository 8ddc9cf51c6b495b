/// First in, first out, in one array. What leaves the front is released at once; its place is cleared away when half
/// of the array is such places, so that both ends cost the same however long the queue is. It is compiled where it is
/// used, for the type that it holds: generic code that is called through the runtime costs many times as much.
public struct Queue<Element: Sendable>: Sendable {
    @usableFromInline var slots: [Element?] = []
    @usableFromInline var head = 0

    /// An empty queue.
    @inlinable public init() {}

    /// Whether nothing waits.
    @inlinable public var isEmpty: Bool { head == slots.count }
    /// How many elements wait.
    @inlinable public var count: Int { slots.count - head }
    /// What leaves next.
    @inlinable public var first: Element? { isEmpty ? nil : slots[head] }

    /// Puts `element` behind all others.
    @inlinable public mutating func append(_ element: Element) { slots.append(element) }

    /// Puts `element` in the place of the first.
    @inlinable public mutating func replaceFirst(with element: Element) { slots[head] = element }

    /// Puts what `change` makes of it in the place of the first element for which it makes something; false for none.
    @inlinable public mutating func replaceFirst(_ change: (Element) -> Element?) -> Bool {
        for index in head..<slots.count {
            guard let element = slots[index], let changed = change(element) else { continue }
            slots[index] = changed
            return true
        }
        return false
    }

    /// Lets go of the first.
    @inlinable public mutating func removeFirst() {
        // As a rule it is alone.
        if slots.count == 1 {
            slots.removeLast()
            return
        }
        slots[head] = nil
        head += 1
        if head == slots.count {
            slots.removeAll(keepingCapacity: slots.count <= 64)
            head = 0
        } else if head > 64, head > slots.count / 2 {
            slots.removeFirst(head)
            head = 0
        }
    }

    /// Lets go of all.
    @inlinable public mutating func removeAll() {
        slots = []
        head = 0
    }

    /// Whether `condition` holds for one of them.
    @inlinable public func contains(where condition: (Element) -> Bool) -> Bool {
        slots[head...].contains { $0.map(condition) ?? false }
    }

    /// Takes out what `condition` names, and returns it.
    @inlinable public mutating func remove(where condition: (Element) -> Bool) -> [Element] {
        guard !isEmpty else { return [] }
        let elements = slots[head...].compactMap { $0 }
        slots = elements.filter { !condition($0) }
        head = 0
        return elements.filter(condition)
    }
}
