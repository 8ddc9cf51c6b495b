import Framing
import Synchronization

/// The one-way messages of the server, in the order of their arrival (Protocol.md, section 4.7).
///
/// Unread messages are queued, up to `ClientOptions.unreadMessages` bytes. Beyond that the server waits or, where the program
/// has not begun to read or the server knows no credit (section 3.8), the oldest ones are dropped and counted in `dropped`.
/// Each message goes to one reader. The sequence ends after the last message, when the connection is closed for good.
public final class InboundMessages: AsyncSequence, Sendable {
    /// The bytes of a message.
    public typealias Element = [UInt8]

    private struct State {
        var waiting: [Unread?] = []
        var head = 0
        var bytes = 0
        /// The number of the connection that brings messages now, and the cost of what has come on it.
        var connection = 0
        var cost = 0
        var inbox = TakenMessages()
        /// The cost of what the program has taken, since that was half of what may wait.
        var taken = 0
        var isWaking = false
        /// Whether the I/O thread waits for the program to take all, so that it has to learn of each.
        var isWatched = false
        var dropped = 0
        var isFinished = false
        var readers: [(id: UInt64, continuation: CheckedContinuation<[UInt8]?, Never>)] = []
        var nextReader: UInt64 = 0

        mutating func takeFirst(dropping: Bool = false) -> [UInt8]? {
            guard head < waiting.count, let first = waiting[head].take() else { return nil }
            bytes -= first.message.count
            head += 1
            if head > 64, head > waiting.count / 2 {
                waiting.removeFirst(head)
                head = 0
            }
            let cost = Credit.cost(of: first.message.count)
            if first.connection == connection { gone(cost, dropping: dropping) } else { inbox.older -= cost }
            if !dropping { taken += cost }
            return first.message
        }

        /// Counts a message of this connection that the program has taken, or that is dropped.
        mutating func gone(_ cost: Int, dropping: Bool = false) {
            inbox.gone += 1
            inbox.freed += cost
            if !dropping { inbox.handled += 1 }
        }

        /// Whether the I/O thread has to learn of what the program has taken: once for each half of what may wait, unless it
        /// watches.
        mutating func wakes(at half: Int) -> Bool {
            guard !isWaking, isWatched || taken >= half else { return false }
            isWaking = true
            return true
        }
    }

    /// A message, and the number of the connection that has brought it.
    private struct Unread {
        let message: [UInt8]
        let connection: Int
    }

    private let most: Int
    private let half: Int
    private let wake: @Sendable () -> Void
    private let state = Mutex(State())
    /// Whether `collect` has something to say.
    private let changed = Atomic(false)

    /// Creates a queue for up to `most` bytes. It calls `wake` when the program has taken half of them.
    init(most: Int, wake: @escaping @Sendable () -> Void = {}) {
        self.most = most
        half = Swift.max(1, most / 2)
        self.wake = wake
    }

    /// Whether something has changed since `collect`.
    var hasNews: Bool { changed.load(ordering: .acquiring) }

    /// Wakes the I/O thread from now on whenever the program takes a message: the connection ends once it has taken all.
    func watch() { state.withLock { $0.isWatched = true } }

    /// What the program has taken of the messages of this connection.
    func collect() -> TakenMessages {
        changed.store(false, ordering: .relaxed)
        return state.withLock { state in
            // Less than half makes no CREDIT, and counts on: what follows may make it half.
            if state.taken >= half { state.taken = 0 }
            state.isWaking = false
            var inbox = state.inbox
            // What nobody reads makes room.
            if !inbox.isRead { (inbox.freed, inbox.older) = (state.cost, 0) }
            return inbox
        }
    }

    /// Begins to count the messages of a new connection. Returns the cost of the earlier ones that the program has still to
    /// read.
    func beginConnection() -> Int {
        state.withLock { state in
            state.connection += 1
            state.cost = 0
            state.isWatched = false
            let count = state.waiting.count - state.head
            state.inbox = TakenMessages(isRead: state.inbox.isRead, older: state.bytes + Credit.cost(of: 0) * count)
            return state.inbox.isRead ? state.inbox.older : 0
        }
    }

    /// The number of messages that were dropped because the program did not read them in time.
    public var dropped: Int { state.withLock { $0.dropped } }

    /// Passes `message` to a waiting reader, or queues it. Returns whether it displaced older messages: where credit is in
    /// force, those of a program that does not read alone.
    func add(_ message: [UInt8], isCredited: Bool = false) -> Bool {
        var isOver = false
        let reader: CheckedContinuation<[UInt8]?, Never>? = state.withLock { state in
            state.cost += Credit.cost(of: message.count)
            if !state.readers.isEmpty {
                state.gone(Credit.cost(of: message.count))
                state.taken += Credit.cost(of: message.count)
                return state.readers.removeFirst().continuation
            }
            state.waiting.append(Unread(message: message, connection: state.connection))
            state.bytes += message.count
            // The newest message always stays; max_message bounds it. The overhead of a message counts as 64 bytes.
            while !(isCredited && state.inbox.isRead), state.bytes + (state.waiting.count - state.head) * 64 > most,
                state.waiting.count - state.head > 1
            {
                _ = state.takeFirst(dropping: true)
                state.dropped += 1
                isOver = true
            }
            return nil
        }
        if isCredited { changed.store(true, ordering: .releasing) }
        reader?.resume(returning: message)
        return isOver
    }

    /// Ends the sequence after the queued messages.
    func finish() {
        let readers = state.withLock { state in
            state.isFinished = true
            return state.readers.take()
        }
        for reader in readers { reader.continuation.resume(returning: nil) }
    }

    fileprivate func next() async -> [UInt8]? {
        let id = state.withLock { state in
            state.nextReader += 1
            return state.nextReader
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                var wakes = false
                let outcome: [UInt8]?? = state.withLock { state in
                    state.inbox.isRead = true
                    if let message = state.takeFirst() {
                        wakes = state.wakes(at: half)
                        return .some(message)
                    }
                    if state.isFinished || Task.isCancelled { return .some(nil) }
                    state.readers.append((id, continuation))
                    return nil
                }
                changed.store(true, ordering: .releasing)
                if wakes { wake() }
                if let outcome { continuation.resume(returning: outcome) }
            }
        } onCancel: {
            // A reader that is not queued yet sees that its task is cancelled.
            let reader = state.withLock { state in
                state.readers.firstIndex { $0.id == id }.map { state.readers.remove(at: $0).continuation }
            }
            reader?.resume(returning: nil)
        }
    }

    /// An iterator over the messages.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let messages: InboundMessages

        /// The next message. It waits for one; nil at the end, or where the task is cancelled.
        public mutating func next() async -> [UInt8]? { await messages.next() }

        /// The next message, as `next()`, from any isolation.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> [UInt8]? { await messages.next() }
    }

    /// Creates an iterator. Iterators share the messages: each message goes to one of them.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(messages: self) }
}
