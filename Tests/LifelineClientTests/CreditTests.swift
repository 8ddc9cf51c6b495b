import Basics
import Framing
import Synchronization
import Testing

@testable import LifelineClient

/// Credit for messages, both ways, and the end of a connection with messages that are not handled (Protocol.md, section 3.8).
@Suite("Credit for messages") struct CreditTests {
    private let ten = [UInt8](repeating: 1, count: 10)

    // MARK: Messages to the server

    @Test("3.8-1 A message begins while those before it cost less than the limit, and not at the limit")
    func limit() throws {
        // Each costs 22: the third begins at 44.
        var world = try TwoWaySession(window: 1000, credit: 45)
        for id: Call.ID in 1...4 { world.send(id, ten) }
        #expect(try world.sent() == Array(repeating: .message(ten), count: 3))
        #expect(world.numbers == [1: 1, 2: 2, 3: 3])
        world.peer.outbox.grant(Credit(limit: 66, handled: 1))
        world.receive()
        #expect(try world.sent() == [], "66 are spent")
        world.peer.outbox.grant(Credit(limit: 67, handled: 2))
        world.receive()
        #expect(try world.sent() == [.message(ten)])
        #expect(world.session.messageCounts.sent == 4)
        #expect(world.session.messageCounts.handled == 2)
    }

    @Test("A message of any length goes where the limit is not reached; requests do not wait for messages")
    func long() throws {
        var world = try TwoWaySession(window: 1000, credit: 1)
        world.send(1, [UInt8](repeating: 2, count: 1000))
        world.send(2, [])
        world.session.start(3, Call(.request(mayRunTwice: false), bytes("r"), deadline: nil))
        #expect(try world.sent() == [.message([UInt8](repeating: 2, count: 1000)), .request(1, bytes("r"))])
        world.peer.outbox.grant(Credit(limit: 1013, handled: 1))
        world.receive()
        #expect(try world.sent() == [.message([])])
    }

    @Test("3.8-7, M3, M4 The greater numbers count, and no more is handled than was sent")
    func monotone() throws {
        var world = try TwoWaySession(window: 1000, credit: 100)
        world.send(1, ten)
        _ = try world.sent()
        world.peer.outbox.grant(Credit(limit: 200, handled: .max))
        world.peer.outbox.grant(Credit(limit: 1, handled: 0))
        world.receive()
        #expect(world.session.messageCounts.handled == 1)
        for id: Call.ID in 2...9 { world.send(id, ten) }
        #expect(try world.sent().count == 8, "22 to 198 are spent")
        world.send(10, ten)
        #expect(try world.sent().count == 1)
        world.send(11, ten)
        #expect(try world.sent() == [])
    }

    @Test("A server without credit bounds messages by max_queued, and tells nothing", arguments: [0, 1] as [UInt8])
    func without(_ minor: UInt8) throws {
        var world = try TwoWaySession(window: 1000, minor: minor)
        for id: Call.ID in 1...50 { world.send(id, ten) }
        #expect(try world.sent().count == 50)
        world.close()
        #expect(try world.sent() == [.close(.normal)])
        var counts = MessageCounts()
        (counts.sent, counts.untold) = (50, 50)
        #expect(world.session.messageCounts == counts)
        #expect(!counts.areAllHandled)
        #expect(world.events.last == .closed(.closedByProgram))
    }

    @Test("A message that waits for credit needs no turn of the loop")
    func noTurns() throws {
        var world = try TwoWaySession(window: 1000, credit: 0)
        world.send(1, [])
        _ = try world.sent()
        let next = try #require(world.session.nextDeadline(at: world.now))
        #expect(next > world.now + .milliseconds(1))
    }

    // MARK: The end

    @Test("Messages that were never on the connection are NOT_SENT, and close() asks for nothing")
    func neverSent() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        for id: Call.ID in 1...3 { world.send(id, ten) }
        world.close()
        world.send(4, ten)
        #expect(try world.sent() == [.close(.normal)])
        #expect(world.results[1] == .failure(.notSent(.connection(.closedByProgram))))
        #expect(world.results[4] == .failure(.notSent(.connection(.closedByProgram))))
    }

    @Test("The end with messages on their way: all are handled, some are, or the time is over", arguments: 0...3)
    func ends(_ way: Int) throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        for id: Call.ID in 1...3 { world.send(id, ten) }
        #expect(try world.sent().count == 3)
        world.close(within: .seconds(30))
        #expect(try world.sent() == [.goAway(.normal)])
        var handled = 3
        switch way {
        case 0:
            // Nothing is left to wait for.
            world.peer.outbox.grant(Credit(limit: 1000, handled: 3))
            world.receive()
            #expect(try world.sent() == [.close(.normal)])
        case 1:
            handled = 2
            world.peer.outbox.grant(Credit(limit: 1000, handled: 2))
            world.peer.outbox.close(Close(.normal))
            world.receive()
            #expect(try world.sent() == [.close(.normal)])
        case 2:
            handled = 1
            // Its heart goes on beating.
            for second in 1...29 {
                world.go(to: Double(second))
                _ = try world.sent()
                if second == 20 { world.peer.outbox.grant(Credit(limit: 1000, handled: 1)) }
                world.receive()
            }
            #expect(world.session.phase == .open)
            world.go(to: 30)
            #expect(try world.sent() == [.close(.normal)])
        default:
            handled = 0
            world.session.streamBroke("gone", at: world.now)
            world.drain()
        }
        let counts = world.session.messageCounts
        #expect(counts.sent == 3 && counts.handled == handled && counts.unconfirmed == 3 - handled)
        #expect(counts.areAllHandled == (handled == 3))
        let unconfirmed = world.events.filter { if case .messagesUnconfirmed = $0 { true } else { false } }
        #expect(unconfirmed == (handled == 3 ? [] : [.messagesUnconfirmed(numbers: (handled + 1)...3)]))
        guard case .closed(let error)? = world.events.last else {
            Issue.record("\(world.events)")
            return
        }
        #expect(error.kind == (way == 3 ? .broken : .closedByProgram))
    }

    @Test("A second close() shortens the wait")
    func shortened() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        world.send(1, ten)
        _ = try world.sent()
        world.close()
        #expect(try world.sent() == [.goAway(.normal)])
        world.close(within: .seconds(100))
        #expect(try world.sent() == [])
        world.close(within: .zero)
        #expect(try world.sent() == [.close(.normal)])
    }

    @Test("close(within: .zero) does not ask")
    func atOnce() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        world.send(1, ten)
        _ = try world.sent()
        world.close(within: .zero)
        #expect(try world.sent() == [.close(.normal)])
        #expect(world.session.messageCounts.unconfirmed == 1)
    }

    @Test("close() with a request in flight leaves behind the messages, and waits for both")
    func requestInFlight() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        world.send(1, ten)
        world.session.start(2, Call(.request(mayRunTwice: false), bytes("r"), deadline: nil))
        _ = try world.sent()
        world.close()
        #expect(try world.sent() == [.goAway(.normal)])
        world.peer.outbox.grant(Credit(limit: 1000, handled: 1))
        world.receive()
        #expect(try world.sent() == [])
        world.peer.respond(1, "a")
        world.receive()
        #expect(world.results[2] == .success(bytes("a")))
        #expect(try world.sent() == [.close(.normal)])
    }

    @Test("A lost connection: the numbers of what is not known, over several connections")
    func lost() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        for id: Call.ID in 1...3 { world.send(id, ten) }
        _ = try world.sent()
        world.peer.outbox.grant(Credit(limit: 1000, handled: 1))
        world.receive()
        world.session.streamBroke("gone", at: world.now)
        world.drain()
        #expect(world.events.contains(.messagesUnconfirmed(numbers: 2...3)))
        world.send(4, ten)
        world.go(to: 5)
        try world.connect(credit: 1000)
        #expect(try world.sent() == [.message(ten)])
        #expect(world.numbers[4] == 4)
        world.session.streamBroke("gone", at: world.now)
        world.drain()
        #expect(world.events.contains(.messagesUnconfirmed(numbers: 4...4)))
        let counts = world.session.messageCounts
        #expect(counts.sent == 4 && counts.handled == 1 && counts.unconfirmed == 3)
    }

    @Test("7.4-3 After the server's GOAWAY the client leaves behind its messages, waits, and comes back")
    func goingAway() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        world.send(1, ten)
        _ = try world.sent()
        world.peer.outbox.goAway(GoAway(.shuttingDown))
        world.receive()
        world.send(2, ten)
        #expect(try world.sent() == [.goAway(.normal)], "the second waits for the next connection")
        world.peer.outbox.grant(Credit(limit: 1000, handled: 0))
        world.peer.outbox.close(Close(.shuttingDown))
        world.receive()
        #expect(try world.sent() == [.close(.normal)])
        #expect(world.events.contains(.messagesUnconfirmed(numbers: 1...1)))
        #expect(!world.events.contains { if case .lost = $0 { true } else { false } })
        world.go(to: 10)
        try world.connect(credit: 1000)
        #expect(try world.sent() == [.message(ten)])
    }

    // MARK: Messages from the server

    private func push(_ world: inout TwoWaySession, _ count: Int) {
        for _ in 0..<count { world.peer.outbox.send(.message, ten[...], cost: 0) }
        world.receive()
    }

    @Test("3.8-5 CREDIT is due when half of what is offered is free again; 3.8-2 the limit told is the limit judged")
    func grants() throws {
        var world = try TwoWaySession(window: 220, credit: 0)
        #expect(world.peer.offered.credit == 220)
        push(&world, 10)
        #expect(world.messages.count == 10)
        world.session.taken(TakenMessages(isRead: true, handled: 4, gone: 4, freed: 88), at: world.now)
        #expect(try world.sent() == [])
        world.session.taken(TakenMessages(isRead: true, handled: 5, gone: 5, freed: 110), at: world.now)
        #expect(try world.sent() == [.credit(limit: 330, handled: 5)])
        push(&world, 5)
        #expect(world.messages.count == 15)
        push(&world, 1)
        #expect(try world.sent() == [.close(.protocolError)])
        #expect(world.messages.count == 15)
    }

    @Test("M2 The last message may go beyond the limit, in one frame or in several", arguments: [210, 40_000])
    func beyond(_ length: Int) throws {
        var world = try TwoWaySession(window: 220, credit: 0)
        push(&world, 9)
        world.peer.outbox.send(.message, [UInt8](repeating: 2, count: length)[...], cost: 0)
        world.receive()
        #expect(world.messages.count == 10)
        let cost = 198 + length + 12
        world.session.taken(TakenMessages(isRead: true, handled: 10, gone: 10, freed: cost), at: world.now)
        #expect(try world.sent() == [.credit(limit: UInt64(cost + 220), handled: 10)])
    }

    @Test("3.8-8 CREDIT goes ahead of a PONG where more is handled")
    func pong() throws {
        var world = try TwoWaySession(window: 220, credit: 0)
        push(&world, 2)
        world.session.taken(TakenMessages(isRead: true, handled: 1, gone: 1, freed: 22), at: world.now)
        world.peer.outbox.ping(7)
        world.receive()
        #expect(try world.sent() == [.credit(limit: 242, handled: 1), .pong(7)])
        world.peer.outbox.ping(8)
        world.receive()
        #expect(try world.sent() == [.pong(8)])
    }

    @Test("3.8-9 close() lets the program read for two seconds; CREDIT precedes CLOSE", arguments: [true, false])
    func readingAtTheEnd(_ reads: Bool) throws {
        var world = try TwoWaySession(window: 220, credit: 0)
        push(&world, 2)
        world.session.taken(TakenMessages(isRead: true, handled: 1, gone: 1, freed: 22), at: world.now)
        world.close()
        #expect(try world.sent() == [])
        if reads {
            world.session.taken(TakenMessages(isRead: true, handled: 2, gone: 2, freed: 44), at: world.now)
        } else {
            world.go(to: 2)
        }
        let handled: UInt64 = reads ? 2 : 1
        #expect(try world.sent() == [.credit(limit: 220 + 22 * handled, handled: handled), .close(.normal)])
    }

    @Test("A program that reads no messages holds no end up")
    func notReading() throws {
        var world = try TwoWaySession(window: 220, credit: 0)
        push(&world, 2)
        world.close()
        #expect(try world.sent() == [.close(.normal)])
    }

    @Test("A new connection offers what the messages of the last one leave")
    func older() throws {
        var world = try TwoWaySession(window: 220, credit: 0)
        world.session.streamBroke("gone", at: world.now)
        world.drain()
        world.go(to: 5)
        world.peer = Peer()
        world.session.dialed(unread: 200, at: world.now)
        _ = try world.sent()
        #expect(world.peer.offered.credit == 20)
        world.peer.greet(
            Welcome(
                pingEvery: 2000, deadAfter: 10_000, maxFrame: 16384, maxMessage: 1000, maxInFlight: 4, maxQueued: 1000,
                connection: 8, options: Options(credit: 0)))
        world.receive()
        world.session.taken(TakenMessages(isRead: true, older: 100), at: world.now)
        #expect(try world.sent() == [], "half of 220 has to be free")
        world.session.taken(TakenMessages(isRead: true, older: 90), at: world.now)
        #expect(try world.sent() == [.credit(limit: 130, handled: 0)])
    }
}

/// The queue of messages that the program reads.
@Suite("Inbound messages") struct InboundMessagesTests {
    private func message(_ number: UInt8) -> [UInt8] { [UInt8](repeating: number, count: 10) }

    @Test("Until the program reads, the oldest make room, and their cost is free at once")
    func dropping() {
        let messages = InboundMessages(most: 740)
        _ = messages.beginConnection()
        for number: UInt8 in 0..<12 { _ = messages.add(message(number), isCredited: true) }
        #expect(messages.dropped == 2)
        #expect(messages.hasNews)
        #expect(messages.collect() == TakenMessages(gone: 2, freed: 12 * 22))
        #expect(!messages.hasNews)
    }

    @Test("Once it reads nothing is dropped, and what it takes is counted")
    func reading() async {
        let messages = InboundMessages(most: 740)
        _ = messages.beginConnection()
        _ = messages.add(message(0), isCredited: true)
        var reader = messages.makeAsyncIterator()
        #expect(await reader.next() == message(0))
        for number: UInt8 in 1...30 { #expect(!messages.add(message(number), isCredited: true)) }
        #expect(messages.dropped == 0)
        for number: UInt8 in 1...3 { #expect(await reader.next() == message(number)) }
        #expect(messages.collect() == TakenMessages(isRead: true, handled: 4, gone: 4, freed: 88))
        // A server without credit does not wait.
        #expect(messages.add(message(31)))
    }

    @Test("A reader that waits takes the message when it comes")
    func waiting() async {
        let messages = InboundMessages(most: 740)
        _ = messages.beginConnection()
        async let first: [UInt8]? = {
            var reader = messages.makeAsyncIterator()
            return await reader.next()
        }()
        while !messages.hasNews { await Task.yield() }
        _ = messages.add(message(0), isCredited: true)
        #expect(await first == message(0))
        #expect(messages.collect() == TakenMessages(isRead: true, handled: 1, gone: 1, freed: 22))
    }

    @Test("The I/O thread is woken for each half, and not for each message")
    func wakeUps() async {
        let wakes = Mutex(0)
        let messages = InboundMessages(most: 740) { wakes.withLock { $0 += 1 } }
        _ = messages.beginConnection()
        for number: UInt8 in 0..<30 { _ = messages.add(message(number), isCredited: true) }
        #expect(messages.dropped == 20)
        var reader = messages.makeAsyncIterator()
        for number: UInt8 in 20..<30 { #expect(await reader.next() == message(number)) }
        for number: UInt8 in 0..<30 { _ = messages.add(message(number), isCredited: true) }
        #expect(wakes.withLock { $0 } == 0)
        for _ in 0..<7 { _ = await reader.next() }
        #expect(wakes.withLock { $0 } == 1)
        for _ in 0..<3 { _ = await reader.next() }
        #expect(wakes.withLock { $0 } == 1, "it has not looked yet")
        _ = messages.collect()
        for _ in 0..<17 { _ = await reader.next() }
        #expect(wakes.withLock { $0 } == 2)
    }

    @Test("Messages of the last connection count against the next one, and are none of its handled ones")
    func connections() async {
        let messages = InboundMessages(most: 740)
        #expect(messages.beginConnection() == 0)
        _ = messages.add(message(0), isCredited: true)
        #expect(messages.beginConnection() == 0, "nobody reads")
        var reader = messages.makeAsyncIterator()
        _ = await reader.next()
        for number: UInt8 in 1...2 { _ = messages.add(message(number), isCredited: true) }
        #expect(messages.beginConnection() == 44)
        _ = messages.add(message(3), isCredited: true)
        _ = await reader.next()
        #expect(messages.collect() == TakenMessages(isRead: true, older: 22))
        for _ in 0..<2 { _ = await reader.next() }
        #expect(messages.collect() == TakenMessages(isRead: true, handled: 1, gone: 1, freed: 22))
    }
}
