import Synchronization

/// The one-way messages of the server, in the order of their arrival (Protocol.md, section 4.7).
///
/// Unread messages are queued, up to `ClientOptions.unreadMessages` bytes. Beyond that the oldest ones are dropped and
/// counted in `dropped`. Each message goes to one reader. The sequence ends after the last message, when the connection is
/// closed for good.
public final class InboundMessages: AsyncSequence, Sendable {
    /// The bytes of a message.
    public typealias Element = [UInt8]

    private struct State {
        var waiting: [[UInt8]?] = []
        var head = 0
        var bytes = 0
        var dropped = 0
        var isFinished = false
        var readers: [(id: UInt64, continuation: CheckedContinuation<[UInt8]?, Never>)] = []
        var nextReader: UInt64 = 0

        mutating func takeFirst() -> [UInt8]? {
            guard head < waiting.count, let message = waiting[head].take() else { return nil }
            bytes -= message.count
            head += 1
            if head > 64, head > waiting.count / 2 {
                waiting.removeFirst(head)
                head = 0
            }
            return message
        }
    }

    private let most: Int
    private let state = Mutex(State())

    init(most: Int) { self.most = most }

    /// The number of messages that were dropped because the program did not read them in time.
    public var dropped: Int { state.withLock { $0.dropped } }

    /// Passes `message` to a waiting reader, or queues it. Returns whether it displaced older messages.
    func add(_ message: [UInt8]) -> Bool {
        var isOver = false
        let reader: CheckedContinuation<[UInt8]?, Never>? = state.withLock { state in
            if !state.readers.isEmpty { return state.readers.removeFirst().continuation }
            state.waiting.append(message)
            state.bytes += message.count
            // The newest message always stays; max_message bounds it. The overhead of a message counts as 64 bytes.
            while state.bytes + (state.waiting.count - state.head) * 64 > most,
                state.waiting.count - state.head > 1
            {
                _ = state.takeFirst()
                state.dropped += 1
                isOver = true
            }
            return nil
        }
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
                let outcome: [UInt8]?? = state.withLock { state in
                    if let message = state.takeFirst() { return .some(message) }
                    if state.isFinished || Task.isCancelled { return .some(nil) }
                    state.readers.append((id, continuation))
                    return nil
                }
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
