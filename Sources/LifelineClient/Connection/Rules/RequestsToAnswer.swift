import Basics
import Framing

/// The requests of the server on one connection that have no ending yet (Protocol.md, section 3.7).
///
/// A request counts as in flight from its first frame until its ending is with the kernel, as 3.6-7 says of the server.
struct RequestsToAnswer: Sendable {
    /// A whole request that waits for a free place.
    struct Whole: Sendable {
        let id: UInt32
        let bytes: [UInt8]
    }

    /// What becomes of a part of a request.
    enum Verdict: Equatable, Sendable {
        case taken
        /// The part takes its request over a limit: FAILURE(REFUSED) is due.
        case refused
        /// The request has its ending.
        case discarded
    }

    private let terms: AnswerTerms
    /// The lengths of the requests without an ending.
    private var lengths: [UInt32: Int] = [:]
    /// The bytes of those requests, and of the endings that are not with the kernel.
    private var bytes = 0
    /// What each ending that is not with the kernel counts, in their order.
    private var endings = Queue<Int>()
    private var waiting = Queue<Whole>()
    /// The highest id that the program was given; last_id of this side's CLOSE.
    private(set) var lastID: UInt32 = 0

    init(_ terms: AnswerTerms) { self.terms = terms }

    /// Whether every request has its ending.
    var isEmpty: Bool { lengths.isEmpty }

    func contains(_ id: UInt32) -> Bool { lengths[id] != nil }

    // MARK: Requests

    /// Counts a part of a request. `unsent` is the number of endings that are not with the kernel.
    mutating func add(_ part: MessagePart, unsent: Int) -> Verdict {
        while endings.count > unsent, let first = endings.first {
            bytes -= first
            endings.removeFirst()
        }
        if part.isFirst {
            guard lengths.count + endings.count < terms.maxInFlight else { return .refused }
            lengths[part.id] = 0
        }
        guard let length = lengths[part.id] else { return .discarded }
        guard bytes + part.range.count <= terms.maxQueued else {
            remove(part.id)
            return .refused
        }
        lengths[part.id] = length + part.range.count
        bytes += part.range.count
        return .taken
    }

    /// Adds the request that has come whole.
    mutating func add(_ request: Whole) { waiting.append(request) }

    /// The next request for the program.
    mutating func next() -> Whole? {
        guard let request = waiting.first else { return nil }
        waiting.removeFirst()
        lastID = request.id
        return request
    }

    // MARK: Endings

    /// Counts the ending of the request `id`, which has `length` bytes. Returns false where it has had one.
    mutating func end(_ id: UInt32, length: Int = 0) -> Bool {
        guard let request = lengths[id] else { return false }
        remove(id)
        let counted = max(request, length)
        bytes += counted
        endings.append(counted)
        return true
    }

    private mutating func remove(_ id: UInt32) {
        if let length = lengths.removeValue(forKey: id) { bytes -= length }
        _ = waiting.remove { $0.id == id }
    }
}
