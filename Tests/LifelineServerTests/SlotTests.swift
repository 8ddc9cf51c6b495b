import Basics
import Framing
import Testing

@testable import LifelineServer
@testable import Posix

@Suite("The memory that a child and its parent share")
struct SlotTests {
    @Test("What a child shows is what the parent sees; instants to two nanoseconds")
    func shown() throws {
        var slots = try Scoreboard(3)
        let slot = slots[slots.take()!]
        #expect(slot.heardAt == nil && slot.roundTrip == nil && slot.lateness == nil && slot.closeReason == nil)
        let now = Instant(sinceStart: .nanoseconds(123_456_789_012_345_678))
        slot.heardAt = now
        slot.publish(answered: 1, bytesIn: 2, bytesOut: 3, inFlight: 4, activity: .working)
        for time in [Duration.milliseconds(3), .seconds(40), .zero] {
            slot.add(roundTrip: time)
        }
        let counted = ConnectionCounts(
            failed: 5, cancelled: 6, refused: 7, unanswered: 8, messagesIn: 9, messagesOut: 10, unhandled: 11)
        slot.counts = counted
        let asked = ServerRequestCounts(answered: 12, failed: 13, notSent: 14, refused: 15, unknown: 16)
        slot.serverRequests = asked
        slot.name = Array("till 7".utf8)
        slot.closeReason = CloseReasonLabel.numbers(of: .closed(.silent, "", by: .server))
        slot.lateness = .zero
        let figures = ConnectionStatistics(slot)
        #expect(now - figures.heardAt! < .nanoseconds(2) && figures.heardAt! <= now)
        #expect((figures.requests, figures.bytesIn, figures.bytesOut, figures.inFlight) == (1 + 5 + 6, 2, 3, 4))
        #expect(figures.counts == counted && figures.serverRequests == asked)
        #expect(figures.state == .working && figures.name == "till 7")
        #expect(figures.cause == CloseReasonLabel(reason: 7, by: 1) && figures.lateness == .zero)
        let counts = try #require(figures.roundTrips).counts
        #expect(counts[0] == 1 && counts[3] == 1 && counts.last == 1 && counts.reduce(0, +) == 3)
        #expect(figures.roundTrip! < .nanoseconds(2), "the last, and not none")
    }

    @Test("A slot that is taken again is empty, and its neighbour's is another")
    func again() throws {
        var slots = try Scoreboard(2)
        let (one, other) = (slots.take()!, slots.take()!)
        slots[one].name = Array(repeating: 0x61, count: 100)
        slots[other].heardAt = at(1)
        #expect(slots[one].name.count == 64 && slots[other].name.isEmpty && slots[one].heardAt == nil)
        slots.giveBack(one)
        #expect(slots.take() == one && slots[one].name.isEmpty)
        #expect(slots.take() == nil, "there are two")
    }

    @Test(
        "Whatever a child writes there, the parent shows it, counts it and goes on",
        arguments: [0x80, 0xFF, 0x01, 0x7F])
    func garbage(_ byte: UInt8) throws {
        var slots = try Scoreboard(1)
        let slot = slots[slots.take()!]
        UnsafeMutableRawPointer(slot.row).initializeMemory(
            as: UInt8.self, repeating: byte, count: MemoryLayout<Scoreboard.Row>.size)
        let figures = ConnectionStatistics(slot)
        let row = ControlAnswer.row(id: 1, pid: 1, peer: "p", acceptedAt: at(0), figures, at: at(1))
        #expect(JSONObject(line: row.line.utf8) == row)
        #expect(row.line.utf8.count < 1000 && ConnectionTable.lines([row]).count == 2)
        var totals = ServerStatistics()
        for _ in 0..<100 { totals.reap(ConnectionStatistics(slot)) }
        #expect(!totals.metrics(living: [figures], refused: [:], uptime: .zero, version: "").isEmpty)
        #expect(totals.closed.allSatisfy { $0.key.reason == "OTHER" || $0.value == 0 })
    }

    @Test("A row is whole lines of the cache, and a signal handler's word is where the parent reads it")
    func layout() throws {
        #expect(MemoryLayout<Scoreboard.Row>.stride == 384 && Histogram.Scale.roundTrips.bounds.count == 15)
        var slots = try Scoreboard(1)
        let slot = slots[slots.take()!]
        slot.crashSizeAddress.pointee = 7
        #expect(slot.crashSize == 7)
    }

    @Test("The parent's commands: a level for all, and a command for one child at a time, of which a kick is the last")
    func commands() throws {
        let commands = try ChildCommands(slots: 5000, level: .warning)
        #expect(commands.logLevel == .warning)
        for level in LogLevel.allCases {
            commands.logLevel = level
            #expect(commands.logLevel == level)
        }
        for command in [ChildCommands.ChildCommand.sendAway(retryAfter: .max), .end, .sendAway(retryAfter: 0), .kick] {
            commands.post(command, to: 4999)
            #expect(commands[4999].command == command && commands[4998].command == nil && commands[0].command == nil)
        }
        commands.post(.end, to: 4999)
        #expect(commands[4999].command == .kick)
        commands.clear(4999)
        #expect(commands[4999].command == nil && commands.logLevel == .debug)
        commands.connections = 70_000
        #expect(commands[0].connections == 70_000 && commands[4999].connections == 70_000)
        #expect(commands[0].command == nil && commands.logLevel == .debug)
    }
}
