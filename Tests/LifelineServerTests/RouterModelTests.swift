import Framing
import struct RawWire.Seeded
import Testing

@testable import LifelineServer

/// A router as simple as can be: it looks through all connections at every command, and has no queues.
private struct NaiveRouter {
    struct Connection {
        let member: Member
        let tie: Int
        var topics: Set<TopicName> = []
    }

    struct Ask {
        let number: UInt64
        let call: UInt64
        let asker: Int
        let asked: Int
        let connection: UInt64
    }

    /// In the order in which they came.
    var connections: [Connection] = []
    var asks: [Ask] = []
    var lastAsk: UInt64 = 0
    var said: [Int: [RouterDelivery]] = [:]

    private func matching(_ recipient: Recipient) -> [Connection] {
        connections.filter {
            switch recipient {
            case .connection(let id): $0.member.connection == id
            case .name(let name): $0.member.name == name
            case .token(let name): $0.member.tokenName == name
            case .all: true
            }
        }
    }

    private mutating func forEachTie(of matching: [Connection], _ make: ([UInt64]) -> RouterDelivery?) {
        for tie in Set(matching.map(\.tie)) {
            let ids = matching.filter { $0.tie == tie }.map(\.member.connection).sorted()
            if let delivery = make(ids) { said[tie, default: []].append(delivery) }
        }
    }

    private mutating func reply(_ tie: Int, _ call: UInt64, _ reply: RouterReply) {
        if call != 0 { said[tie, default: []].append(.reply(call: call, reply)) }
    }

    private func index(_ id: UInt64, _ tie: Int) -> Int? {
        connections.firstIndex { $0.member.connection == id && $0.tie == tie }
    }

    mutating func close(_ tie: Int) {
        connections.removeAll { $0.tie == tie }
        for ask in asks where ask.asker == tie && ask.asked != tie {
            said[ask.asked, default: []].append(.giveUp(ask: ask.number, connection: ask.connection))
        }
        for ask in asks where ask.asked == tie && ask.asker != tie {
            let text = "the connection's process has ended, and may have got the request"
            reply(ask.asker, ask.call, .outcome(.unknown(text)))
        }
        asks.removeAll { $0.asker == tie || $0.asked == tie }
        said[tie] = nil
    }

    mutating func obey(_ command: RouterCommand, from tie: Int) {
        switch command {
        case .register(let member):
            connections.removeAll { $0.member.connection == member.connection }
            connections.append(Connection(member: member, tie: tie))
        case .unregister(let id): connections.removeAll { $0.member.connection == id && $0.tie == tie }
        case .subscribe(let call, let id, let topic):
            if let index = index(id, tie) { connections[index].topics.insert(topic) }
            reply(tie, call, .done(index(id, tie) == nil ? 0 : 1))
        case .unsubscribe(let call, let id, let topic):
            if let index = index(id, tie) { connections[index].topics.remove(topic) }
            reply(tie, call, .done(index(id, tie) == nil ? 0 : 1))
        case .publish(let call, let publisher, let topic, let includesSelf, let bytes):
            let all = connections.filter {
                $0.topics.contains(topic) && (includesSelf || $0.member.connection != publisher)
            }
            forEachTie(of: all) { _ in
                .publication(topic, from: publisher, except: includesSelf ? 0 : publisher, bytes)
            }
            reply(tie, call, .done(UInt64(all.count)))
        case .send(let call, let sender, .all, let bytes):
            let all = connections.filter { $0.member.connection != sender }
            forEachTie(of: all) { _ in .broadcast(from: sender, bytes) }
            reply(tie, call, .done(UInt64(all.count)))
        case .send(let call, let sender, let recipient, let bytes):
            forEachTie(of: matching(recipient)) { .message(to: $0, from: sender, bytes) }
            reply(tie, call, .done(UInt64(matching(recipient).count)))
        case .request(let call, let recipient, let timeout, let bytes):
            guard let last = matching(recipient).last else {
                // The sentence is no matter of the model.
                return reply(tie, call, .outcome(.notSent("")))
            }
            lastAsk += 1
            asks.append(
                Ask(
                    number: lastAsk, call: call, asker: tie, asked: last.tie, connection: last.member.connection))
            said[last.tie, default: []].append(
                .ask(lastAsk, connection: last.member.connection, timeout: timeout, bytes))
        case .giveUp(let call):
            guard let index = asks.firstIndex(where: { $0.asker == tie && $0.call == call }) else { return }
            let ask = asks.remove(at: index)
            said[ask.asked, default: []].append(.giveUp(ask: ask.number, connection: ask.connection))
        case .answered(let number, let outcome):
            guard let index = asks.firstIndex(where: { $0.asked == tie && $0.number == number }) else { return }
            let ask = asks.remove(at: index)
            reply(ask.asker, ask.call, .outcome(outcome))
        case .members(let call, let topic):
            let members = connections.filter { topic.map($0.topics.contains) ?? true }.map(\.member)
            reply(tie, call, .members(members.sorted { $0.connection < $1.connection }))
        case .count(let call, let recipient): reply(tie, call, .done(UInt64(matching(recipient).count)))
        case .topics(let call):
            let topics = Set(connections.flatMap(\.topics)).sorted {
                $0.bytes.lexicographicallyPrecedes($1.bytes)
            }
            reply(
                tie, call,
                .topics(
                    topics.map { topic in
                        TopicCount(
                            topic: topic, subscribers: UInt64(connections.count { $0.topics.contains(topic) }))
                    }))
        case .disconnect(let call, let recipient, let text):
            forEachTie(of: matching(recipient)) { .end($0, text) }
            reply(tie, call, .done(UInt64(matching(recipient).count)))
        case .enroll(let call, let recipient, let topic, let isOn):
            let ids = Set(matching(recipient).map(\.member.connection))
            for index in connections.indices where ids.contains(connections[index].member.connection) {
                if isOn { connections[index].topics.insert(topic) } else { connections[index].topics.remove(topic) }
            }
            forEachTie(of: matching(recipient)) { .enroll($0, topic, isOn: isOn) }
            reply(tie, call, .done(UInt64(matching(recipient).count)))
        }
    }
}

@Suite("The router and a simple one")
struct RouterModelTests {
    private static let names = ["a", "b", "ä", "a\u{308}", nil]

    private func command(_ call: inout UInt64, _ random: inout Seeded) -> RouterCommand {
        let id = UInt64.random(in: 1...40, using: &random)
        let topic = topic(["x", "y", "z"].randomElement(using: &random)!)
        let recipient: Recipient =
            switch Int.random(in: 0..<8, using: &random) {
            case 0...2: .connection(id)
            case 3, 4: .name(Self.names.dropLast().randomElement(using: &random)!!)
            case 5, 6: .token(Self.names.dropLast().randomElement(using: &random)!!)
            default: .all
            }
        let bytes = Array(repeating: UInt8(id), count: Int.random(in: 0...30, using: &random))[...]
        call += 1
        let wanted = Int.random(in: 0..<4, using: &random) == 0 ? 0 : call
        switch Int.random(in: 0..<40, using: &random) {
        case 0..<8:
            return .register(
                Member(
                    connection: id, name: Self.names.randomElement(using: &random)!,
                    tokenName: Self.names.randomElement(using: &random)!, peer: "p"))
        case 8, 9: return .unregister(id)
        case 10..<16: return .subscribe(call: wanted, connection: id, topic)
        case 16, 17: return .unsubscribe(call: wanted, connection: id, topic)
        case 18..<23:
            return .publish(call: wanted, from: id, topic, includesSelf: Bool.random(using: &random), bytes)
        case 23..<27: return .send(call: wanted, from: id, recipient, bytes)
        case 27..<31: return .request(call: call, recipient, timeout: 1000, bytes)
        case 31: return .giveUp(call: UInt64.random(in: 1...call, using: &random))
        case 32..<34: return .answered(ask: UInt64.random(in: 1...max(1, call / 8), using: &random), .answer(bytes))
        case 34: return .members(call: call, Bool.random(using: &random) ? topic : nil)
        case 35: return .count(call: call, recipient)
        case 36: return .topics(call: call)
        case 37: return .disconnect(call: wanted, recipient, "bye")
        case 38: return .enroll(call: wanted, recipient, topic, isOn: Bool.random(using: &random))
        default: return .giveUp(call: 1)
        }
    }

    /// What does not depend on the order in sets, and without sentences.
    private func plain(_ delivery: RouterDelivery) -> RouterDelivery {
        switch delivery {
        case .message(let to, let from, let bytes): .message(to: to.sorted(), from: from, bytes)
        case .end(let ids, let text): .end(ids.sorted(), text)
        case .enroll(let ids, let topic, let isOn): .enroll(ids.sorted(), topic, isOn: isOn)
        case .reply(let call, .outcome(.notSent)): .reply(call: call, .outcome(.notSent("")))
        default: delivery
        }
    }

    @Test("Both say the same to every process, whatever processes say", arguments: Array(UInt64(0)..<20))
    func random(seed: UInt64) throws {
        var random = Seeded(seed)
        var all = RouterConversation()
        var naive = NaiveRouter()
        var ties = (0..<12).map { _ in all.open() }
        var call: UInt64 = 0
        for _ in 0..<600 {
            let index = Int.random(in: 0..<ties.count, using: &random)
            if Int.random(in: 0..<60, using: &random) == 0 {
                all.router.close(ties[index])
                naive.close(index)
                ties[index] = all.open()
            } else {
                let command = command(&call, &random)
                try all.say(command, ties[index])
                naive.obey(command, from: index)
            }
            all.runSlices()
            for (index, tie) in ties.enumerated() {
                #expect(try all.heard(tie).map(plain) == naive.said[index] ?? [])
            }
            naive.said = [:]
        }
        for tie in ties { all.router.close(tie) }
        let counts = all.router.counts
        #expect((counts.ties, counts.connections, counts.topics, counts.subscriptions) == (0, 0, 0, 0))
        #expect(counts.queuedBytes == 0)
    }

    @Test("A group of connections and a set of pairs have the same members", arguments: Array(UInt64(0)..<10))
    func groups(seed: UInt64) {
        struct Pair: Hashable {
            let connection: UInt64
            let tie: UInt32
        }
        var random = Seeded(seed)
        var group = ConnectionGroup()
        var pairs: Set<Pair> = []
        let most = UInt32.random(in: 1...30, using: &random)
        for _ in 0..<2000 {
            let tie = UInt32.random(in: 0..<most, using: &random)
            let pair = Pair(connection: UInt64(tie) * 10 + UInt64.random(in: 1...4, using: &random), tie: tie)
            if Bool.random(using: &random) {
                #expect(group.insert(pair.connection, on: tie) == pairs.insert(pair).inserted)
            } else {
                #expect(group.remove(pair.connection, on: tie) == (pairs.remove(pair) != nil))
            }
            #expect(group.contains(pair.connection, on: tie) == pairs.contains(pair))
            #expect(group.count == pairs.count)
        }
        #expect(Set(group.ties) == Set(pairs.map(\.tie)))
        #expect(group.ties.count == Set(group.ties).count)
        #expect(Set(group.all) == Set(pairs.map(\.connection)))
        for tie in 0..<most {
            #expect(Set(group[tie]?.all ?? []) == Set(pairs.filter { $0.tie == tie }.map(\.connection)))
        }
    }
}
