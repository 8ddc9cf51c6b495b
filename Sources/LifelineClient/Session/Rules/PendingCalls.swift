import Basics

/// What a caller waits for: an answer, or that a one-way message was taken.
struct Call: Sendable {
    /// Numbers rise in the order in which calls are made.
    typealias ID = UInt64

    enum Kind: Equatable, Sendable {
        case request(mayRunTwice: Bool)
        case message
    }

    let kind: Kind
    let bytes: [UInt8]
    let deadline: Instant?
    /// The id on the connection; nil while the call waits for a connection or for room on it.
    fileprivate(set) var wireID: UInt32?
    /// The last refusal: it is why the call waits again.
    fileprivate(set) var refusal: RequestError.Reason?

    init(_ kind: Kind, _ bytes: [UInt8], deadline: Instant?) {
        self.kind = kind
        self.bytes = bytes
        self.deadline = deadline
    }
}

/// The calls of a session that have not ended, by number, by id on the connection, by deadline, and in the order in
/// which those that wait are to be sent.
struct PendingCalls: Sendable {
    private struct Timeout: Comparable, Sendable {
        let at: Instant
        let call: Call.ID
        static func < (left: Timeout, right: Timeout) -> Bool { left.at < right.at }
    }

    private var calls: [Call.ID: Call] = [:]
    private var onWire: [UInt32: Call.ID] = [:]
    /// Requests and messages that wait; one that is no longer in `calls` counts no more.
    private var requests = Heap<Call.ID>()
    private var messages = Heap<Call.ID>()
    private var timeouts = Heap<Timeout>()

    var isEmpty: Bool { calls.isEmpty }
    /// Whether requests are on the connection that callers wait for.
    var areInFlight: Bool { !onWire.isEmpty }
    /// Whether requests may wait; one that was given up may be taken for one.
    var haveRequests: Bool { requests.first != nil }
    /// Whether messages may wait.
    var haveMessages: Bool { messages.first != nil }
    /// The next deadline, or that of a call that has ended.
    var nextTimeout: Instant? { timeouts.first?.at }

    subscript(id: Call.ID) -> Call? { calls[id] }

    mutating func add(_ id: Call.ID, _ call: Call) {
        calls[id] = call
        if let deadline = call.deadline {
            timeouts.prune(live: calls.count) { calls[$0.call] != nil }
            timeouts.insert(Timeout(at: deadline, call: id))
        }
        wait(id, call.kind)
    }

    private mutating func wait(_ id: Call.ID, _ kind: Call.Kind) {
        if kind == .message {
            messages.prune(live: calls.count) { calls[$0] != nil }
            messages.insert(id)
        } else {
            requests.prune(live: calls.count) { calls[$0] != nil }
            requests.insert(id)
        }
    }

    /// The request that is to be sent next.
    mutating func firstRequest() -> (id: Call.ID, call: Call)? { PendingCalls.first(of: &requests, in: calls) }

    /// The message that is to be sent next.
    mutating func firstMessage() -> (id: Call.ID, call: Call)? { PendingCalls.first(of: &messages, in: calls) }

    private static func first(
        of waiting: inout Heap<Call.ID>, in calls: [Call.ID: Call]
    ) -> (id: Call.ID, call: Call)? {
        while let id = waiting.first {
            if let call = calls[id] { return (id, call) }
            waiting.removeFirst()
        }
        return nil
    }

    /// The first request is on the connection as `wireID`.
    mutating func firstRequestSent(as wireID: UInt32) {
        guard let id = requests.first else { return }
        requests.removeFirst()
        calls[id]?.wireID = wireID
        onWire[wireID] = id
    }

    /// The request `wireID` has its ending; nil where nobody waits for it any more.
    mutating func ended(_ wireID: UInt32) -> Call.ID? { onWire.removeValue(forKey: wireID) }

    /// The connection is gone: the requests that were on it, in their order.
    mutating func takeInFlight() -> [(wireID: UInt32, id: Call.ID)] {
        defer { onWire.removeAll() }
        return onWire.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// A call that was on the connection waits again, in the place that its number gives it.
    mutating func putBack(_ id: Call.ID, because refusal: RequestError.Reason?) {
        guard let call = calls[id] else { return }
        calls[id]?.wireID = nil
        if let refusal { calls[id]?.refusal = refusal }
        wait(id, call.kind)
    }

    /// Nobody waits for the call any more; false where that was so already.
    mutating func remove(_ id: Call.ID) -> Bool {
        guard let call = calls.removeValue(forKey: id) else { return false }
        if let wireID = call.wireID { onWire[wireID] = nil }
        return true
    }

    /// A call of which the deadline has come.
    mutating func nextExpired(at now: Instant) -> Call.ID? {
        while let timeout = timeouts.first, timeout.at <= now {
            timeouts.removeFirst()
            if calls[timeout.call] != nil { return timeout.call }
        }
        return nil
    }

    /// The calls that are not on the connection, in their order.
    var waiting: [(id: Call.ID, call: Call)] {
        calls.filter { $0.value.wireID == nil }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
