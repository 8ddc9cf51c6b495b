import Synchronization

/// The one-way messages of the server, in the order in which they came (Protocol.md, section 4.7).
///
/// Messages wait here until the program reads them, `ClientOptions.unreadMessages` bytes of them at most; over it the
/// oldest are dropped. Each message goes to one reader. The sequence ends with the connection, after its last message.
public final class InboundMessages: AsyncSequence, Sendable {
    /// A message.
    public typealias Element = [UInt8]

    private struct Shared {
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
    private let shared = Mutex(Shared())

    init(most: Int) { self.most = most }

    /// How many messages have been dropped because nobody read them in time.
    public var dropped: Int { shared.withLock { $0.dropped } }

    /// Gives `message` to a reader or stores it; returns whether older ones had to be dropped for it.
    func add(_ message: [UInt8]) -> Bool {
        var isOver = false
        let reader: CheckedContinuation<[UInt8]?, Never>? = shared.withLock { shared in
            if !shared.readers.isEmpty { return shared.readers.removeFirst().continuation }
            shared.waiting.append(message)
            shared.bytes += message.count
            // The newest stays, however long it is: max_message bounds it. An empty message is not free of memory.
            while shared.bytes + (shared.waiting.count - shared.head) * 64 > most,
                shared.waiting.count - shared.head > 1
            {
                _ = shared.takeFirst()
                shared.dropped += 1
                isOver = true
            }
            return nil
        }
        reader?.resume(returning: message)
        return isOver
    }

    /// Ends the sequence behind what waits.
    func finish() {
        let readers = shared.withLock { shared in
            shared.isFinished = true
            return shared.readers.take()
        }
        for reader in readers { reader.continuation.resume(returning: nil) }
    }

    fileprivate func next() async -> [UInt8]? {
        let id = shared.withLock { shared in
            shared.nextReader += 1
            return shared.nextReader
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let outcome: [UInt8]?? = shared.withLock { shared in
                    if let message = shared.takeFirst() { return .some(message) }
                    if shared.isFinished || Task.isCancelled { return .some(nil) }
                    shared.readers.append((id, continuation))
                    return nil
                }
                if let outcome { continuation.resume(returning: outcome) }
            }
        } onCancel: {
            // A reader that is not there yet finds its task cancelled.
            let reader = shared.withLock { shared in
                shared.readers.firstIndex { $0.id == id }.map { shared.readers.remove(at: $0).continuation }
            }
            reader?.resume(returning: nil)
        }
    }

    /// Reads the messages one by one; nil at the end and where the task is cancelled.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let messages: InboundMessages

        /// The next message.
        public mutating func next() async -> [UInt8]? { await messages.next() }

        /// The next message; the isolation of the caller does not matter.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> [UInt8]? { await messages.next() }
    }

    /// A reader.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(messages: self) }
}
