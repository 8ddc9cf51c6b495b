import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("3.8 The credit for messages, in both directions")
struct MessageCreditTests {
    // MARK: Messages that come

    /// With a window of 100, in which `count` messages of 8 bytes, which cost 20 each, have come.
    private func received(_ count: Int) throws -> ReceivedMessages {
        var messages = ReceivedMessages()
        messages.offer(100)
        for _ in 0..<count { try come(8, to: &messages) }
        return messages
    }

    private func come(_ length: Int, to messages: inout ReceivedMessages) throws {
        try messages.begin()
        messages.add(length)
        messages.end()
    }

    @Test("3.8-2 A message may begin while those before it cost less than the limit; the next one is a breach")
    func judged() throws {
        var messages = try received(4)
        try come(1000, to: &messages)
        #expect(throws: Violation.self) { try messages.begin() }
        #expect(messages.count == 5 && messages.pending == 5)
        do throws(Violation) { try messages.begin() } catch {
            #expect(error.code == .protocolError && error.text.contains("1092") && error.text.contains("100"))
        }
    }

    @Test("Without credit nothing is judged and nothing granted, but all is counted")
    func none() throws {
        var messages = ReceivedMessages()
        for _ in 0..<100 { try come(1000, to: &messages) }
        messages.handle(cost: 1012)
        messages.discard(cost: 1012)
        #expect(messages.due() == nil && messages.news() == nil && !messages.hasCredit)
        #expect(messages.pending == 98 && messages.unhandled == 99)
    }

    @Test("3.8-5 CREDIT is due when half of what is offered is handled since the last, and says all until now")
    func due() throws {
        var messages = try received(5)
        messages.handle(cost: 20)
        messages.handle(cost: 20)
        #expect(messages.due() == nil, "40 of 100")
        messages.handle(cost: 20)
        #expect(messages.due() == Credit(limit: 160, handled: 3))
        #expect(messages.due() == nil && messages.news() == nil, "it is told")
        for _ in 0..<3 { try come(8, to: &messages) }
        #expect(throws: Violation.self) { try messages.begin() }
    }

    @Test("3.8-4 A client that may not begin another, while none waits, is told", arguments: [0, 1, 7, 99, 100, 5000])
    func neverStuck(_ length: Int) throws {
        var messages = ReceivedMessages()
        messages.offer(100)
        for _ in 0..<500 {
            try come(length, to: &messages)
            messages.handle(cost: Credit.cost(of: length))
            _ = messages.due()
        }
        #expect(messages.handled == 500)
    }

    @Test("3.8-4 The least window lets one message go at a time")
    func least() throws {
        var messages = ReceivedMessages()
        messages.offer(1)
        for count: UInt64 in 1...3 {
            try come(0, to: &messages)
            #expect(throws: Violation.self) { try messages.begin() }
            messages.handle(cost: 12)
            #expect(messages.due() == Credit(limit: 12 * count + 1, handled: count))
        }
    }

    @Test("3.8-6 What is thrown away gives its room back, and is not handled")
    func discarded() throws {
        var messages = try received(5)
        messages.handle(cost: 20)
        for _ in 0..<2 { messages.discard(cost: 20) }
        #expect(messages.due() == Credit(limit: 160, handled: 1))
        #expect(messages.pending == 2 && messages.unhandled == 4)
        messages.discard(count: 2)
        #expect(messages.pending == 0 && messages.unhandled == 4)
    }

    @Test("3.8-8 There is news where the count of handled ones has grown, and only then")
    func news() throws {
        var messages = try received(2)
        #expect(messages.news() == nil)
        messages.handle(cost: 20)
        #expect(messages.news() == Credit(limit: 120, handled: 1))
        #expect(messages.news() == nil)
        messages.discard(cost: 20)
        #expect(messages.news() == nil, "room alone waits until it is due")
    }

    // MARK: Messages that go

    @Test("3.8-1 Messages go while those before cost less than the limit, the last one whatever its length")
    func sent() {
        var messages = SentMessages()
        #expect(messages.room == .max && messages.confirmed == nil)
        messages.start(limit: 30)
        messages.add(cost: 20)
        #expect(messages.room == 10)
        messages.add(cost: 2000)
        #expect(messages.room == 0)
        messages.grant(Credit(limit: 2021, handled: 1))
        #expect(messages.room == 1 && messages.confirmed == 1)
    }

    @Test("3.8-7 Of two CREDITs the greater numbers count, and no more are handled than were sent")
    func greater() {
        var messages = SentMessages()
        messages.start(limit: 30)
        for _ in 0..<3 { messages.add(cost: 12) }
        messages.grant(Credit(limit: 100, handled: 2))
        messages.grant(Credit(limit: 50, handled: 1))
        #expect(messages.room == 64 && messages.confirmed == 2)
        messages.grant(Credit(limit: 0, handled: .max))
        #expect(messages.room == 64 && messages.confirmed == 3)
        messages.grant(Credit(limit: .max, handled: 0))
        #expect(messages.room == .max)
    }

    @Test("What becomes of a message: one of the right length goes or waits, any other never goes")
    func room() {
        var room = MessageRoom(longest: 10, cost: 13)
        #expect(room.verdict(of: 10) == .goes && room.verdict(of: 11) == .never)
        room.use(0)
        #expect(room.verdict(of: 10) == .goes)
        room.use(10)
        #expect(room.cost == -21 && room.verdict(of: 0) == .waits && room.verdict(of: 11) == .never)
        #expect(MessageRoom.none.verdict(of: 0) == .never)
    }

    // MARK: In a connection

    private let terms = Terms(maxMessage: 1000, maxQueued: 2000, credit: 100)

    /// A handler that works beside the loop, and a client with the credit to begin messages of 40.
    private func opened() -> Conversation { .opened(terms, echoes: false, minor: 1, credit: 40) }

    @Test("A client that keeps to its credit is never dropped, and learns of what is handled with CREDIT and PONG")
    func client() {
        var conversation = opened()
        conversation.receive(request(1, "a"))
        for _ in 0..<5 { conversation.receive(message("12345678")) }
        #expect(conversation.said() == [])
        conversation.answer(1, "x")
        #expect(conversation.said() == ["RESPONSE 1 x", "CREDIT 160 handled 3"])
        conversation.receive(ping(9))
        #expect(conversation.said() == ["CREDIT 200 handled 5", "PONG 9 queued 0 in flight 0 longest 0"])
        conversation.receive(ping(10))
        #expect(conversation.said() == ["PONG 10 queued 0 in flight 0 longest 0"])
    }

    @Test("M1 A message without credit is a drop, at the header of its first frame")
    func breach() {
        var conversation = opened()
        conversation.receive(request(1, "a"))
        for _ in 0..<5 { conversation.receive(message("12345678")) }
        conversation.receive(raw(0x07, length: 900))
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 1"])
        #expect(conversation.connection.closeReason.text.contains("without credit"))
    }

    @Test("M2 The chunks of a message that began in time may go beyond the limit")
    func beyond() {
        var conversation = opened()
        conversation.receive(request(1, "a"))
        conversation.receive(message(String(repeating: "x", count: 400), more: true))
        conversation.receive(message(String(repeating: "y", count: 600)))
        #expect(conversation.said() == [])
        conversation.receive(message(""))
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 1"])
    }

    @Test("3.8 Credit is in force where both sides speak it in 1.1, and on no SHORT connection")
    func inForce() {
        for (minor, isShort, credit): (UInt8, Bool, UInt64?) in [(0, false, 40), (1, true, 40), (1, false, nil)] {
            var conversation = Conversation(terms)
            conversation.receive(hello(short: isShort, minor: minor, credit: credit))
            #expect(!conversation.connection.received.hasCredit)
            #expect(conversation.connection.messageRoom.confirmed == nil)
            guard !isShort else { continue }
            conversation.receive(LifelineServerTests.credit(100, handled: 0))
            #expect(conversation.said().last == "CLOSE PROTOCOL_ERROR last 0", "M5")
        }
    }

    @Test("Messages count in no limit of requests, and not in PONG's load")
    func requests() {
        for credit: UInt64? in [nil, 40] {
            var conversation = Conversation.opened(
                Terms(maxMessage: 1000, maxQueued: 1000, credit: 5000), echoes: false, minor: 1, credit: credit)
            conversation.receive(request(1, "a"), message(String(repeating: "x", count: 900)))
            conversation.connection.send(zeros(800)[...], at: conversation.now)
            conversation.receive(request(2, String(repeating: "r", count: 990)), ping(9))
            let said = conversation.said()
            #expect(said.contains("PONG 9 queued 991 in flight 2 longest 0"), "\(said)")
            #expect(!said.contains { $0.hasPrefix("FAILURE") })
        }
    }

    @Test("The handler sends as far as the client's credit goes, and on when CREDIT comes")
    func handler() {
        var conversation = opened()
        var taken = 0
        while conversation.connection.send(text("12345678")[...], at: conversation.now) { taken += 1 }
        conversation.settle()
        #expect(taken == 2)
        #expect(conversation.said() == ["MESSAGE 12345678", "MESSAGE 12345678"])
        #expect(conversation.connection.messageRoom.verdict(of: 8) == .waits)
        conversation.receive(credit(60, handled: 1))
        #expect(conversation.connection.messageRoom == MessageRoom(longest: 1 << 20, cost: 20, confirmed: 1))
        let isTaken = conversation.connection.send(text("12345678")[...], at: conversation.now)
        #expect(isTaken)
        conversation.settle()
        #expect(conversation.said() == ["MESSAGE 12345678"])
        conversation.receive(close())
        #expect(conversation.connection.messageRoom.verdict(of: 0) == .never)
        #expect(conversation.connection.messageRoom.confirmed == 1, "the last count stays")
    }

    @Test("What waits for a client without credit is bounded by max_queued")
    func withoutCredit() {
        var conversation = Conversation.opened(terms, echoes: false)
        var taken = 0
        while conversation.connection.send(zeros(500)[...], at: conversation.now) { taken += 1 }
        #expect(taken == 4, "a message of 512 may begin below 2000")
        conversation.settle()
        #expect(conversation.connection.messageRoom.cost == 2000)
    }
}
