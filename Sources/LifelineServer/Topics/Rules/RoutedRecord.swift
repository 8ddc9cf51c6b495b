/// A record for one process or for many, made into bytes once.
///
/// The router's one thread counts how many queues have it.
final class RoutedRecord: @unchecked Sendable {
    /// How a full queue treats the record.
    enum Kind: Equatable, Sendable {
        /// A message to a topic, or to no topic, which may be dropped.
        case message(TopicName?)
        /// A reply, a request or a command, which is never dropped.
        case sure
        /// The report of messages that were dropped.
        case gap
    }

    let kind: Kind
    private let head: [UInt8]
    /// What stands behind `head` in several records.
    fileprivate let payload: RoutedPayload?
    fileprivate var holders = 0

    init(_ delivery: RouterDelivery, _ kind: Kind) {
        self.kind = kind
        head = delivery.encoded()
        payload = nil
    }

    /// A message for connections of one process, whose payload others get too.
    init(to connections: some Collection<UInt64>, from sender: UInt64, _ payload: RoutedPayload) {
        kind = .message(nil)
        head = RouterDelivery.messageHead(to: connections, from: sender, payloadOf: payload.bytes.count)
        self.payload = payload
    }

    /// How many bytes it has.
    var count: Int { head.count + (payload?.bytes.count ?? 0) }
    fileprivate var ownBytes: Int { head.count }

    /// Its bytes from `offset` on, or the first part of them.
    func part(from offset: Int) -> ArraySlice<UInt8> {
        guard offset >= head.count, let payload else { return head[offset...] }
        return payload.bytes.dropFirst(offset - head.count)
    }
}

/// The bytes of a message that several records have in common.
final class RoutedPayload: @unchecked Sendable {
    let bytes: ArraySlice<UInt8>
    fileprivate var holders = 0

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
}

/// The memory of all that waits in the router. What many queues have counts once.
struct RouterMemory {
    /// What a queue needs for a record, besides the record's bytes.
    static let entry = 24

    private let limit: Int
    /// The bytes that are held.
    private(set) var bytes = 0

    init(limit: Int) { self.limit = limit }

    /// Whether a further message may wait.
    var hasRoom: Bool { bytes < limit }
    /// Whether each queue has to be shorter. So a few processes that take nothing leave room for the messages of
    /// others.
    var isScarce: Bool { bytes > limit / 2 }

    mutating func hold(_ record: RoutedRecord) {
        record.holders += 1
        bytes += RouterMemory.entry
        guard record.holders == 1 else { return }
        bytes += record.ownBytes
        if let payload = record.payload { hold(payload) }
    }

    mutating func release(_ record: RoutedRecord) {
        record.holders -= 1
        bytes -= RouterMemory.entry
        guard record.holders == 0 else { return }
        bytes -= record.ownBytes
        if let payload = record.payload { release(payload) }
    }

    mutating func hold(_ payload: RoutedPayload) {
        payload.holders += 1
        if payload.holders == 1 { bytes += payload.bytes.count }
    }

    mutating func release(_ payload: RoutedPayload) {
        payload.holders -= 1
        if payload.holders == 0 { bytes -= payload.bytes.count }
    }

    /// Counts bytes that are no record.
    mutating func hold(bytes count: Int) { bytes += count }
    mutating func release(bytes count: Int) { bytes -= count }
}
