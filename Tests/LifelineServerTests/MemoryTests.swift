import Framing
import Testing

@testable import LifelineServer

@Suite("What one connection may hold of the budget of all")
struct MemoryShareTests {
    /// Budget, what all hold, what this one holds of that; what fits, and the least that does not.
    static let table: [(Int, Int, Int, Int)] = [
        (1000, 0, 0, 1000), (1000, 400, 0, 600), (1000, 400, 400, 200), (1000, 500, 500, 0), (1000, 600, 500, -1),
        (1000, 999, 0, 1), (1000, 1000, 0, 0), (1000, 1500, 0, -1), (1000, 1500, 700, -1), (1000, 100, 200, 600),
    ]

    @Test("It may hold as much as is free: own + size <= budget - total", arguments: table)
    func thresholds(_ budget: Int, _ total: Int, _ own: Int, _ most: Int) {
        let share = MemoryShare(of: budget, total: total, own: own)
        #expect(share.room(holding: own) == max(0, most))
        #expect(share.allows(most + 1, holding: own) == false)
        if most >= 0 { #expect(share.allows(most, holding: own)) }
    }

    @Test("Without a budget everything is allowed")
    func unlimited() {
        #expect(MemoryShare.unlimited.allows(1 << 40, holding: 1 << 50))
        #expect(MemoryShare.unlimited.window(1 << 20, holding: 1 << 30) == 1 << 20)
    }

    @Test("The window for messages is what is free, and room for one message where nothing is held")
    func window() {
        let full = MemoryShare(of: 1000, total: 1000, own: 0)
        #expect(full.window(1 << 20, holding: 0) == 1 && full.window(1 << 20, holding: 100) == 0)
        #expect(full.window(0, holding: 0) == 0)
        let half = MemoryShare(of: 1000, total: 500, own: 100)
        #expect(half.window(1 << 20, holding: 100) == 400 && half.window(50, holding: 100) == 50)
    }

    @Test("The sum never exceeds the budget, whoever asks for what and gives back when", arguments: 1...20)
    func never(_ seed: Int) {
        var random = Numbers(state: UInt64(seed))
        let budget = Int.random(in: 1000...100_000, using: &random)
        var held = [Int](repeating: 0, count: Int.random(in: 1...30, using: &random))
        for _ in 0..<5000 {
            let index = Int.random(in: 0..<held.count, using: &random)
            if Int.random(in: 0..<4, using: &random) == 0 {
                held[index] = Int.random(in: 0...held[index], using: &random)
            } else {
                let size = Int.random(in: 0...(budget / 10), using: &random)
                let share = MemoryShare(of: budget, total: held.reduce(0, +), own: held[index])
                if share.allows(size, holding: held[index]) { held[index] += size }
            }
            #expect(held.reduce(0, +) <= budget)
        }
    }

    @Test(
        "Those that want more than there is get equal parts, one is left, and a newcomer gets in",
        arguments: [1, 4, 20])
    func fair(_ count: Int) {
        let budget = 1_000_000
        var held = [Int](repeating: 0, count: count)
        held[0] = budget / 2
        for round in 0..<200_000 {
            let index = round % count
            // What it had first is worked off.
            if index == 0, held[0] > budget / (count + 1) { held[0] -= 200 }
            let share = MemoryShare(of: budget, total: held.reduce(0, +), own: held[index])
            if share.allows(100, holding: held[index]) { held[index] += 100 }
        }
        for own in held { #expect(abs(own - budget / (count + 1)) <= 400) }
        #expect(
            MemoryShare(of: budget, total: held.reduce(0, +), own: 0).allows(budget / (count + 1) - 10_000, holding: 0))
    }

    private struct Numbers: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }
}

@Suite("What a connection holds")
struct HeldMemoryTests {
    @Test(
        "Requests and messages that wait count, what comes in chunks, and what the client does not take; then nothing")
    func held() {
        var conversation = Conversation.working()
        #expect(conversation.connection.held == 0)
        conversation.receive(request(1, "abc"), raw(0x07, zeros(100)), request(2, "ab"))
        #expect(conversation.connection.held == 3 + 48 + 2 + 48 + 112)
        conversation.receive(raw(0x07, flags: 1, zeros(50)))
        #expect(conversation.connection.held == 3 + 48 + 2 + 48 + 112 + 50)
        conversation.takes = false
        conversation.answer(1, "abcdefgh")
        #expect(conversation.connection.held == 8 + 2 + 48 + 50, "the message was given to the handler")
        conversation.takes = true
        conversation.settle()
        conversation.finish()
        conversation.answer(2, "")
        conversation.receive(raw(0x07))
        #expect(conversation.connection.held == 0)
    }

    @Test("3.6-8 A request that finds no room is refused with a time to come back; what was taken goes on")
    func refused() {
        var conversation = Conversation.working()
        conversation.connection.share = MemoryShare(of: 1000, total: 0, own: 0)
        conversation.receive(
            request(1, String(repeating: "a", count: 400)), request(2, String(repeating: "a", count: 400)))
        #expect(conversation.said() == ["FAILURE 2 REFUSED"])
        #expect(conversation.connection.counts.refused == 1 && conversation.connection.counts.overBudget == 1)
        conversation.finish(answering: 1)
        #expect(conversation.connection.held == 0)
        conversation.receive(request(3, String(repeating: "a", count: 400)))
        #expect(conversation.seen.last == .request(3, String(repeating: "a", count: 400)))
    }

    @Test("3.6-10 What came of a refused request is let go of, and its last chunks are thrown away")
    func refusedInChunks() {
        var conversation = Conversation.working()
        conversation.connection.share = MemoryShare(of: 1000, total: 0, own: 0)
        conversation.receive(raw(0x05, flags: 1, id: 1, zeros(300)))
        #expect(conversation.connection.held == 300)
        conversation.receive(raw(0x05, flags: 1, id: 1, zeros(300)), raw(0x05, id: 1, zeros(10)), request(2, "a"))
        #expect(conversation.said() == ["FAILURE 1 REFUSED"])
        #expect(conversation.seen.last == .request(2, "a"))
        #expect(conversation.connection.held == 49)
    }

    @Test("11-6 The refusal says after how many milliseconds to come back, not all the same, and is short")
    func spread() {
        var times: Set<UInt32> = []
        for id in 1...100 as ClosedRange<UInt32> {
            var connection = Conversation.working().connection
            connection.share = MemoryShare(of: 0, total: 0, own: 0)
            let bytes = request(id, "a")
            connection.received(bytes.count, at: at(0))
            #expect(connection.next(in: bytes, at: at(0)) == nil)
            let frame = Array(connection.outbox.unsent)
            times.insert(frame[16..<20].reduce(0) { $0 << 8 | UInt32($1) })
            #expect(frame.count - 20 <= 64 && frame.count > 20)
        }
        #expect(times.count > 50 && times.allSatisfy { (1000..<2100).contains($0) })
    }

    @Test("Credit for messages is what is free, and half of that is worth a frame; what was told stays")
    func credit() {
        var messages = ReceivedMessages()
        messages.offer(1000)
        for _ in 0..<10 {
            do { try messages.begin() } catch { Issue.record("\(error)") }
            messages.add(88)
            messages.end()
        }
        for _ in 0..<5 { messages.handle(cost: 100) }
        #expect(messages.due(room: 0) == nil, "500 of 1000 are handled, and nothing is free")
        #expect(messages.due(room: 40) == Credit(limit: 1040, handled: 5))
        #expect(messages.due(room: 40) == nil)
        #expect(messages.due(room: 1000) == nil, "less than half of the window")
        for _ in 0..<5 { messages.handle(cost: 100) }
        #expect(messages.news(room: 0) == Credit(limit: 1040, handled: 10), "it never falls")
        #expect(messages.due(room: 1) == nil && messages.due(room: .max) == Credit(limit: 2000, handled: 10))
    }

    @Test("A client that connects is offered what is free, and one byte where nothing is; its window stays what it was")
    func welcome() {
        for (total, limit) in [(0, 1000), (700, 300), (2000, 1)] {
            var conversation = Conversation(Terms(credit: 1000))
            conversation.connection.share = MemoryShare(of: 1000, total: total, own: 0)
            let hello =
                preface
                + raw(0x01, [1, 1, 0, 0] + u32(0) + u32(0) + u32(16384) + u32(1 << 20) + u16(4) + u16(8) + u64(5))
            conversation.receive(hello)
            #expect(conversation.connection.decoder.agreement.credit)
            #expect(conversation.connection.received.due(room: .max)?.limit == (limit > 500 ? nil : 1000))
        }
    }

    @Test("The handler's messages feel the budget: there is room for what is free")
    func messages() {
        var conversation = Conversation.working()
        conversation.connection.share = MemoryShare(of: 1000, total: 600, own: 0)
        #expect(conversation.connection.messageRoom.cost == 400)
        conversation.connection.share = MemoryShare(of: 1000, total: 2000, own: 0)
        #expect(conversation.connection.messageRoom.cost == 0)
    }
}

@Suite("Memory that was freed goes back")
struct MemoryReleaseTests {
    @Test("A second after much was freed, once, and not for little")
    func release() {
        var release = MemoryRelease()
        release.holds(MemoryRelease.least - 1, at: at(0))
        release.holds(0, at: at(1))
        #expect(!release.isArmed && !release.isDue(at: at(5000)))
        release.holds(3 * MemoryRelease.least, at: at(10))
        #expect(!release.isArmed)
        release.holds(2 * MemoryRelease.least, at: at(20))
        release.holds(0, at: at(500))
        #expect(release.deadline == at(1020) && !release.isDue(at: at(1019)))
        #expect(release.isDue(at: at(1020)) && !release.isArmed && !release.isDue(at: at(3000)))
        release.holds(1, at: at(4000))
        release.holds(0, at: at(4001))
        #expect(!release.isArmed)
    }
}

@Suite("How long a handler takes")
struct HandlerTimeTests {
    private func counts(_ conversation: Conversation) -> [Int: UInt32] {
        let counts = conversation.connection.requests.handlerTimes.counts
        var some: [Int: UInt32] = [:]
        for bucket in counts.indices where counts[bucket] > 0 { some[bucket] = counts[bucket] }
        return some
    }

    @Test("From the hand-over to the ending: the time that a request waits is not in it")
    func time() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"), request(2, "b"), at: at(0))
        conversation.wake(at: at(700))
        conversation.finish(answering: 1)
        conversation.wake(at: at(702))
        conversation.finish(answering: 2)
        let bounds = Histogram.Scale.handlerTimes.bounds
        #expect(bounds[12].text == "1" && bounds[4].text == "0.0025")
        #expect(counts(conversation) == [12: 1, 4: 1])
        #expect(conversation.connection.requests.handlerTimes.sum == .milliseconds(702))
    }

    @Test("An ending is an ending: FAILURE, CANCEL and the handler's timeout; but not that of a request that waited")
    func endings() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"), request(2, "b"), at: at(0))
        conversation.receive(cancel(2), at: at(1))
        #expect(counts(conversation).isEmpty)
        conversation.receive(cancel(1), at: at(2))
        #expect(counts(conversation) == [4: 1])
        conversation.finish()
        conversation.receive(request(3, "c"), at: at(10))
        conversation.wake(at: at(11))
        conversation.fail(3, .handlerFailed)
        #expect(counts(conversation) == [4: 1, 3: 1])
    }

    @Test("The buckets go from 100 µs to 60 s, and what a slot shows of them is what was counted")
    func slot() throws {
        let bounds = Histogram.Scale.handlerTimes.bounds
        #expect(bounds.first?.text == "0.0001" && bounds.last?.text == "60")
        #expect(bounds.count + 1 == HandlerTimes.buckets)
        #expect(bounds.map(\.duration) == bounds.map(\.duration).sorted())
        for bound in bounds { #expect(Double(bound.text) == bound.duration / .seconds(1)) }
        var slots = try Scoreboard(1)
        let slot = slots[slots.take()!]
        #expect(ConnectionStatistics(slot).handlerTimes.sum == .zero)
        var times = HandlerTimes()
        for time in [Duration.zero, .microseconds(100), .milliseconds(3), .seconds(61)] { times.add(time) }
        slot.publish(&times)
        #expect(!times.hasChanged)
        times.add(.milliseconds(3))
        slot.publish(&times)
        var shown = Histogram(.handlerTimes)
        shown += ConnectionStatistics(slot).handlerTimes
        #expect(shown.counts[0] == 2 && shown.counts[5] == 2 && shown.counts[18] == 1 && shown.counts.reduce(0, +) == 5)
        #expect(abs(shown.sum / .milliseconds(1) - 61_006.1) < 0.01)
    }

    @Test("Every series is there before the first request")
    func series() {
        let text = ServerStatistics().metrics(
            living: [], refused: [:], uptime: .zero, version: "", memoryBudget: 64 << 20)
        for bound in Histogram.Scale.handlerTimes.bounds {
            #expect(text.contains("lifeline_handler_duration_seconds_bucket{le=\"\(bound.text)\"} 0\n"))
        }
        for line in [
            "handler_duration_seconds_sum 0.", "handler_duration_seconds_count 0", "queued_bytes 0",
            "memory_budget_bytes \(64 << 20)", "requests_over_budget_total 0",
        ] {
            #expect(text.contains("\nlifeline_\(line)"))
        }
        let without = ServerStatistics().metrics(living: [], refused: [:], uptime: .zero, version: "")
        #expect(!without.contains("lifeline_memory_budget_bytes"))
    }
}

@Suite("The account of what all connections hold")
struct MemoryBudgetTests {
    @Test("Each adds its difference, notes it in its slot, and the parent takes it back")
    func account() throws {
        var slots = try Scoreboard(2)
        let budget = slots.budget
        #expect(budget.limit == nil && budget.total == 0)
        budget.limit = 1000
        let (one, other) = (slots[slots.take()!], slots[slots.take()!])
        one.charge(300)
        other.charge(500)
        one.charge(200)
        #expect(budget.limit == 1000 && budget.total == 700 && one.charged == 200)
        one.charge(0)
        #expect(budget.total == 500 && one.charged == 0)
        other.charge(0)
        other.charge(0)
        #expect(budget.total == 0)
    }

    @Test("The first refusal is news, and the next once three quarters are free again; without a budget nothing is")
    func news() throws {
        let budget = try MemoryBudget()
        budget.limit = 1000
        budget.add(600)
        #expect(!budget.markFree() && budget.markExhausted() && !budget.markExhausted() && !budget.markFree())
        budget.add(-349)
        #expect(!budget.markFree())
        budget.add(-1)
        #expect(budget.markFree() && !budget.markFree() && budget.markExhausted())
        budget.limit = nil
        #expect(!budget.markFree())
    }
}
