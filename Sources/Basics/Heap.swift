/// A binary heap: the least element comes first.
///
/// An element that has lost its meaning stays until it comes first or `prune` removes it, so giving one up costs nothing.
public struct Heap<Element: Comparable & Sendable>: Sendable {
    @usableFromInline var elements: [Element] = []

    /// An empty heap.
    @inlinable public init() {}

    /// The least element; nil in an empty heap.
    @inlinable public var first: Element? { elements.first }
    /// The number of elements, with those that have lost their meaning.
    @inlinable public var count: Int { elements.count }

    /// Adds `element`.
    @inlinable public mutating func insert(_ element: Element) {
        elements.append(element)
        var index = elements.count - 1
        while index > 0, elements[index] < elements[(index - 1) / 2] {
            elements.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// Removes the least element; there must be one.
    @inlinable public mutating func removeFirst() {
        elements.swapAt(0, elements.count - 1)
        elements.removeLast()
        sink(from: 0)
    }

    /// Removes the elements that are not live, once they outnumber the `live` ones: a constant cost for each element.
    @inlinable public mutating func prune(live: Int, where isLive: (Element) -> Bool) {
        guard elements.count > 2 * live + 64 else { return }
        elements.removeAll { !isLive($0) }
        for index in (0..<(elements.count / 2)).reversed() { sink(from: index) }
    }

    @inlinable mutating func sink(from start: Int) {
        var index = start
        while true {
            var least = index
            for child in (2 * index + 1)...(2 * index + 2)
            where child < elements.count && elements[child] < elements[least] {
                least = child
            }
            guard least != index else { return }
            elements.swapAt(index, least)
            index = least
        }
    }
}
