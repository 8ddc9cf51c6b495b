/// The numbers of connections: most often one. A set of one connection has no memory but its own 24 bytes.
struct ConnectionSet: Sendable {
    private var only: UInt64?
    private var several: Set<UInt64> = []

    var count: Int { only == nil ? several.count : 1 }
    var isEmpty: Bool { count == 0 }

    func contains(_ connection: UInt64) -> Bool { only == connection || several.contains(connection) }

    /// Returns false where it was there.
    mutating func insert(_ connection: UInt64) -> Bool {
        guard let only else {
            if several.isEmpty {
                self.only = connection
                return true
            }
            return several.insert(connection).inserted
        }
        guard only != connection else { return false }
        several = [only, connection]
        self.only = nil
        return true
    }

    /// Returns false where it was not there.
    mutating func remove(_ connection: UInt64) -> Bool {
        guard only != connection else {
            only = nil
            return true
        }
        return several.remove(connection) != nil
    }

    /// The connections, in no order.
    var all: [UInt64] { only.map { [$0] } ?? Array(several) }
}

/// Connections with something in common, a topic or a name, by the ties of their processes.
///
/// A tie costs 28 bytes, beyond the eighth about 45. Each further connection on it costs 11 to 21 bytes (`Set`). Adding
/// and removing take a time that does not depend on how many there are.
struct ConnectionGroup: Sendable {
    /// Up to this many ties are looked through.
    private static let fewTies = 8

    /// The ties with a connection of the group, in no order.
    private(set) var ties: [UInt32] = []
    /// Their connections, in the same order.
    private var members: [ConnectionSet] = []
    /// Where the ties stand, when they are more than a few.
    private var places: [UInt32: UInt32] = [:]
    /// How many connections there are.
    private(set) var count = 0

    private func place(of tie: UInt32) -> Int? {
        if ties.count > ConnectionGroup.fewTies { return places[tie].map(Int.init) }
        return ties.firstIndex(of: tie)
    }

    /// The connections on a tie; nil where there are none.
    subscript(tie: UInt32) -> ConnectionSet? { place(of: tie).map { members[$0] } }

    /// Whether a connection on a tie is in the group.
    func contains(_ connection: UInt64, on tie: UInt32) -> Bool {
        place(of: tie).map { members[$0].contains(connection) } ?? false
    }

    /// Adds a connection on a tie. Returns false where it was there.
    mutating func insert(_ connection: UInt64, on tie: UInt32) -> Bool {
        let place: Int
        if let known = self.place(of: tie) {
            place = known
        } else {
            place = ties.count
            ties.append(tie)
            members.append(ConnectionSet())
            if ties.count == ConnectionGroup.fewTies + 1 {
                for (index, tie) in ties.enumerated() { places[tie] = UInt32(index) }
            } else if ties.count > ConnectionGroup.fewTies {
                places[tie] = UInt32(place)
            }
        }
        guard members[place].insert(connection) else { return false }
        count += 1
        return true
    }

    /// Removes a connection on a tie. Returns false where it was not there.
    mutating func remove(_ connection: UInt64, on tie: UInt32) -> Bool {
        guard let place = place(of: tie), members[place].remove(connection) else { return false }
        count -= 1
        guard members[place].isEmpty else { return true }
        // The last one takes its place.
        let last = ties.count - 1
        ties.swapAt(place, last)
        members.swapAt(place, last)
        if ties.count > ConnectionGroup.fewTies {
            places[ties[place]] = UInt32(place)
            places[tie] = nil
        }
        ties.removeLast()
        members.removeLast()
        if ties.count == ConnectionGroup.fewTies { places = [:] }
        return true
    }

    /// All connections, in no order.
    var all: [UInt64] { members.flatMap(\.all) }
}

/// Connections in the order in which they came, for the question which came last.
///
/// One that has left stays in the list until the list is pruned, so that leaving costs nothing.
struct ArrivalOrder: Sendable {
    private struct Arrival {
        let connection: UInt64
        let serial: UInt64
    }

    private var arrivals: [Arrival] = []

    mutating func append(_ connection: UInt64, serial: UInt64) {
        arrivals.append(Arrival(connection: connection, serial: serial))
    }

    /// Makes room where most have left. `present` are still there; `connections` has the others too.
    mutating func prune(present: Int, _ connections: [UInt64: RoutedConnection]) {
        guard arrivals.count > 2 * present + 16 else { return }
        arrivals.removeAll { connections[$0.connection]?.serial != $0.serial }
    }

    /// The one that came last of those that are still there.
    mutating func last(_ connections: [UInt64: RoutedConnection]) -> UInt64? {
        while let arrival = arrivals.last {
            if connections[arrival.connection]?.serial == arrival.serial { return arrival.connection }
            arrivals.removeLast()
        }
        return nil
    }
}
