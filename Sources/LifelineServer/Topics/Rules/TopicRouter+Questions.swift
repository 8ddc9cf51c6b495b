import Basics

// What processes ask the router.
extension TopicRouter {
    /// The connections of a recipient that is several; nil where there are none, or where it is one by its number.
    func namesakes(of recipient: Recipient) -> Namesakes? {
        switch recipient {
        case .connection: nil
        case .name(let name): names[name]
        case .token(let name): tokens[name]
        case .all: everyone
        }
    }

    /// How many connections a recipient is.
    func count(of recipient: Recipient) -> UInt64 {
        if case .connection(let id) = recipient { return connections[id] == nil ? 0 : 1 }
        return UInt64(namesakes(of: recipient)?.group.count ?? 0)
    }

    /// The subscribers of a topic, or all connections, in the order of their numbers.
    func members(of topic: TopicName?) -> RouterReply {
        let group = topic.map { topics[$0] ?? ConnectionGroup() } ?? everyone.group
        let members = group.all.compactMap { connections[$0]?.member }
        guard members.reduce(0, { $0 + $1.encodedLength }) <= RouterLimits.mostListed else {
            return tooLong(members.count, "connections")
        }
        return .members(members.sorted { $0.connection < $1.connection })
    }

    /// The topics with their subscribers, in the order of the bytes of their names.
    func topicCounts() -> RouterReply {
        let counts = topics.map { TopicCount(topic: $0, subscribers: UInt64($1.count)) }
        guard counts.reduce(0, { $0 + $1.encodedLength }) <= RouterLimits.mostListed else {
            return tooLong(counts.count, "topics")
        }
        return .topics(counts.sorted { $0.topic.bytes.lexicographicallyPrecedes($1.topic.bytes) })
    }

    private func tooLong(_ count: Int, _ things: String) -> RouterReply {
        .unavailable("a list of \(count) \(things) is longer than \(RouterLimits.mostListed >> 20) MiB: ask for fewer")
    }
}
