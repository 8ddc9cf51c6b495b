import Basics
import Testing

@testable import LifelineServer

@Suite("Messages of the router to many processes")
struct RouterJobTests {
    /// Processes with a connection each, numbered from 1.
    private func ties(_ count: Int, _ all: inout RouterConversation, topics: String...) throws -> [TieNumber] {
        var ties: [TieNumber] = []
        for id in 1...UInt64(count) {
            let tie = try all.open(id, token: "t")
            for name in topics { try all.say(.subscribe(call: 0, connection: id, topic(name)), tie) }
            ties.append(tie)
        }
        return ties
    }

    private func message(_ number: Int) -> ArraySlice<UInt8> { Array("\(number)".utf8)[...] }

    @Test("A message to many is handed over in slices, and its number comes with the last one")
    func slices() throws {
        var all = RouterConversation()
        let ties = try ties(600, &all, topics: "a")
        let back = all.open()
        try all.say(.publish(call: 1, from: 600, topic("a"), includesSelf: false, hello), back)
        #expect(all.router.counts.delivered == 0)
        for delivered: UInt64 in [256, 512] {
            all.router.runSlice()
            #expect(all.router.counts.delivered == delivered)
            #expect(try all.heard(back) == [])
        }
        all.router.runSlice()
        let hasJobs = all.router.hasJobs
        #expect(!hasJobs)
        #expect(try all.heard(back) == [.reply(call: 1, .done(599))])
        for (index, tie) in ties.enumerated() {
            #expect(
                try all.heard(tie) == (index == 599 ? [] : [.publication(topic("a"), from: 600, except: 600, hello)]))
        }
        #expect(all.router.counts.queuedBytes == 0)
    }

    @Test("A message to one waits for no slice")
    func overtaking() throws {
        var all = RouterConversation()
        let ties = try ties(600, &all, topics: "a")
        try all.say(.send(call: 0, from: 1, .all, hello), ties[0])
        try all.say(.send(call: 1, from: 1, .connection(600), message(1)), ties[0])
        #expect(try all.heard(ties[599]) == [.message(to: [600], from: 1, message(1))])
        #expect(try all.heard(ties[0]) == [.reply(call: 1, .done(1))])
        all.runSlices()
        #expect(try all.heard(ties[599]) == [.broadcast(from: 1, hello)])
        #expect(try all.heard(ties[0]) == [])
    }

    @Test("Messages to one topic keep their order, also where a later one is for a few; topics take turns")
    func order() throws {
        var all = RouterConversation()
        let ties = try ties(600, &all, topics: "a", "b")
        for number in 0..<3 {
            for name in ["a", "b"] {
                try all.say(.publish(call: 0, from: 0, topic(name), includesSelf: false, message(number)), ties[0])
            }
        }
        all.router.runSlice()
        all.router.runSlice()
        // Each topic has had a slice.
        let begun = try ties.map { try all.heard($0) }
        #expect(begun.count { $0.contains(.publication(topic("a"), from: 0, except: 0, message(0))) } == 256)
        #expect(begun.count { $0.contains(.publication(topic("b"), from: 0, except: 0, message(0))) } == 256)
        // The topic has few subscribers from here on, and its messages still wait for those before.
        for (index, tie) in ties.enumerated() where index >= 10 {
            try all.say(.unsubscribe(call: 0, connection: UInt64(index + 1), topic("a")), tie)
        }
        try all.say(.publish(call: 0, from: 0, topic("a"), includesSelf: false, message(3)), ties[0])
        all.runSlices()
        for index in ties.indices {
            let texts = (begun[index] + (try all.heard(ties[index]))).map { delivery in
                guard case .publication(let topic, _, _, let bytes) = delivery else { return "?" }
                return topic.text + String(decoding: bytes, as: UTF8.self)
            }
            #expect(texts.filter { $0.hasPrefix("b") } == ["b0", "b1", "b2"])
            let expected = index < 10 ? ["a0", "a1", "a2", "a3"] : begun[index].isEmpty ? [] : nil
            if let expected { #expect(texts.filter { $0.hasPrefix("a") } == expected) }
        }
        #expect(all.router.counts.queuedBytes == 0)
    }

    @Test("A process that goes in the middle of a job, with its place taken by another, gets nothing wrong")
    func closing() throws {
        var all = RouterConversation()
        let ties = try ties(600, &all, topics: "a")
        try all.say(.publish(call: 1, from: 0, topic("a"), includesSelf: false, hello), ties[0])
        try all.say(.send(call: 2, from: 0, .token("t"), hello), ties[0])
        all.router.runSlice()
        for tie in ties.suffix(300) { all.router.close(tie) }
        let other = try all.open(1000)
        all.runSlices()
        #expect(try all.heard(other) == [])
        let heard = try all.heard(ties[0])
        #expect(heard.contains(.reply(call: 1, .done(300))))
        #expect(heard.contains(.reply(call: 2, .done(300))))
        // Whoever has asked may be gone too.
        try all.say(.publish(call: 1, from: 0, topic("a"), includesSelf: false, hello), ties[0])
        all.router.close(ties[0])
        all.runSlices()
        for tie in ties { all.router.close(tie) }
        all.router.close(other)
        let counts = all.router.counts
        #expect((counts.queuedBytes, counts.ties, counts.connections, counts.subscriptions) == (0, 0, 0, 0))
    }

    @Test("A payload to a token with many processes is held once")
    func payload() throws {
        var all = RouterConversation()
        let ties = try ties(600, &all)
        let bytes = [UInt8](repeating: 1, count: 100_000)[...]
        try all.say(.send(call: 0, from: 0, .token("t"), bytes), ties[0])
        all.runSlices()
        #expect(all.router.counts.queuedBytes < 100_000 + 600 * 60)
        #expect(try all.heard(ties[17]) == [.message(to: [18], from: 0, bytes)])
    }

    @Test("Beyond its room the router refuses messages and requests, and counts those that nobody waits for")
    func room() throws {
        var all = RouterConversation(totalBytes: 10_000)
        let (one, two) = (try all.open(1, 2), try all.open(3))
        try all.say(.subscribe(call: 0, connection: 1, topic("a")), one)
        let long = [UInt8](repeating: 1, count: 12_000)[...]
        try all.say(.publish(call: 1, from: 3, topic("a"), includesSelf: false, long), two)
        let text = "the router holds 11 KiB of messages that wait, and takes no more now"
        try all.say(.publish(call: 2, from: 3, topic("a"), includesSelf: false, hello), two)
        try all.say(.send(call: 0, from: 3, .all, hello), two)
        try all.say(.request(call: 3, .connection(1), timeout: 1, hello), two)
        let heard = try all.heard(two)
        #expect(heard[..<2] == [.reply(call: 1, .done(1)), .reply(call: 2, .unavailable(text))])
        guard case .reply(3, .outcome(.notSent)) = heard[2] else {
            Issue.record("\(heard)")
            return
        }
        #expect(all.router.counts.dropped == 3)
        #expect(try all.heard(one).count == 1)
        try all.say(.publish(call: 4, from: 3, topic("a"), includesSelf: false, hello), two)
        #expect(try all.heard(two) == [.reply(call: 4, .done(1))])
    }

    @Test("Jobs that wait are part of what the router holds")
    func jobRoom() throws {
        var all = RouterConversation(totalBytes: 20_000)
        let ties = try ties(300, &all, topics: "a")
        for _ in 0..<500 {
            try all.say(.publish(call: 0, from: 0, topic("a"), includesSelf: false, hello), ties[0])
        }
        #expect((20_000..<21_000).contains(all.router.counts.queuedBytes))
        #expect(all.router.counts.dropped > 0)
        all.runSlices()
        for tie in ties { _ = try all.heard(tie) }
        #expect(all.router.counts.queuedBytes == 0)
    }

    @Test("A slow process loses messages, learns how many, and holds up no other")
    func slowProcess() throws {
        var all = RouterConversation(queueRecords: 10)
        let (slow, fast) = (try all.open(1, 2), try all.open(3))
        for (id, tie) in [(UInt64(1), slow), (2, slow), (3, fast)] {
            try all.say(.subscribe(call: 0, connection: id, topic("a")), tie)
        }
        for number in 0..<30 {
            try all.say(.publish(call: 0, from: 0, topic("a"), includesSelf: false, message(number)), fast)
            #expect(
                try all.heard(fast) == [.publication(topic("a"), from: 0, except: 0, message(number))])
        }
        #expect(
            try all.heard(slow) == [.gap(topic("a"), 20)]
                + (20..<30).map { .publication(topic("a"), from: 0, except: 0, message($0)) })
        let counts = all.router.counts
        #expect((counts.dropped, counts.delivered, counts.queuedBytes) == (40, 60, 0))
    }

    @Test("A process that reads none of its replies is to be closed")
    func brokenTie() throws {
        var all = RouterConversation()
        let (one, two) = (try all.open(1), try all.open(2))
        for _ in 0...RouterLimits.mostSure { try all.say(.count(call: 1, .all), one) }
        #expect(all.router.takeReady() == [one])
        #expect(all.router.takeBroken() == [one])
        #expect(all.router.takeBroken() == [])
        all.router.close(one)
        try all.say(.count(call: 1, .all), one)
        try all.say(.count(call: 1, .all), two)
        #expect(try all.heard(two) == [.reply(call: 1, .done(1))])
    }

    @Test("24,000 connections with a topic in common, and 16,000 of them on one tie: none is looked for")
    func manyConnections() throws {
        var all = RouterConversation()
        let big = all.open()
        for id in 1...UInt64(16_000) {
            try all.say(.register(Member(connection: id, name: "n", tokenName: "t", peer: "p")), big)
            try all.say(.subscribe(call: 0, connection: id, topic("a")), big)
        }
        var others: [TieNumber] = []
        for id in UInt64(16_001)...24_000 {
            let tie = try all.open(id, name: "n", token: "t")
            try all.say(.subscribe(call: 0, connection: id, topic("a")), tie)
            others.append(tie)
        }
        try all.say(.publish(call: 1, from: 1, topic("a"), includesSelf: false, hello), big)
        all.runSlices()
        #expect(try all.heard(big).last == .reply(call: 1, .done(23_999)))
        all.router.close(big)
        // They are forgotten in slices, and nothing reaches them meanwhile. One has a new process by then.
        let other = try all.open(1)
        try all.say(.subscribe(call: 0, connection: 1, topic("a")), other)
        try all.say(.request(call: 2, .connection(2), timeout: 1, hello), other)
        let text = "the connection's process has just ended"
        #expect(try all.heard(other) == [.reply(call: 2, .outcome(.notSent(text)))])
        try all.say(.publish(call: 3, from: 0, topic("a"), includesSelf: false, hello), other)
        all.runSlices()
        #expect(try all.heard(other).last == .reply(call: 3, .done(8001)))
        #expect(try all.heard(big) == [])
        all.router.close(other)
        for tie in others { all.router.close(tie) }
        all.runSlices()
        let counts = all.router.counts
        #expect((counts.connections, counts.topics, counts.subscriptions, counts.queuedBytes) == (0, 0, 0, 0))
    }
}
