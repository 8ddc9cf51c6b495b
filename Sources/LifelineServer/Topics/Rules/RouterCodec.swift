import Framing

// The records of `RouterCommand` and `RouterDelivery` as bytes. Both ends are of one program, so no version is told.

extension RouterCommand: RouterRecord {
    private enum Kind: UInt8 {
        case register = 1
        case unregister, subscribe, unsubscribe, publish, send, request, giveUp, members, count, topics, disconnect
        case enroll, lost, answered
    }

    private static func writer(_ kind: Kind, room: Int) -> RecordWriter { RecordWriter(kind.rawValue, room: room) }

    func encoded() -> [UInt8] {
        var record: RecordWriter
        switch self {
        case .register(let member):
            record = RouterCommand.writer(.register, room: member.encodedLength)
            record.member(member)
        case .unregister(let connection):
            record = RouterCommand.writer(.unregister, room: 8)
            record.number(connection)
        case .subscribe(let call, let connection, let topic):
            record = RouterCommand.writer(.subscribe, room: 17 + topic.bytes.count)
            record.number(call)
            record.number(connection)
            record.topic(topic)
        case .unsubscribe(let call, let connection, let topic):
            record = RouterCommand.writer(.unsubscribe, room: 17 + topic.bytes.count)
            record.number(call)
            record.number(connection)
            record.topic(topic)
        case .publish(let call, let publisher, let topic, let includesSelf, let bytes):
            record = RouterCommand.writer(.publish, room: 18 + topic.bytes.count + bytes.count)
            record.number(call)
            record.number(publisher)
            record.topic(topic)
            record.flag(includesSelf)
            record.payload(bytes)
        case .send(let call, let sender, let recipient, let bytes):
            record = RouterCommand.writer(.send, room: 16 + recipient.encodedLength + bytes.count)
            record.number(call)
            record.number(sender)
            record.recipient(recipient)
            record.payload(bytes)
        case .request(let call, let recipient, let timeout, let bytes):
            record = RouterCommand.writer(.request, room: 12 + recipient.encodedLength + bytes.count)
            record.number(call)
            record.number(timeout)
            record.recipient(recipient)
            record.payload(bytes)
        case .giveUp(let call):
            record = RouterCommand.writer(.giveUp, room: 8)
            record.number(call)
        case .members(let call, let topic):
            record = RouterCommand.writer(.members, room: 9 + (topic?.bytes.count ?? 0))
            record.number(call)
            record.topic(topic)
        case .count(let call, let recipient):
            record = RouterCommand.writer(.count, room: 8 + recipient.encodedLength)
            record.number(call)
            record.recipient(recipient)
        case .topics(let call):
            record = RouterCommand.writer(.topics, room: 8)
            record.number(call)
        case .disconnect(let call, let recipient, let text):
            record = RouterCommand.writer(.disconnect, room: 12 + recipient.encodedLength + text.utf8.count)
            record.number(call)
            record.recipient(recipient)
            record.text(text)
        case .enroll(let call, let recipient, let topic, let isOn):
            record = RouterCommand.writer(.enroll, room: 10 + recipient.encodedLength + topic.bytes.count)
            record.number(call)
            record.recipient(recipient)
            record.topic(topic)
            record.flag(isOn)
        case .lost(let count):
            record = RouterCommand.writer(.lost, room: 8)
            record.number(count)
        case .answered(let ask, let outcome):
            record = RouterCommand.writer(.answered, room: 8 + outcome.encodedLength)
            record.number(ask)
            record.outcome(outcome)
        }
        return record.finished()
    }

    init(kind: UInt8, _ body: inout RecordBody) throws(RecordFault) {
        guard let kind = Kind(rawValue: kind) else { throw RecordFault("no command has the kind \(kind)") }
        switch kind {
        case .register: self = .register(try body.member())
        case .unregister: self = .unregister(try body.number())
        case .subscribe:
            self = .subscribe(call: try body.number(), connection: try body.number(), try body.topic())
        case .unsubscribe:
            self = .unsubscribe(call: try body.number(), connection: try body.number(), try body.topic())
        case .publish:
            self = .publish(
                call: try body.number(), from: try body.number(), try body.topic(), includesSelf: try body.flag(),
                body.payload())
        case .send:
            self = .send(
                call: try body.number(), from: try body.number(), try body.recipient(), body.payload())
        case .request:
            let (call, timeout): (UInt64, UInt32) = (try body.number(), try body.number())
            self = .request(call: call, try body.recipient(), timeout: timeout, body.payload())
        case .giveUp: self = .giveUp(call: try body.number())
        case .members: self = .members(call: try body.number(), try body.topicIfAny())
        case .count: self = .count(call: try body.number(), try body.recipient())
        case .topics: self = .topics(call: try body.number())
        case .disconnect:
            self = .disconnect(call: try body.number(), try body.recipient(), try body.text())
        case .enroll:
            self = .enroll(
                call: try body.number(), try body.recipient(), try body.topic(), isOn: try body.flag())
        case .lost: self = .lost(try body.number())
        case .answered: self = .answered(ask: try body.number(), try body.outcome())
        }
    }
}

extension RouterDelivery: RouterRecord {
    private enum Kind: UInt8 {
        case publication = 1
        case message, broadcast, gap, ask, giveUp, end, enroll, reply
    }

    private static func writer(_ kind: Kind, room: Int) -> RecordWriter { RecordWriter(kind.rawValue, room: room) }

    func encoded() -> [UInt8] {
        var record: RecordWriter
        switch self {
        case .publication(let topic, let publisher, let except, let bytes):
            record = RouterDelivery.writer(.publication, room: 17 + topic.bytes.count + bytes.count)
            record.topic(topic)
            record.number(publisher)
            record.number(except)
            record.payload(bytes)
        case .message(let connections, let sender, let bytes):
            return RouterDelivery.messageHead(to: connections, from: sender, payloadOf: bytes.count, room: bytes.count)
                + bytes
        case .broadcast(let sender, let bytes):
            record = RouterDelivery.writer(.broadcast, room: 8 + bytes.count)
            record.number(sender)
            record.payload(bytes)
        case .gap(let topic, let count):
            record = RouterDelivery.writer(.gap, room: 9 + (topic?.bytes.count ?? 0))
            record.topic(topic)
            record.number(count)
        case .ask(let ask, let connection, let timeout, let bytes):
            record = RouterDelivery.writer(.ask, room: 20 + bytes.count)
            record.number(ask)
            record.number(connection)
            record.number(timeout)
            record.payload(bytes)
        case .giveUp(let ask, let connection):
            record = RouterDelivery.writer(.giveUp, room: 16)
            record.number(ask)
            record.number(connection)
        case .end(let connections, let text):
            record = RouterDelivery.writer(.end, room: 8 + 8 * connections.count + text.utf8.count)
            record.numbers(connections)
            record.text(text)
        case .enroll(let connections, let topic, let isOn):
            record = RouterDelivery.writer(.enroll, room: 6 + 8 * connections.count + topic.bytes.count)
            record.numbers(connections)
            record.topic(topic)
            record.flag(isOn)
        case .reply(let call, let reply):
            record = RouterDelivery.writer(.reply, room: 8 + reply.encodedLength)
            record.number(call)
            record.reply(reply)
        }
        return record.finished()
    }

    init(kind: UInt8, _ body: inout RecordBody) throws(RecordFault) {
        guard let kind = Kind(rawValue: kind) else { throw RecordFault("no delivery has the kind \(kind)") }
        switch kind {
        case .publication:
            self = .publication(
                try body.topic(), from: try body.number(), except: try body.number(), body.payload())
        case .message:
            self = .message(to: try body.numbers(), from: try body.number(), body.payload())
        case .broadcast: self = .broadcast(from: try body.number(), body.payload())
        case .gap: self = .gap(try body.topicIfAny(), try body.number())
        case .ask:
            self = .ask(
                try body.number(), connection: try body.number(), timeout: try body.number(), body.payload())
        case .giveUp: self = .giveUp(ask: try body.number(), connection: try body.number())
        case .end: self = .end(try body.numbers(), try body.text())
        case .enroll: self = .enroll(try body.numbers(), try body.topic(), isOn: try body.flag())
        case .reply: self = .reply(call: try body.number(), try body.reply())
        }
    }

    /// A `message` up to its payload, which has `count` bytes and follows. There is memory for `room` bytes of it.
    static func messageHead(
        to connections: some Collection<UInt64>, from sender: UInt64, payloadOf count: Int, room: Int = 0
    ) -> [UInt8] {
        var record = writer(.message, room: 12 + 8 * connections.count + room)
        record.numbers(connections)
        record.number(sender)
        return record.finished(payloadOf: count)
    }
}
