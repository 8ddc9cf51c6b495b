import Synchronization

/// What the program sees of one connection: its state, its events, and whether it is open yet.
///
/// The I/O thread writes it, and any thread reads it.
final class ConnectionStatus: Sendable {
    private struct State {
        var state = ConnectionState.connecting
        var messageCounts = MessageCounts()
        var waiters: [CheckedContinuation<ConnectionError?, Never>] = []
    }

    /// The number of unread events that are kept, the newest ones.
    private static let eventsKept = 256

    private let stream: AsyncStream<ConnectionEvent>
    private let continuation: AsyncStream<ConnectionEvent>.Continuation
    /// Gets the events on the I/O thread in place of the stream, from the package's own commands; nil elsewhere.
    private let tell: (@Sendable (ConnectionEvent) -> Void)?
    private let watched: Atomic<Bool>
    private let published = Atomic(0)
    private let shared = Mutex(State())

    /// Passes the events to the program's own stream where it has one, else to `events`.
    init(_ programs: AsyncStream<ConnectionEvent>.Continuation? = nil) {
        let own = AsyncStream.makeStream(
            of: ConnectionEvent.self, bufferingPolicy: .bufferingNewest(ConnectionStatus.eventsKept))
        stream = own.stream
        continuation = programs ?? own.continuation
        tell = nil
        watched = Atomic(programs != nil)
    }

    /// Passes the events to `tell`, which must be short.
    init(watched: Bool, tell: @escaping @Sendable (ConnectionEvent) -> Void) {
        (stream, continuation) = ConnectionStatus.none
        self.tell = tell
        self.watched = Atomic(watched)
    }

    /// A stream has a price, and of many short connections none needs one.
    private static let none = AsyncStream.makeStream(of: ConnectionEvent.self)

    /// The events. Whoever asks for them is told the progress of long messages too.
    var events: AsyncStream<ConnectionEvent> {
        watched.store(true, ordering: .relaxed)
        return stream
    }

    /// The number of events that a reader has had or will have, without those that were dropped.
    var publishedEvents: Int { published.load(ordering: .relaxed) }

    /// Whether the program has asked for events.
    var isWatched: Bool { watched.load(ordering: .relaxed) }

    var state: ConnectionState { shared.withLock { $0.state } }

    var messageCounts: MessageCounts { shared.withLock { $0.messageCounts } }

    /// The error that closed the connection for good, where it is closed.
    var end: ConnectionError? {
        if case .closed(let error) = state { error } else { nil }
    }

    /// Waits until the first connection is open. Returns the error where none will be.
    func waitUntilOpen() async -> ConnectionError? {
        await withCheckedContinuation { continuation in
            let outcome: ConnectionError?? = shared.withLock { shared in
                switch shared.state {
                case .open, .goingAway: return .some(nil)
                case .closed(let error): return .some(error)
                case .connecting, .waiting:
                    shared.waiters.append(continuation)
                    return nil
                }
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }

    func publish(_ event: ConnectionEvent) {
        if let tell { return tell(event) }
        published.add(1, ordering: .relaxed)
        if case .dropped = continuation.yield(event) { published.subtract(1, ordering: .relaxed) }
        if case .closed = event { continuation.finish() }
    }

    func publish(_ counts: MessageCounts) { shared.withLock { $0.messageCounts = counts } }

    func publish(_ state: ConnectionState) {
        let waiters = shared.withLock { shared in
            shared.state = state
            switch state {
            case .open, .goingAway, .closed: return shared.waiters.take()
            case .connecting, .waiting: return []
            }
        }
        for waiter in waiters {
            if case .closed(let error) = state {
                waiter.resume(returning: error)
            } else {
                waiter.resume(returning: nil)
            }
        }
    }
}

extension Array {
    /// Empties the array and returns what was in it.
    mutating func take() -> [Element] {
        defer { self = [] }
        return self
    }
}
