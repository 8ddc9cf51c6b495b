/// The connections of one process that others can reach, and the topics of each.
struct LocalTopics {
    /// A connection of the process.
    struct LocalMember {
        let member: Member
        /// Where its event loop finds it.
        let place: Int
        /// In the order in which it has subscribed.
        fileprivate(set) var topics: [TopicName] = []
    }

    private(set) var members: [UInt64: LocalMember] = [:]
    private(set) var subscribers: [TopicName: Set<UInt64>] = [:]

    mutating func register(_ member: Member, place: Int) {
        members[member.connection] = LocalMember(member: member, place: place)
    }

    /// The connection is over, and so are its subscriptions. False where it was none.
    mutating func unregister(_ connection: UInt64) -> Bool {
        guard let gone = members.removeValue(forKey: connection) else { return false }
        for topic in gone.topics { removeSubscriber(connection, of: topic) }
        return true
    }

    /// What became of a wish to subscribe.
    enum Subscription { case new, existing, tooMany, unknownConnection }

    mutating func subscribe(_ connection: UInt64, to topic: TopicName, most: Int) -> Subscription {
        guard let member = members[connection] else { return .unknownConnection }
        if subscribers[topic]?.contains(connection) ?? false { return .existing }
        guard member.topics.count < most else { return .tooMany }
        // All that have the same topic share its bytes.
        let topic = subscribers.index(forKey: topic).map { subscribers[$0].key } ?? topic
        subscribers[topic, default: []].insert(connection)
        members[connection]!.topics.append(topic)
        return .new
    }

    /// False where the connection had not subscribed.
    mutating func unsubscribe(_ connection: UInt64, from topic: TopicName) -> Bool {
        guard let index = members[connection]?.topics.firstIndex(of: topic) else { return false }
        members[connection]!.topics.remove(at: index)
        removeSubscriber(connection, of: topic)
        return true
    }

    private mutating func removeSubscriber(_ connection: UInt64, of topic: TopicName) {
        subscribers[topic]?.remove(connection)
        if subscribers[topic]?.isEmpty ?? false { subscribers[topic] = nil }
    }
}
