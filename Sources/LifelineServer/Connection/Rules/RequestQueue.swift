import Basics
import Framing

/// The requests of one connection that have come whole and have no ending yet, and what of them the handler is given.
///
/// The handler gets requests and messages in the order in which they came, at most `width` of them at a time. What it
/// has not been given can still be taken back: a CANCEL ends such a request without a word to the handler, and CLOSE
/// promises that it was not processed.
struct RequestQueue {
    /// A request without an ending.
    struct Unanswered {
        let id: UInt32
        let bytes: Int
        /// When its first frame came.
        let since: Instant
        /// How many bytes of its response have been sent in parts.
        var sent = 0
    }

    /// What the time says about the handler.
    enum Verdict: Equatable {
        case fine
        /// The request has had its time.
        case late(UInt32)
        /// The handler did not come back when its request had been ended.
        case stuck
    }

    /// A handler whose request has had its time is given so long to come back.
    static let comeBack = Duration.seconds(1)
    /// What a waiting message costs beside its bytes.
    private static let messageCost = 64

    private let width: Int
    private let timeout: Duration?
    private var waiting = Queue<ServerConnection.Event>()
    /// What the messages that wait cost.
    private(set) var waitingMessages = 0
    private var given = 0
    /// The request that the handler works on, and when its time began, or ended where it is late; of a handler that is
    /// given one at a time.
    private var current: (id: UInt32, since: Instant, isLate: Bool)?
    /// Whether the handler is given up: it will not come back.
    private(set) var isStuck = false
    private(set) var unanswered: [Unanswered] = []
    /// The highest request that the handler has been given.
    private(set) var lastID: UInt32 = 0

    init(width: Int, timeout: Duration?) {
        self.width = width
        self.timeout = timeout
    }

    var isEmpty: Bool { unanswered.isEmpty }
    var count: Int { unanswered.count }
    /// The bytes of the requests without an ending, and of the messages that wait.
    @inline(__always) var bytes: Int { unanswered.reduce(waitingMessages) { $0 + $1.bytes } }
    /// Since when the oldest request has been here.
    var oldest: Instant? { unanswered.first?.since }

    // MARK: What the handler is given

    mutating func add(_ id: UInt32, bytes: Int, since: Instant) {
        unanswered.append(Unanswered(id: id, bytes: bytes, since: since))
    }

    /// Gives `event` to the handler now (returned), or keeps it for later.
    mutating func give(_ event: ServerConnection.Event, at now: Instant) -> ServerConnection.Event? {
        guard given < width, waiting.isEmpty else {
            waiting.append(event)
            waitingMessages += RequestQueue.cost(event)
            return nil
        }
        begin(event, at: now)
        return event
    }

    /// What the handler can be given next, now that it has finished something.
    mutating func next(at now: Instant) -> ServerConnection.Event? {
        guard given < width, let event = waiting.first else { return nil }
        waiting.removeFirst()
        waitingMessages -= RequestQueue.cost(event)
        begin(event, at: now)
        return event
    }

    private mutating func begin(_ event: ServerConnection.Event, at now: Instant) {
        given += 1
        guard case .request(let id, _) = event else { return }
        lastID = id
        if width == 1 { current = (id, now, false) }
    }

    private static func cost(_ event: ServerConnection.Event) -> Int {
        if case .message(let message) = event { message.count + messageCost } else { 0 }
    }

    var isGivenAny: Bool { given > 0 }
    /// Whether nothing waits for the handler to finish what it was given before.
    var hasGivenAll: Bool { waiting.isEmpty }

    /// The handler has come back from the last thing that it was given.
    mutating func finished() {
        given -= 1
        current = nil
    }

    // MARK: Endings

    subscript(id: UInt32) -> Unanswered? { unanswered.first { $0.id == id } }

    /// Whether the handler knows of the request `id`: ids rise, and it is given them in their order.
    func isGiven(_ id: UInt32) -> Bool { id <= lastID && self[id] != nil }

    /// The request `id` has its ending; nil where it had one before.
    @discardableResult
    mutating func end(_ id: UInt32) -> Unanswered? {
        guard let index = unanswered.firstIndex(where: { $0.id == id }) else { return nil }
        if id > lastID { withdraw { $0 == id } }
        // As a rule it is alone, and the last is taken out with less.
        return index == unanswered.count - 1 ? unanswered.removeLast() : unanswered.remove(at: index)
    }

    /// Takes requests back that the handler has not been given.
    private mutating func withdraw(_ condition: (UInt32) -> Bool) {
        _ = waiting.remove { if case .request(let id, _) = $0 { condition(id) } else { false } }
    }

    /// So many bytes more of the response `id` have been sent.
    mutating func sent(_ count: Int, of id: UInt32, at now: Instant) {
        guard let index = unanswered.firstIndex(where: { $0.id == id }) else { return }
        unanswered[index].sent += count
        touch(at: now)
    }

    /// The client took bytes: a handler that sends a response in parts may only have waited for that.
    mutating func touch(at now: Instant) {
        if let current, !current.isLate, self[current.id]?.sent ?? 0 > 0 { self.current?.since = now }
    }

    /// No request is answered any more. Those that the handler works on are returned; what else has come for it, the
    /// messages, it is still given.
    mutating func giveUp() -> [UInt32] {
        withdraw { _ in true }
        defer { unanswered = [] }
        return unanswered.lazy.map(\.id).filter { $0 <= lastID }
    }

    // MARK: Time

    @inline(__always) var deadline: Instant? {
        guard let timeout, let current else { return nil }
        return current.since + (current.isLate ? RequestQueue.comeBack : timeout)
    }

    mutating func verdict(at now: Instant) -> Verdict {
        guard let current, let deadline, deadline <= now else { return .fine }
        guard !current.isLate else {
            waiting.removeAll()
            waitingMessages = 0
            isStuck = true
            self.current = nil
            return .stuck
        }
        self.current = (current.id, now, isLate: true)
        return .late(current.id)
    }
}
