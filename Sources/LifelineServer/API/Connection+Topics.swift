import Basics
import Framing

// Messages to other connections, where `ServerOptions.topics` is on. Delivery is at most once. The messages of one connection
// to one topic arrive in their order. A client that takes its messages too slowly loses some and holds up nobody:
// `Handler.missed(_:)` tells of it.
extension Connection {
    /// Subscribes to a topic: what others publish to it is sent to the client as one-way messages. Before that
    /// `Handler.received(_:)` of a `Publication` may look at it, where `Handler.seesPublications` is true.
    ///
    /// When this returns, the router has the subscription; one that is being started anew, or has not answered for 5 s, will
    /// have it. A handler that answers at once does not wait for that: it returns
    /// as soon as the subscription is on its way. A topic that is subscribed to already stays so. The subscription ends with
    /// the connection, and lives through the router's death.
    ///
    /// The name is 1 to 255 bytes of UTF-8, without blanks, control characters and `*`, and does not begin with `$`.
    public func subscribe(_ topic: String) throws(TopicError) {
        let (tie, topic) = (try reachableTie(), try TopicName(topic))
        try tie.subscribe(id, to: topic)
    }

    /// Ends a subscription; one that does not exist is none. What is on its way still arrives.
    public func unsubscribe(_ topic: String) throws(TopicError) {
        let (tie, topic) = (try reachableTie(), try TopicName(topic))
        tie.unsubscribe(id, from: topic)
    }

    /// Publishes a message to a topic, and waits for the router. Returns how many connections it is on its way to.
    ///
    /// Nobody needs to have subscribed to the topic, and the publisher neither. With `includingSelf` the publisher's own
    /// client gets it too, where it has subscribed.
    @discardableResult
    public func publish(_ bytes: [UInt8], to topic: String, includingSelf: Bool = false) throws(TopicError) -> Int {
        let (tie, topic) = (try anyTie(), try TopicName(topic))
        try tie.check(bytes.count)
        return try tie.count { .publish(call: $0, from: id, topic, includesSelf: includingSelf, bytes[...]) }
    }

    /// Publishes the UTF-8 of `text`, as `publish(_:to:includingSelf:)` of bytes does.
    @discardableResult
    public func publish(_ text: String, to topic: String, includingSelf: Bool = false) throws(TopicError) -> Int {
        try publish(Array(text.utf8), to: topic, includingSelf: includingSelf)
    }

    /// Publishes a message to a topic, and waits for nothing: a handler that answers at once may do it. Throws where the router
    /// has no room for it now.
    public func tryPublish(_ bytes: [UInt8], to topic: String, includingSelf: Bool = false) throws(TopicError) {
        let (tie, topic) = (try anyTie(), try TopicName(topic))
        try tie.check(bytes.count)
        try tie.post(.publish(call: 0, from: id, topic, includesSelf: includingSelf, bytes[...]))
    }

    /// Sends a message to other connections, and waits for the router. Returns how many connections it is on its way to. To
    /// `.all` does not include this connection.
    @discardableResult
    public func send(_ bytes: [UInt8], to recipient: Recipient) throws(TopicError) -> Int {
        let tie = try anyTie()
        try tie.check(bytes.count)
        return try tie.count { .send(call: $0, from: id, recipient, bytes[...]) }
    }

    /// Sends the UTF-8 of `text` to other connections, as `send(_:to:)` of bytes does.
    @discardableResult
    public func send(_ text: String, to recipient: Recipient) throws(TopicError) -> Int {
        try send(Array(text.utf8), to: recipient)
    }

    /// Sends a message to other connections, and waits for nothing, as `tryPublish(_:to:includingSelf:)`.
    public func trySend(_ bytes: [UInt8], to recipient: Recipient) throws(TopicError) {
        let tie = try anyTie()
        try tie.check(bytes.count)
        try tie.post(.send(call: 0, from: id, recipient, bytes[...]))
    }

    /// The connections that have subscribed to a topic, by their numbers.
    public func members(of topic: String) throws(TopicError) -> [Member] {
        let (tie, topic) = (try anyTie(), try TopicName(topic))
        return try tie.members(of: topic)
    }

    /// Whether there is such a connection now.
    public func isOnline(_ recipient: Recipient) throws(TopicError) -> Bool {
        try anyTie().count { .count(call: $0, recipient) } > 0
    }

    /// Ends connections with CLOSE(KICKED) and `text`, of which 512 bytes are sent. Returns how many there were.
    @discardableResult
    public func disconnect(_ recipient: Recipient, _ text: String = "") throws(TopicError) -> Int {
        try anyTie().count { .disconnect(call: $0, recipient, text) }
    }
}
