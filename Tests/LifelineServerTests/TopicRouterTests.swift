import Basics
import Framing
import Testing

@testable import LifelineServer

/// A router with processes that say commands and read what it has for them.
struct RouterConversation: ~Copyable {
    var router: TopicRouter
    var now = Instant(sinceStart: .seconds(100))
    private var readers: [TieNumber: RecordReader<RouterDelivery>] = [:]
    private var scratch: [UInt8] = []

    init(queueRecords: Int = 1000, totalBytes: Int = 64 << 20) {
        router = TopicRouter(
            RouterLimits(maxMessage: 1 << 20, queueRecords: queueRecords, totalBytes: totalBytes))
    }

    mutating func open() -> TieNumber { router.open() }

    mutating func say(_ command: RouterCommand, _ tie: TieNumber) throws {
        try router.obey(command, from: tie, at: now)
    }

    /// Opens a process with connections of these numbers.
    mutating func open(_ ids: UInt64..., name: String? = nil, token: String? = nil) throws -> TieNumber {
        let tie = router.open()
        for id in ids {
            try say(.register(Member(connection: id, name: name, tokenName: token, peer: "p")), tie)
        }
        return tie
    }

    /// All that waits for a process.
    mutating func heard(_ tie: TieNumber) throws -> [RouterDelivery] {
        var reader = readers[tie] ?? RecordReader(most: 1 << 24)
        var deliveries: [RouterDelivery] = []
        while true {
            let bytes = Array(router.unsent(to: tie, &scratch))
            if bytes.isEmpty { break }
            router.wrote(bytes.count, to: tie)
            reader.append(bytes)
            while let delivery = try reader.next() { deliveries.append(delivery) }
        }
        readers[tie] = reader
        return deliveries
    }

    mutating func runSlices() { while router.hasJobs { router.runSlice() } }
}

func topic(_ name: String) -> TopicName { TopicName(checked: Array(name.utf8)) }
let hello = Array("hello".utf8)[...]

@Suite("The router of topics")
struct TopicRouterTests {
    @Test("A message to a topic goes to each process with a subscriber, and not to the publisher alone")
    func publishing() throws {
        var all = RouterConversation()
        let (one, two, three) = (try all.open(1, 2), try all.open(3), try all.open(4))
        for (id, tie) in [(UInt64(1), one), (2, one), (3, two)] {
            try all.say(.subscribe(call: 0, connection: id, topic("a")), tie)
        }
        try all.say(.publish(call: 9, from: 3, topic("a"), includesSelf: false, hello), two)
        #expect(try all.heard(one) == [.publication(topic("a"), from: 3, except: 3, hello)])
        #expect(try all.heard(two) == [.reply(call: 9, .done(2))])
        #expect(try all.heard(three) == [])
        try all.say(.publish(call: 10, from: 3, topic("a"), includesSelf: true, hello), two)
        #expect(try all.heard(one).count == 1)
        #expect(
            try all.heard(two) == [
                .publication(topic("a"), from: 3, except: 0, hello), .reply(call: 10, .done(3)),
            ])
        try all.say(.publish(call: 11, from: 1, topic("a"), includesSelf: false, hello), one)
        #expect(
            try all.heard(one) == [
                .publication(topic("a"), from: 1, except: 1, hello), .reply(call: 11, .done(2)),
            ])
        try all.say(.publish(call: 12, from: 4, topic("none"), includesSelf: false, hello), three)
        #expect(try all.heard(three) == [.reply(call: 12, .done(0))])
        let counts = all.router.counts
        #expect(counts.published == 4)
        #expect(counts.subscriptions == 3)
        #expect(counts.topics == 1)
    }

    @Test("A subscription ends by itself, with its connection and with its process")
    func endings() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1, 2, 3), try all.open(9))
        for id: UInt64 in 1...3 { try all.say(.subscribe(call: id, connection: id, topic("a")), one) }
        // Subscribed to already, another process's connection, and one that is not there.
        try all.say(.subscribe(call: 4, connection: 3, topic("a")), one)
        try all.say(.subscribe(call: 5, connection: 9, topic("a")), one)
        try all.say(.unsubscribe(call: 6, connection: 77, topic("a")), one)
        #expect(
            try all.heard(one)
                == [1, 1, 1, 1, 0, 0].enumerated().map { .reply(call: UInt64($0 + 1), .done($1)) })
        func publish() throws -> RouterDelivery? {
            try all.say(.publish(call: 1, from: 9, topic("a"), includesSelf: false, hello), two)
            return try all.heard(two).first
        }
        #expect(try publish() == .reply(call: 1, .done(3)))
        try all.say(.unsubscribe(call: 0, connection: 1, topic("a")), one)
        #expect(try publish() == .reply(call: 1, .done(2)))
        try all.say(.unregister(2), one)
        #expect(try publish() == .reply(call: 1, .done(1)))
        all.router.close(one)
        #expect(try publish() == .reply(call: 1, .done(0)))
        let counts = all.router.counts
        #expect((counts.ties, counts.connections, counts.topics, counts.subscriptions) == (1, 1, 0, 0))
        #expect(counts.queuedBytes == 0)
    }

    @Test("A connection that registers again has the new name, and its new process")
    func registeringAgain() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1, name: "old"), router(&all))
        try all.say(.subscribe(call: 0, connection: 1, topic("a")), one)
        try all.say(.register(Member(connection: 1, name: "new", tokenName: nil, peer: "p")), two)
        for recipient in [Recipient.name("old"), .name("new"), .connection(1)] {
            try all.say(.count(call: 1, recipient), two)
        }
        #expect(try all.heard(two) == [0, 1, 1].map { .reply(call: 1, .done($0)) })
        // The old process has nothing to say of it.
        try all.say(.unregister(1), one)
        try all.say(.send(call: 2, from: 5, .connection(1), hello), one)
        #expect(try all.heard(one) == [.reply(call: 2, .done(1))])
        #expect(try all.heard(two) == [.message(to: [1], from: 5, hello)])
        #expect(all.router.counts.subscriptions == 0)
        #expect(throws: RecordFault.self) {
            try all.say(.register(Member(connection: 0, name: nil, tokenName: nil, peer: "")), one)
        }
    }

    private func router(_ all: inout RouterConversation) -> TieNumber { all.open() }

    @Test("A message to a connection, a name, a token or all takes one record for each process")
    func sending() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1, 2, name: "n", token: "t"), try all.open(3, token: "t"))
        func send(to recipient: Recipient) throws -> [[RouterDelivery]] {
            try all.say(.send(call: 1, from: 3, recipient, hello), two)
            return [sorted(try all.heard(one)), sorted(try all.heard(two))]
        }
        #expect(
            try send(to: .connection(2)) == [[.message(to: [2], from: 3, hello)], [.reply(call: 1, .done(1))]])
        #expect(try send(to: .connection(8)) == [[], [.reply(call: 1, .done(0))]])
        #expect(
            try send(to: .name("n")) == [[.message(to: [1, 2], from: 3, hello)], [.reply(call: 1, .done(2))]])
        #expect(try send(to: .name("m")) == [[], [.reply(call: 1, .done(0))]])
        // The sender is among them.
        #expect(
            try send(to: .token("t")) == [
                [.message(to: [1, 2], from: 3, hello)],
                [.message(to: [3], from: 3, hello), .reply(call: 1, .done(3))],
            ])
        #expect(try send(to: .all) == [[.broadcast(from: 3, hello)], [.reply(call: 1, .done(2))]])
        let counts = all.router.counts
        #expect((counts.sent, counts.delivered) == (6, 5))
    }

    @Test("Connections are ended and enrolled by their processes")
    func commands() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1, 2, name: "n"), try all.open(3))
        try all.say(.enroll(call: 1, .name("n"), topic("a"), isOn: true), two)
        try all.say(.disconnect(call: 2, .all, "bye"), two)
        #expect(
            sorted(try all.heard(one)) == [.enroll([1, 2], topic("a"), isOn: true), .end([1, 2], "bye")])
        #expect(
            try all.heard(two) == [.reply(call: 1, .done(2)), .end([3], "bye"), .reply(call: 2, .done(3))])
    }

    @Test("Members and topics are listed in order")
    func lists() throws {
        var all = RouterConversation()
        let one = try all.open(5, 1, 3, name: "n", token: "t")
        for (id, name) in [(UInt64(5), "b"), (1, "b"), (3, "a")] {
            try all.say(.subscribe(call: 0, connection: id, topic(name)), one)
        }
        try all.say(.members(call: 1, topic("b")), one)
        try all.say(.members(call: 2, nil), one)
        try all.say(.members(call: 3, topic("c")), one)
        try all.say(.topics(call: 4), one)
        func member(_ id: UInt64) -> Member { Member(connection: id, name: "n", tokenName: "t", peer: "p") }
        #expect(
            try all.heard(one) == [
                .reply(call: 1, .members([member(1), member(5)])),
                .reply(call: 2, .members([member(1), member(3), member(5)])), .reply(call: 3, .members([])),
                .reply(
                    call: 4,
                    .topics([
                        TopicCount(topic: topic("a"), subscribers: 1), TopicCount(topic: topic("b"), subscribers: 2),
                    ])),
            ])
    }

    @Test("A list that is too long is none, and says so")
    func longLists() throws {
        var all = RouterConversation()
        let one = all.open()
        let name = String(repeating: "n", count: 1000)
        for id in 1...UInt64(9000) {
            try all.say(.register(Member(connection: id, name: name, tokenName: nil, peer: "")), one)
        }
        try all.say(.members(call: 1, nil), one)
        #expect(
            try all.heard(one) == [
                .reply(call: 1, .unavailable("a list of 9000 connections is longer than 8 MiB: ask for fewer"))
            ])
    }

    // MARK: Requests

    private let answer = RelayedOutcome.answer(hello)

    @Test("A request goes to the connection that came last, and its outcome comes back once")
    func requests() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1, 2, name: "n"), try all.open(3))
        try all.say(.request(call: 7, .name("n"), timeout: 1000, hello), two)
        #expect(try all.heard(one) == [.ask(1, connection: 2, timeout: 1000, hello)])
        // Another process cannot answer for it.
        try all.say(.answered(ask: 1, answer), two)
        #expect(try all.heard(two) == [])
        try all.say(.answered(ask: 1, answer), one)
        try all.say(.answered(ask: 1, answer), one)
        #expect(try all.heard(two) == [.reply(call: 7, .outcome(answer))])
        try all.say(.unregister(2), one)
        try all.say(.request(call: 7, .name("n"), timeout: 1000, hello), two)
        #expect(try all.heard(one) == [.ask(2, connection: 1, timeout: 1000, hello)])
        try all.say(.request(call: 8, .name("m"), timeout: 1000, hello), two)
        #expect(try all.heard(two) == [.reply(call: 8, .outcome(.notSent("no connection has the name 'm'")))])
        #expect(throws: RecordFault.self) { try all.say(.request(call: 7, .all, timeout: 1, hello), two) }
        #expect(all.router.counts.requests == 3)
    }

    @Test("A request that is given up is forgotten, and its process is told")
    func givingUp() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1), try all.open(3))
        try all.say(.request(call: 7, .connection(1), timeout: 1000, hello), two)
        try all.say(.giveUp(call: 7), two)
        try all.say(.giveUp(call: 7), two)
        #expect(
            try all.heard(one) == [
                .ask(1, connection: 1, timeout: 1000, hello), .giveUp(ask: 1, connection: 1),
            ])
        try all.say(.answered(ask: 1, answer), one)
        #expect(try all.heard(two) == [])
        #expect(all.router.asks.asks.isEmpty)
    }

    @Test("A request is settled when either process has gone")
    func closedTies() throws {
        var all = RouterConversation()
        let (one, two, three) = (try all.open(1), try all.open(2), try all.open(3))
        try all.say(.request(call: 1, .connection(1), timeout: 1000, hello), two)
        try all.say(.request(call: 2, .connection(2), timeout: 1000, hello), three)
        // A process may ask its own clients.
        try all.say(.request(call: 3, .connection(3), timeout: 1000, hello), three)
        _ = try all.heard(one)
        all.router.close(two)
        #expect(try all.heard(one) == [.giveUp(ask: 1, connection: 1)])
        let text = "the connection's process has ended, and may have got the request"
        #expect(
            try all.heard(three) == [
                .ask(3, connection: 3, timeout: 1000, hello), .reply(call: 2, .outcome(.unknown(text))),
            ])
        all.router.close(three)
        #expect(all.router.asks.asks.isEmpty)
        #expect(all.router.asks.numbers.isEmpty)
        #expect(all.router.ties.allSatisfy { $0.asking.isEmpty && $0.asked.isEmpty })
    }

    @Test("The router settles a request whose process does not: 5 s after its timeout")
    func overdue() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1), try all.open(2))
        try all.say(.request(call: 1, .connection(1), timeout: 1000, hello), two)
        #expect(all.router.deadline == all.now + .seconds(6))
        all.router.settleOverdue(at: all.now + .milliseconds(5999))
        #expect(try all.heard(two) == [])
        all.router.settleOverdue(at: all.now + .seconds(6))
        let text = "the connection's process does not answer, and may have got the request"
        #expect(try all.heard(two) == [.reply(call: 1, .outcome(.unknown(text)))])
        #expect(try all.heard(one).last == .giveUp(ask: 1, connection: 1))
        #expect(all.router.deadline == nil)
    }

    private func sorted(_ deliveries: [RouterDelivery]) -> [RouterDelivery] {
        deliveries.map {
            switch $0 {
            case .message(let to, let from, let bytes): .message(to: to.sorted(), from: from, bytes)
            case .end(let ids, let text): .end(ids.sorted(), text)
            case .enroll(let ids, let topic, let isOn): .enroll(ids.sorted(), topic, isOn: isOn)
            default: $0
            }
        }
    }
}
