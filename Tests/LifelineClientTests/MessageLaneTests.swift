import Basics
import Framing
import Synchronization
import Testing

@testable import LifelineClient

/// What callers of `send` may do without the session: the same as with it.
@Suite("The lane of messages") struct MessageLaneTests {
    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }

    // MARK: What the session allows

    @Test(
        "3.8-1 The allowance has as many messages as the session sends", arguments: [0, 1, 21, 22, 23, 45, 100, 1000])
    func credit(_ limit: UInt64) throws {
        var world = try TwoWaySession(window: 1000, credit: limit)
        world.send(1, bytes(5))
        let isSent = try !world.sent().isEmpty
        #expect(isSent == (limit > 0))
        guard isSent else {
            #expect(world.session.messageAllowance == nil, "a message waits")
            return
        }
        var allowance = world.session.messageAllowance
        var allowed = 0
        while allowance?.take(10) != nil { allowed += 1 }
        #expect(allowance.map { $0.lastNumber == allowed + 1 } ?? (allowed == 0))
        for id: Call.ID in 0..<60 { world.send(id + 2, bytes(10)) }
        #expect(try world.sent().count == allowed)
    }

    @Test("4.2 It ends where more than max_queued bytes wait, like the session", arguments: [0, 1] as [UInt8])
    func queued(_ minor: UInt8) throws {
        var world = try TwoWaySession(minor: minor)
        var allowance = try #require(world.session.messageAllowance)
        var allowed = 0
        while allowance.take(100_000) != nil { allowed += 1 }
        #expect(allowed == 11, "max_queued is 1 MiB, and the last goes beyond")
        for id: Call.ID in 1...60 { world.send(id, bytes(100_000)) }
        world.session.enforceDeadlines(at: world.now)
        world.drain()
        #expect(world.numbers.count == allowed)
    }

    @Test("What needs another rule is left to the session: messages over max_message, and empty ones in 1.0")
    func others() throws {
        var modern = try #require(
            try TwoWaySession(window: 1000, credit: 1000, maxMessage: 50).session.messageAllowance)
        #expect(modern.take(51) == nil)
        #expect(modern.take(50) == 1)
        #expect(modern.take(0) == 2)
        var old = try #require(try TwoWaySession(minor: 0).session.messageAllowance)
        #expect(old.take(0) == nil)
        #expect(old.take(1) == 1)
    }

    @Test("There is none before WELCOME, after GOAWAY, while the program closes, and behind the end")
    func none() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        #expect(world.session.messageAllowance != nil)
        world.peer.outbox.goAway(GoAway(.shuttingDown))
        world.receive()
        #expect(world.session.messageAllowance == nil)
        world = try TwoWaySession(window: 1000, credit: 1000)
        #expect(world.session.accept([bytes(1)]) == nil)
        world.close()
        #expect(world.session.leaving != nil)
        #expect(world.session.messageAllowance == nil)
        world = try TwoWaySession(window: 1000, credit: 1000)
        world.session.streamEnded(at: world.now)
        #expect(world.session.messageAllowance == nil)
        world.go(to: 60)
        world.session.dialed(at: world.now)
        #expect(world.session.messageAllowance == nil)
    }

    @Test("Messages of the lane and of waiting callers have the numbers of their order")
    func order() throws {
        var world = try TwoWaySession(window: 1000, credit: 45)
        #expect(world.session.accept([bytes(1), bytes(2)]) == nil)
        world.send(1, bytes(3))
        world.send(2, bytes(4))
        world.send(3, bytes(5))
        #expect(try world.sent() == [.message(bytes(1)), .message(bytes(2)), .message(bytes(3)), .message(bytes(4))])
        #expect(world.numbers == [1: 3, 2: 4])
        #expect(world.session.messageAllowance == nil, "a caller waits")
        world.peer.outbox.grant(Credit(limit: 1000, handled: 4))
        world.receive()
        #expect(try world.sent() == [.message(bytes(5))])
        #expect(world.session.messageAllowance?.lastNumber == 5)
    }

    @Test("Nothing is known of messages whose connection is lost, in whichever queue it met them")
    func lost() throws {
        var world = try TwoWaySession(window: 1000, credit: 1000)
        #expect(world.session.accept([bytes(1), bytes(1), bytes(1)]) == nil)
        world.peer.outbox.grant(Credit(limit: 1000, handled: 1))
        world.receive()
        world.session.streamEnded(at: world.now)
        world.drain()
        #expect(world.events.contains(.messagesUnconfirmed(numbers: 2...3)))
        #expect(world.session.accept([bytes(1), bytes(1)]) == .messagesUnconfirmed(numbers: 4...5))
        var counts = MessageCounts()
        (counts.sent, counts.handled, counts.unconfirmed) = (5, 1, 4)
        #expect(world.session.messageCounts == counts)
        // The numbers go on behind them.
        world.go(to: 60)
        try world.connect(credit: 1000)
        world.send(1, bytes(1))
        _ = try world.sent()
        #expect(world.numbers == [1: 6])
    }

    @Test("A server that tells nothing leaves them untold")
    func untold() throws {
        var world = try TwoWaySession()
        world.session.streamEnded(at: world.now)
        #expect(world.session.accept([bytes(1)]) == nil)
        var counts = MessageCounts()
        (counts.sent, counts.untold) = (1, 1)
        #expect(world.session.messageCounts == counts)
    }

    // MARK: The lane

    private func allowance(credit: UInt64) throws -> MessageAllowance {
        try #require(try TwoWaySession(window: 1000, credit: credit).session.messageAllowance)
    }

    @Test("A lane that is not open takes nothing; one that is takes what is allowed, with what is here already")
    func openAndShut() throws {
        let lane = MessageLane()
        var taken: [[UInt8]] = []
        #expect(lane.add(bytes(1)) == nil)
        #expect(lane.open(try allowance(credit: 30), sleeps: true) == false)
        #expect(lane.add(bytes(1))?.number == 1)
        #expect(lane.add(bytes(2))?.number == 2)
        // The session knows nothing of these two yet.
        #expect(lane.open(try allowance(credit: 30), sleeps: true) == true)
        #expect(lane.add(bytes(3))?.number == 3)
        #expect(lane.add(bytes(4)) == nil, "3.8-1: 42 are spent")
        #expect(lane.lastNumber == 3)
        lane.shut(into: &taken)
        #expect(taken == [bytes(1), bytes(2), bytes(3)])
        #expect(lane.add(bytes(1)) == nil)
        taken = []
        lane.take(into: &taken)
        #expect(taken.isEmpty)
    }

    @Test("Only the first message wakes a thread that sleeps, and none one that is awake")
    func wakes() throws {
        let lane = MessageLane()
        var taken: [[UInt8]] = []
        _ = lane.open(try allowance(credit: 10_000), sleeps: true)
        #expect(lane.add(bytes(1))?.wakes == true)
        #expect(lane.add(bytes(1))?.wakes == false)
        lane.take(into: &taken)
        #expect(lane.add(bytes(1))?.wakes == false, "the thread looks again before it sleeps")
        #expect(lane.open(try allowance(credit: 10_000), sleeps: true) == true, "so it must not sleep")
        taken = []
        lane.take(into: &taken)
        #expect(lane.open(try allowance(credit: 10_000), sleeps: true) == false)
        #expect(lane.add(bytes(1))?.wakes == true)
    }

    @Test("Of many callers each keeps its order, and every number is given once")
    func manyCallers() async throws {
        let lane = MessageLane()
        _ = lane.open(try allowance(credit: .max), sleeps: true)
        let numbers = try await withThrowingTaskGroup(of: [Int].self) { group in
            for caller: UInt8 in 0..<4 {
                group.addTask {
                    try (0..<200).map { try #require(lane.add([caller, UInt8($0)])).number }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(numbers.allSatisfy { $0 == $0.sorted() })
        #expect(numbers.joined().sorted() == Array(1...800))
        var taken: [[UInt8]] = []
        lane.shut(into: &taken)
        for caller: UInt8 in 0..<4 {
            #expect(taken.filter { $0[0] == caller }.map { $0[1] } == (0..<200).map { UInt8($0) })
        }
    }
}
