import Framing

// The values in the records of `RouterCommand` and `RouterDelivery`. Each length is that of what the writer appends.

private enum RecipientKind: UInt8 {
    case connection, name, token, all
}

private enum OutcomeKind: UInt8 {
    case answer, failed, notSent, refused, unknown
}

private enum ReplyKind: UInt8 {
    case done, members, topics, outcome, unavailable
}

extension Recipient {
    var encodedLength: Int {
        switch self {
        case .connection: 9
        case .name(let text), .token(let text): 5 + text.utf8.count
        case .all: 1
        }
    }
}

extension Member {
    /// The least that it takes: a number, two names that are missing, and an empty text.
    static let leastEncodedLength = 14

    var encodedLength: Int {
        Member.leastEncodedLength + peer.utf8.count + (name.map { 4 + $0.utf8.count } ?? 0)
            + (tokenName.map { 4 + $0.utf8.count } ?? 0)
    }
}

extension TopicCount {
    /// The least that it takes, with a name of one byte.
    static let leastEncodedLength = 10

    var encodedLength: Int { 9 + topic.bytes.count }
}

extension RelayedOutcome {
    var encodedLength: Int {
        switch self {
        case .answer(let bytes): 1 + bytes.count
        case .failed(let failure): 11 + failure.text.utf8.count
        case .notSent(let text), .refused(let text), .unknown(let text): 5 + text.utf8.count
        }
    }
}

extension RouterReply {
    var encodedLength: Int {
        switch self {
        case .done: 9
        case .members(let members): members.reduce(5) { $0 + $1.encodedLength }
        case .topics(let topics): topics.reduce(5) { $0 + $1.encodedLength }
        case .outcome(let outcome): 1 + outcome.encodedLength
        case .unavailable(let text): 5 + text.utf8.count
        }
    }
}

extension RecordWriter {
    mutating func recipient(_ recipient: Recipient) {
        switch recipient {
        case .connection(let id):
            number(RecipientKind.connection.rawValue)
            number(id)
        case .name(let name):
            number(RecipientKind.name.rawValue)
            text(name)
        case .token(let name):
            number(RecipientKind.token.rawValue)
            text(name)
        case .all: number(RecipientKind.all.rawValue)
        }
    }

    mutating func member(_ member: Member) {
        number(member.connection)
        textIfAny(member.name)
        textIfAny(member.tokenName)
        text(member.peer)
    }

    mutating func outcome(_ outcome: RelayedOutcome) {
        switch outcome {
        case .answer(let bytes):
            number(OutcomeKind.answer.rawValue)
            payload(bytes)
        case .failed(let failure):
            number(OutcomeKind.failed.rawValue)
            number(failure.code.rawValue)
            number(failure.retryAfter)
            text(failure.text)
        case .notSent(let reason):
            number(OutcomeKind.notSent.rawValue)
            text(reason)
        case .refused(let reason):
            number(OutcomeKind.refused.rawValue)
            text(reason)
        case .unknown(let reason):
            number(OutcomeKind.unknown.rawValue)
            text(reason)
        }
    }

    mutating func reply(_ reply: RouterReply) {
        switch reply {
        case .done(let count):
            number(ReplyKind.done.rawValue)
            number(count)
        case .members(let members):
            number(ReplyKind.members.rawValue)
            number(UInt32(members.count))
            for member in members { self.member(member) }
        case .topics(let topics):
            number(ReplyKind.topics.rawValue)
            number(UInt32(topics.count))
            for topic in topics {
                self.topic(topic.topic)
                number(topic.subscribers)
            }
        case .outcome(let outcome):
            number(ReplyKind.outcome.rawValue)
            self.outcome(outcome)
        case .unavailable(let reason):
            number(ReplyKind.unavailable.rawValue)
            text(reason)
        }
    }
}

extension RecordBody {
    mutating func recipient() throws(RecordFault) -> Recipient {
        let kind = try number(UInt8.self)
        switch RecipientKind(rawValue: kind) {
        case .connection: return .connection(try number())
        case .name: return .name(try text())
        case .token: return .token(try text())
        case .all: return .all
        case nil: throw RecordFault("no recipient has the kind \(kind)")
        }
    }

    mutating func member() throws(RecordFault) -> Member {
        Member(
            connection: try number(), name: try textIfAny(), tokenName: try textIfAny(), peer: try text())
    }

    mutating func outcome() throws(RecordFault) -> RelayedOutcome {
        let kind = try number(UInt8.self)
        switch OutcomeKind(rawValue: kind) {
        case .answer: return .answer(payload())
        case .failed:
            let (code, retryAfter): (UInt16, UInt32) = (try number(), try number())
            return .failed(Failure(Code(rawValue: code), try text(), retryAfter: retryAfter))
        case .notSent: return .notSent(try text())
        case .refused: return .refused(try text())
        case .unknown: return .unknown(try text())
        case nil: throw RecordFault("no outcome has the kind \(kind)")
        }
    }

    mutating func reply() throws(RecordFault) -> RouterReply {
        let kind = try number(UInt8.self)
        switch ReplyKind(rawValue: kind) {
        case .done: return .done(try number())
        case .members:
            return .members(
                try list(least: Member.leastEncodedLength) { body throws(RecordFault) in try body.member() })
        case .topics:
            return .topics(
                try list(least: TopicCount.leastEncodedLength) { body throws(RecordFault) in
                    TopicCount(topic: try body.topic(), subscribers: try body.number())
                })
        case .outcome: return .outcome(try outcome())
        case .unavailable: return .unavailable(try text())
        case nil: throw RecordFault("no reply has the kind \(kind)")
        }
    }
}
