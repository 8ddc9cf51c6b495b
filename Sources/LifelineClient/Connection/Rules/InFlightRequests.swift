import Framing

/// The requests on one connection that have no ending yet, and what can be promised of them when the connection ends.
struct InFlightRequests: Sendable {
    /// What can be promised of a request without an ending (Protocol.md, section 7.7).
    enum Fate: Equatable, Sendable {
        case notSent, refused, unknown
    }

    /// The length of each request; cancelled ones count until their ending arrives.
    private var lengths: [UInt32: Int] = [:]
    private(set) var bytes = 0
    /// The id of the last request.
    private(set) var lastID: UInt32 = 0
    private var fates: [UInt32: Fate] = [:]

    var count: Int { lengths.count }
    var isEmpty: Bool { lengths.isEmpty }

    func contains(_ id: UInt32) -> Bool { lengths[id] != nil }

    /// Adds a request of `length` bytes, and returns its id.
    mutating func add(_ length: Int) -> UInt32 {
        lastID += 1
        lengths[lastID] = length
        bytes += length
        return lastID
    }

    mutating func remove(_ id: UInt32) {
        if let length = lengths.removeValue(forKey: id) { bytes -= length }
    }

    /// Decides the fates at the end of the connection, before the outbox drops what is unsent.
    ///
    /// `closeLastID` is last_id of the server's CLOSE; nil where the server sent none.
    mutating func decideFates(_ outbox: borrowing Outbox, closeLastID: UInt32?) {
        for id in lengths.keys {
            let isRefused = closeLastID.map { id > $0 } ?? false
            fates[id] = outbox.isUntouched(id) ? .notSent : isRefused ? .refused : .unknown
        }
    }

    /// The fate of the request `id`, which had no ending when the connection ended.
    func fate(of id: UInt32) -> Fate { fates[id] ?? .unknown }
}
