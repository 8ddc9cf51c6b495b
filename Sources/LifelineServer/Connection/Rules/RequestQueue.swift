import Basics
import Framing

/// The requests of one connection that have no ending yet, and the events that wait for the handler.
///
/// The handler gets requests and messages one at a time, in the order in which they came. A request that still waits
/// can be taken back: CANCEL ends it without a word to the handler, and CLOSE promises that it was not processed.
struct RequestQueue {
    /// A request that came whole and has no ending.
    struct Unanswered {
        /// When its first frame came.
        let since: Instant
        let id: UInt32
        // No message is longer than 32 bits say, and thousands of requests may be unanswered.
        private let length: UInt32
        private var sentLength: UInt32 = 0

        init(id: UInt32, bytes: Int, since: Instant) {
            (self.id, self.since) = (id, since)
            length = UInt32(bytes)
        }

        var bytes: Int { Int(length) }
        /// How many bytes of its response were sent in parts.
        var sent: Int {
            get { Int(sentLength) }
            set { sentLength = UInt32(newValue) }
        }
    }

    /// What the time says about the handler.
    enum Verdict: Equatable {
        case fine
        /// The request `id` has had its time.
        case late(UInt32)
        /// The handler did not return in its grace after its request had been ended.
        case stuck
    }

    /// The request that the handler works on.
    private struct DispatchedRequest {
        let id: UInt32
        let dispatchedAt: Instant
        /// When its time began, or ended where it is late.
        var since: Instant
        var isLate = false
    }

    /// How long a handler may take to return once its request has had its time.
    static let handlerGrace = Duration.seconds(1)

    /// What a request takes beside its bytes: where it waits, and here.
    static let requestCost = 48

    private let timeout: Duration?
    private var waiting = WaitingEvents()
    /// The cost of the messages that wait, in bytes.
    private(set) var waitingMessages = 0
    /// Whether the handler has an event and has not returned from it.
    private(set) var isHandlerBusy = false
    private var current: DispatchedRequest?
    /// Whether the handler overran its grace: nothing is expected of it any more.
    private(set) var isStuck = false
    private(set) var unanswered: [Unanswered] = []
    /// Their bytes.
    private var unansweredBytes = 0
    /// The latest instant that the loop knows.
    var now = Instant(sinceStart: .zero)
    /// How long the handler took for the requests that it was given.
    var handlerTimes = HandlerTimes()
    /// The highest request that was processed: dispatched to the handler, as a rule.
    private(set) var lastID: UInt32 = 0

    /// An empty queue; `timeout` is how long the handler may take for a request, nil for any time.
    init(timeout: Duration?) { self.timeout = timeout }

    var isEmpty: Bool { unanswered.isEmpty }
    var count: Int { unanswered.count }
    /// The bytes of the unanswered requests.
    @inline(__always) var bytes: Int { unansweredBytes }
    /// What they and the messages that wait take of memory, in bytes.
    @inline(__always) var held: Int { unansweredBytes + waitingMessages + RequestQueue.requestCost * unanswered.count }
    /// When the first frame of the oldest unanswered request came.
    var oldest: Instant? { unanswered.first?.since }

    // MARK: Dispatch

    /// Adds a request that came whole.
    mutating func add(_ id: UInt32, bytes: Int, since: Instant) {
        unanswered.append(Unanswered(id: id, bytes: bytes, since: since))
        unansweredBytes += bytes
    }

    /// Returns `event` if the handler can have it now; queues it otherwise.
    mutating func dispatch(_ event: ServerConnection.Event, at now: Instant) -> ServerConnection.Event? {
        guard !isHandlerBusy, waiting.isEmpty else {
            waiting.append(event)
            count(event, 1)
            return nil
        }
        dispatched(event, at: now)
        return event
    }

    /// The next event for the handler, once it has returned from the last one.
    mutating func next(at now: Instant) -> ServerConnection.Event? {
        guard !isHandlerBusy, !waiting.isEmpty, let event = waiting.removeFirst() else { return nil }
        count(event, -1)
        dispatched(event, at: now)
        return event
    }

    /// The handler is given something that does not come from the client.
    mutating func dispatchNews() { isHandlerBusy = true }

    private mutating func dispatched(_ event: ServerConnection.Event, at now: Instant) {
        isHandlerBusy = true
        guard case .request(let id, _) = event else { return }
        lastID = id
        current = DispatchedRequest(id: id, dispatchedAt: self.now, since: now)
    }

    /// Counts an event that begins to wait, or with -1 one that does not wait any more.
    private mutating func count(_ event: ServerConnection.Event, _ sign: Int) {
        guard case .message(let message) = event else { return }
        waitingMessages += sign * Credit.cost(of: message.count)
    }

    /// Whether no event waits for the handler.
    var hasDispatchedAll: Bool { waiting.isEmpty }

    /// The handler has returned from the last event.
    mutating func handlerReturned() {
        isHandlerBusy = false
        current = nil
    }

    /// Counts the request `id` as processed, though the handler may not have had it: it ends a SHORT connection.
    mutating func countProcessed(_ id: UInt32) { lastID = max(lastID, id) }

    // MARK: Endings

    subscript(id: UInt32) -> Unanswered? { unanswered.first { $0.id == id } }

    /// Whether the unanswered request `id` was dispatched: ids rise, and requests are dispatched in their order.
    func wasDispatched(_ id: UInt32) -> Bool { id <= lastID && self[id] != nil }

    /// Takes the request `id` out, which has its ending now; nil where it had one before.
    @discardableResult
    mutating func end(_ id: UInt32) -> Unanswered? {
        guard let index = unanswered.firstIndex(where: { $0.id == id }) else { return nil }
        if id > lastID { waiting.remove { $0 == id } }
        unansweredBytes -= unanswered[index].bytes
        if let current, current.id == id { handlerTimes.add(now - current.dispatchedAt) }
        // As a rule it is alone, and the last is taken out with less.
        return index == unanswered.count - 1 ? unanswered.removeLast() : unanswered.remove(at: index)
    }

    /// `count` more bytes of the response `id` were sent.
    mutating func sent(_ count: Int, of id: UInt32, at now: Instant) {
        guard let index = unanswered.firstIndex(where: { $0.id == id }) else { return }
        unanswered[index].sent += count
        clientRead(at: now)
    }

    /// The client took bytes. A handler that sends a response in parts may have waited for that alone, so its time
    /// begins anew.
    mutating func clientRead(at now: Instant) {
        if let current, !current.isLate, self[current.id]?.sent ?? 0 > 0 { self.current?.since = now }
    }

    /// Ends all requests and returns those that the handler works on. Messages stay: the handler still gets them.
    mutating func cancelAll() -> [UInt32] {
        waiting.remove { $0 != 0 }
        defer { (unanswered, unansweredBytes) = ([], 0) }
        return unanswered.lazy.map(\.id).filter { $0 <= lastID }
    }

    /// Throws away the messages that wait, and returns how many there were.
    mutating func dropMessages() -> Int {
        waitingMessages = 0
        return waiting.remove { $0 == 0 }
    }

    // MARK: Time

    @inline(__always) var deadline: Instant? {
        guard let timeout, let current else { return nil }
        return current.since + (current.isLate ? RequestQueue.handlerGrace : timeout)
    }

    mutating func verdict(at now: Instant) -> Verdict {
        guard let current, let deadline, deadline <= now else { return .fine }
        guard !current.isLate else {
            waiting = WaitingEvents()
            waitingMessages = 0
            isStuck = true
            self.current = nil
            return .stuck
        }
        self.current?.since = now
        self.current?.isLate = true
        return .late(current.id)
    }
}
