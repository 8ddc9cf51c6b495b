import Basics

/// What waits for one process, in order.
///
/// When it is full, its oldest messages are dropped, and a gap stands in the place of the first one of each topic. It
/// counts all that were dropped up to the next message of that topic. Since the oldest leave first, a topic has one gap
/// at most.
struct RouterQueue {
    private enum QueuedRecord: Sendable {
        /// A message or another record, and how many connections it is for.
        case record(RoutedRecord, connections: UInt64)
        /// Messages of a topic, or of no topic, were dropped here.
        case gap(TopicName?)
    }

    /// How many bytes are begun at a time. They are written together, and none of them is dropped.
    static let batch = 64 << 10
    /// From this length on bytes are written from where they lie. Shorter ones are copied together: a call costs more.
    private static let longPart = 16 << 10

    private let limits: RouterLimits
    /// What is written next.
    private var begun: [RoutedRecord] = []
    /// How many bytes of the first one are written.
    private var written = 0
    /// How many bytes of `begun` are not written.
    private var begunBytes = 0
    /// What is older than the oldest message: gaps, and records that are never dropped.
    private var passed = Queue<QueuedRecord>()
    /// What waits behind that, without gaps.
    private var waiting = Queue<QueuedRecord>()
    /// How many messages were dropped, for each gap in `passed`.
    private var gaps: [TopicName?: UInt64] = [:]
    /// The messages in `waiting`.
    private var messages = 0
    private var messageBytes = 0
    /// The records that are never dropped, up to their last byte.
    private var sure = 0
    private var sureBytes = 0

    init(_ limits: RouterLimits) { self.limits = limits }

    /// Whether nothing waits.
    var isEmpty: Bool { begun.isEmpty && passed.isEmpty && waiting.isEmpty }
    /// Whether the process takes not even what is never dropped.
    /// A single one may be longer, when no other waits.
    var isBroken: Bool { sure > RouterLimits.mostSure || sure > 1 && sureBytes > RouterLimits.mostSureBytes }

    // MARK: What comes

    /// Adds a message, and drops the oldest ones where it has no room else. Returns how many messages connections lose.
    ///
    /// A message that is longer than the queue gets in when no other waits.
    mutating func append(
        message record: RoutedRecord, connections: UInt64, _ memory: inout RouterMemory
    ) -> UInt64 {
        let most = memory.isScarce ? limits.queueBytes / 4 : limits.queueBytes
        var lost: UInt64 = 0
        while messages > 0, messages >= limits.queueRecords || messageBytes + record.count > most {
            lost += dropOldest(&memory)
        }
        memory.hold(record)
        messages += 1
        messageBytes += record.count
        waiting.append(.record(record, connections: connections))
        return lost
    }

    /// Adds a record that is never dropped.
    mutating func append(sure record: RoutedRecord, _ memory: inout RouterMemory) {
        memory.hold(record)
        sure += 1
        sureBytes += record.count
        waiting.append(.record(record, connections: 0))
    }

    /// Drops the oldest message; there must be one.
    private mutating func dropOldest(_ memory: inout RouterMemory) -> UInt64 {
        while let entry = waiting.first {
            waiting.removeFirst()
            guard case .record(let record, let connections) = entry, case .message(let topic) = record.kind else {
                passed.append(entry)
                continue
            }
            leftWaiting(record)
            memory.release(record)
            if gaps[topic] == nil {
                memory.hold(bytes: RouterMemory.entry)
                passed.append(.gap(topic))
            }
            gaps[topic, default: 0] += 1
            return connections
        }
        return 0
    }

    private mutating func leftWaiting(_ record: RoutedRecord) {
        guard case .message = record.kind else { return }
        messages -= 1
        messageBytes -= record.count
    }

    // MARK: What goes

    /// The bytes to write next, `scratch` being memory for them; empty where nothing waits.
    mutating func unsent(_ scratch: inout [UInt8], _ memory: inout RouterMemory) -> ArraySlice<UInt8> {
        while begunBytes < RouterQueue.batch, let record = takeNext(&memory) {
            begun.append(record)
            begunBytes += record.count
        }
        guard let first = begun.first else { return [] }
        let part = first.part(from: written)
        if part.count >= RouterQueue.longPart || part.count == begunBytes { return part }
        scratch.removeAll(keepingCapacity: true)
        var offset = written
        for record in begun {
            while offset < record.count {
                let part = record.part(from: offset)
                // What is long is written by itself, next time.
                guard part.count < RouterQueue.longPart, scratch.count < RouterQueue.batch else { return scratch[...] }
                scratch.append(contentsOf: part)
                offset += part.count
            }
            offset = 0
        }
        return scratch[...]
    }

    private mutating func takeNext(_ memory: inout RouterMemory) -> RoutedRecord? {
        let entry: QueuedRecord
        if let first = passed.first {
            entry = first
            passed.removeFirst()
        } else if let first = waiting.first {
            entry = first
            waiting.removeFirst()
        } else {
            return nil
        }
        switch entry {
        case .record(let record, _):
            leftWaiting(record)
            return record
        case .gap(let topic):
            memory.release(bytes: RouterMemory.entry)
            let record = RoutedRecord(.gap(topic, gaps.removeValue(forKey: topic) ?? 0), .gap)
            memory.hold(record)
            return record
        }
    }

    /// Records that the kernel has taken the first `count` of the bytes to write.
    mutating func wrote(_ count: Int, _ memory: inout RouterMemory) {
        begunBytes -= count
        written += count
        var done = 0
        while done < begun.count, written >= begun[done].count {
            let record = begun[done]
            written -= record.count
            done += 1
            memory.release(record)
            guard record.kind == .sure else { continue }
            sure -= 1
            sureBytes -= record.count
        }
        if done == begun.count { begun.removeAll(keepingCapacity: done <= 64) } else { begun.removeFirst(done) }
    }

    /// Drops all that waits, when the process has gone.
    mutating func removeAll(_ memory: inout RouterMemory) {
        while let record = takeNext(&memory) { memory.release(record) }
        for record in begun { memory.release(record) }
        self = RouterQueue(limits)
    }
}
