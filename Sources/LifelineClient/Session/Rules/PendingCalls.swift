import Basics

/// A request or a one-way message whose caller waits.
struct Call: Sendable {
    /// The number of a call. Later calls have higher numbers.
    typealias ID = UInt64

    enum Kind: Equatable, Sendable {
        case request(mayRunTwice: Bool)
        case message
    }

    let kind: Kind
    let bytes: [UInt8]
    fileprivate(set) var deadline: Instant?
    /// The time from the beginning to the deadline, where that begins anew with each attempt to find a server.
    let timeout: Duration?
    /// The number that the caller knows it by, for the progress of its transfer; nil where it has none.
    let number: Int?
    /// The id on the connection; nil while the call waits for a connection or for room on it.
    fileprivate(set) var wireID: UInt32?
    /// The last refusal by the server, where the call waits again after one.
    fileprivate(set) var refusal: RequestError.Reason?
    /// Whether a server may have processed it on a connection that is lost: it waits again because it may run twice.
    fileprivate(set) var mayHaveRun = false

    init(_ kind: Kind, _ bytes: [UInt8], deadline: Instant?, timeout: Duration? = nil, number: Int? = nil) {
        self.kind = kind
        self.bytes = bytes
        self.deadline = deadline
        self.timeout = timeout
        self.number = number
    }
}

/// The calls of a session that have not ended. It finds them by number, by id on the connection, and by deadline, and
/// queues those that wait in the order of their numbers.
struct PendingCalls: Sendable {
    private struct Timeout: Comparable, Sendable {
        let at: Instant
        let call: Call.ID
        static func < (left: Timeout, right: Timeout) -> Bool { left.at < right.at }
    }

    private var calls: [Call.ID: Call] = [:]
    private var onWire: [UInt32: Call.ID] = [:]
    /// The queues of waiting requests and messages. An entry without a call in `calls` is stale.
    private var requests = Heap<Call.ID>()
    private var messages = Heap<Call.ID>()
    private var timeouts = Heap<Timeout>()

    var isEmpty: Bool { calls.isEmpty }
    /// Whether requests are in flight.
    var areInFlight: Bool { !onWire.isEmpty }
    /// Whether requests may wait; a stale entry counts too.
    var haveRequests: Bool { requests.first != nil }
    /// Whether messages may wait; a stale entry counts too.
    var haveMessages: Bool { messages.first != nil }
    /// The next deadline; it may be that of a call that has ended.
    var nextTimeout: Instant? { timeouts.first?.at }

    subscript(id: Call.ID) -> Call? { calls[id] }

    mutating func add(_ id: Call.ID, _ call: Call) {
        calls[id] = call
        if let deadline = call.deadline {
            timeouts.prune(live: calls.count) { calls[$0.call] != nil }
            timeouts.insert(Timeout(at: deadline, call: id))
        }
        enqueue(id, call.kind)
    }

    /// Moves the deadlines of calls that have a timeout: it counts from `now`.
    mutating func restartTimeouts(at now: Instant) {
        for (id, call) in calls {
            guard let timeout = call.timeout else { continue }
            calls[id]?.deadline = now + timeout
            timeouts.insert(Timeout(at: now + timeout, call: id))
        }
    }

    private mutating func enqueue(_ id: Call.ID, _ kind: Call.Kind) {
        if kind == .message {
            messages.prune(live: calls.count) { calls[$0] != nil }
            messages.insert(id)
        } else {
            requests.prune(live: calls.count) { calls[$0] != nil }
            requests.insert(id)
        }
    }

    /// The next request to send.
    mutating func firstRequest() -> (id: Call.ID, call: Call)? { PendingCalls.first(of: &requests, in: calls) }

    /// The next message to send.
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

    /// Notes that the first request was sent with the id `wireID`.
    mutating func firstRequestSent(as wireID: UInt32) {
        guard let id = requests.first else { return }
        requests.removeFirst()
        calls[id]?.wireID = wireID
        onWire[wireID] = id
    }

    /// The number of the request `wireID`, as its caller knows it.
    func number(of wireID: UInt32?) -> Int? {
        guard let wireID, let id = onWire[wireID] else { return nil }
        return calls[id]?.number
    }

    /// Notes that the request `wireID` has ended. Returns its call; nil where no caller waits.
    mutating func ended(_ wireID: UInt32) -> Call.ID? { onWire.removeValue(forKey: wireID) }

    /// Removes the requests in flight from the connection, which is lost, and returns them in their order.
    mutating func takeInFlight() -> [(wireID: UInt32, id: Call.ID)] {
        defer { onWire.removeAll() }
        return onWire.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Queues a call again that was in flight, in the place of its number.
    mutating func requeue(_ id: Call.ID, because refusal: RequestError.Reason?, mayHaveRun: Bool = false) {
        guard let call = calls[id] else { return }
        calls[id]?.wireID = nil
        if mayHaveRun { calls[id]?.mayHaveRun = true }
        if let refusal { calls[id]?.refusal = refusal }
        enqueue(id, call.kind)
    }

    /// Removes a call; false where it had ended before.
    mutating func remove(_ id: Call.ID) -> Bool {
        guard let call = calls.removeValue(forKey: id) else { return false }
        if let wireID = call.wireID { onWire[wireID] = nil }
        return true
    }

    /// A call whose deadline has passed.
    mutating func nextExpired(at now: Instant) -> Call.ID? {
        while let timeout = timeouts.first, timeout.at <= now {
            timeouts.removeFirst()
            // Where the deadline was moved, a later entry is the one that counts.
            if let deadline = calls[timeout.call]?.deadline, deadline <= now { return timeout.call }
        }
        return nil
    }

    /// The calls that are not in flight, in their order.
    var waiting: [(id: Call.ID, call: Call)] {
        calls.filter { $0.value.wireID == nil }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
