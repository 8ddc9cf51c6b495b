/// A first-in, first-out queue in one array.
///
/// An element is released when it leaves. Its place is removed once half of the array is such places, so the cost at both
/// ends does not depend on the length. All of it is inlinable, because unspecialised generic code costs many times more.
public struct Queue<Element: Sendable>: Sendable {
    @usableFromInline var slots: [Element?] = []
    @usableFromInline var head = 0

    /// An empty queue.
    @inlinable public init() {}

    /// Whether it has no element.
    @inlinable public var isEmpty: Bool { head == slots.count }
    /// The number of elements.
    @inlinable public var count: Int { slots.count - head }
    /// The element that leaves next; nil in an empty queue.
    @inlinable public var first: Element? { isEmpty ? nil : slots[head] }

    /// Adds `element` at the end.
    @inlinable public mutating func append(_ element: Element) { slots.append(element) }

    /// Replaces the first element by `element`; there must be one.
    @inlinable public mutating func replaceFirst(with element: Element) { slots[head] = element }

    /// Replaces the first element for which `change` returns another. Returns false where there is none.
    @inlinable public mutating func replaceFirst(_ change: (Element) -> Element?) -> Bool {
        for index in head..<slots.count {
            guard let element = slots[index], let changed = change(element) else { continue }
            slots[index] = changed
            return true
        }
        return false
    }

    /// Removes the first element; there must be one.
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

    /// Removes all elements.
    @inlinable public mutating func removeAll() {
        slots = []
        head = 0
    }

    /// Whether `condition` holds for an element.
    @inlinable public func contains(where condition: (Element) -> Bool) -> Bool {
        slots[head...].contains { $0.map(condition) ?? false }
    }

    /// Removes the elements for which `condition` holds, and returns them.
    @inlinable public mutating func remove(where condition: (Element) -> Bool) -> [Element] {
        guard !isEmpty else { return [] }
        let elements = slots[head...].compactMap { $0 }
        slots = elements.filter { !condition($0) }
        head = 0
        return elements.filter(condition)
    }
}
