/// First in, first out, in one array. What leaves the front is released at once; its place is cleared away when half
/// of the array is such places, so that both ends cost the same however long the queue is.
struct Queue<Element: Sendable>: Sendable {
    private var slots: [Element?] = []
    private var head = 0

    var isEmpty: Bool { head == slots.count }
    var count: Int { slots.count - head }
    var first: Element? { isEmpty ? nil : slots[head] }

    mutating func append(_ element: Element) { slots.append(element) }

    mutating func replaceFirst(with element: Element) { slots[head] = element }

    mutating func removeFirst() {
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

    mutating func removeAll() {
        slots = []
        head = 0
    }

    func contains(where condition: (Element) -> Bool) -> Bool {
        slots[head...].contains { $0.map(condition) ?? false }
    }

    /// Takes out what `condition` names, and returns it.
    mutating func remove(where condition: (Element) -> Bool) -> [Element] {
        let elements = slots[head...].compactMap { $0 }
        slots = elements.filter { !condition($0) }
        head = 0
        return elements.filter(condition)
    }
}
