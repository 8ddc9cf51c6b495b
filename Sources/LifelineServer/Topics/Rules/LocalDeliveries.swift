import Basics

/// What the loop does for one connection of its process, because the router says so.
enum LocalDelivery: Sendable {
    case publication(Publication)
    case gap(MessageGap)
    /// Asks the client; the outcome goes to the router under this number.
    case ask(UInt64, ArraySlice<UInt8>, timeout: Duration)
    case giveUp(UInt64)
    case end(String)
}

/// What has come for several connections of the process, and is delivered to some of them at a time: the others of the process
/// wait no longer than for a slice.
struct LocalDeliveries {
    /// One delivery, for many.
    private struct SlicedDelivery: Sendable {
        let delivery: LocalDelivery
        let connections: Set<UInt64>
        let except: UInt64
        var next: Set<UInt64>.Index
    }

    /// Up to this many wait; then no more is read of the router, whose own queue is bounded too.
    private static let most = 64

    private var waiting = Queue<SlicedDelivery>()

    var isEmpty: Bool { waiting.isEmpty }
    /// Whether more may be read.
    var hasRoom: Bool { waiting.count < LocalDeliveries.most }

    /// Adds a delivery to these connections, but for `except`.
    mutating func add(_ delivery: LocalDelivery, to connections: Set<UInt64>, except: UInt64 = 0) {
        guard !connections.isEmpty else { return }
        waiting.append(
            SlicedDelivery(
                delivery: delivery, connections: connections, except: except, next: connections.startIndex))
    }

    /// Takes out the next deliveries, up to `most`.
    mutating func takeSlice(_ most: Int) -> [(connection: UInt64, LocalDelivery)] {
        var slice: [(connection: UInt64, LocalDelivery)] = []
        while slice.count < most, var first = waiting.first {
            while slice.count < most, first.next != first.connections.endIndex {
                let connection = first.connections[first.next]
                first.next = first.connections.index(after: first.next)
                if connection != first.except { slice.append((connection, first.delivery)) }
            }
            if first.next == first.connections.endIndex {
                waiting.removeFirst()
            } else {
                waiting.replaceFirst(with: first)
            }
        }
        return slice
    }
}
