/// What the router holds at most.
struct RouterLimits: Equatable, Sendable {
    /// The longest message, in bytes. Records of more than 4 KiB beyond it are a fault.
    var maxMessage: Int
    /// How many bytes of messages wait for one process. A single message may be longer, when no other waits.
    var queueBytes = 1 << 20
    /// How many messages wait for one process.
    var queueRecords = 1000
    /// How many bytes wait for all processes together. A message that many processes wait for counts once.
    var totalBytes = 64 << 20

    /// How many records that may not be dropped wait for one process: replies, requests and commands.
    static let mostSure = 10_000
    /// How many bytes of such records wait for one process.
    static let mostSureBytes = 16 << 20
    /// The longest list of connections or topics in one reply, in bytes.
    static let mostListed = 8 << 20

    /// The most connections of one process: a message to a name or a token has their numbers.
    static let mostConnections = 1 << 20

    /// The longest record that a process may send, without its length.
    var longestCommand: Int { maxMessage + 4096 }
    /// The longest record that the router sends, without its length: a message with the numbers of its connections, or
    /// a list.
    var longestDelivery: Int { max(maxMessage, RouterLimits.mostListed) + 8 * RouterLimits.mostConnections }
}

/// What the router has and has done. Sums begin at its start.
struct RouterCounts: Equatable, Sendable {
    /// The processes that have a tie to it.
    var ties: UInt64 = 0
    /// The connections that can be reached.
    var connections: UInt64 = 0
    /// The topics that have a subscriber.
    var topics: UInt64 = 0
    /// The subscriptions of all connections.
    var subscriptions: UInt64 = 0
    /// The messages that were published to a topic.
    var published: UInt64 = 0
    /// The messages that were sent to connections.
    var sent: UInt64 = 0
    /// The records of messages that were handed to the queues of processes.
    var delivered: UInt64 = 0
    /// The messages that connections did not get, because a queue or the router was full.
    var dropped: UInt64 = 0
    /// The requests to clients of other connections.
    var requests: UInt64 = 0
    /// The bytes that wait now.
    var queuedBytes: UInt64 = 0

    /// All of them.
    static let fields: [WritableKeyPath<RouterCounts, UInt64> & Sendable] = [
        \.ties, \.connections, \.topics, \.subscriptions, \.published, \.sent, \.delivered, \.dropped, \.requests,
        \.queuedBytes,
    ]

    /// Adds the sums of a router that has died; what there is now is the other's.
    mutating func add(sumsOf past: RouterCounts) {
        published &+= past.published
        sent &+= past.sent
        delivered &+= past.delivered
        dropped &+= past.dropped
        requests &+= past.requests
    }
}
