import Basics
import Framing
import Testing

@testable import LifelineServer

private func lifetime(age: Double? = nil, idle: Double? = nil, random: Double = 0) -> ConnectionLifetime {
    ConnectionLifetime(
        maxAge: age.map { .milliseconds($0) }, maxIdle: idle.map { .milliseconds($0) }, grace: .seconds(10),
        acceptedAt: at(0), random: { random })
}

@Suite("How long a connection stays")
struct LifetimeTests {
    @Test(
        "A connection leaves at its age or up to a tenth earlier, and never later",
        arguments: [
            (0.0, 100_000.0), (0.5, 95_000), (0.999, 90_010),
        ])
    func spread(random: Double, leaves: Double) {
        let limits = lifetime(age: 100_000, random: random)
        #expect(limits.verdict(isBusy: true, at: at(leaves - 1)) == .fine)
        // Whatever it does: requests in flight go on behind GOAWAY.
        #expect(limits.verdict(isBusy: true, at: at(leaves)) == .sendAway(.age))
        #expect(limits.verdict(isBusy: true, at: at(leaves + 9999)) == .fine)
        #expect(limits.verdict(isBusy: true, at: at(leaves + 10_000)) == .close(.age))
        #expect(limits.deadline == nil && limits.verdict(isBusy: true, at: at(1e9)) == .fine)
    }

    @Test("Without limits nothing is ever due")
    func none() {
        for limits in [ConnectionLifetime(), lifetime()] {
            #expect(limits.deadline == nil)
            #expect(limits.verdict(isBusy: false, at: at(1e12)) == .fine)
        }
    }

    @Test("Age and idleness: whichever comes first")
    func both() {
        var limits = lifetime(age: 10_000, idle: 3000)
        limits.active(at: at(2000))
        #expect(limits.verdict(isBusy: false, at: at(3000)) == .fine && limits.deadline == at(5000))
        #expect(limits.verdict(isBusy: false, at: at(5000)) == .sendAway(.idle))
        limits = lifetime(age: 10_000, idle: 3000)
        for second in 1...9 { limits.active(at: at(Double(second) * 1000)) }
        #expect(limits.verdict(isBusy: false, at: at(9500)) == .fine)
        #expect(limits.verdict(isBusy: false, at: at(10_000)) == .sendAway(.age))
    }

    /// What keeps a connection from being idle at 5 s, where it was accepted at 0.
    @Test(
        "Requests, responses and messages of either side are activity; heartbeats are none",
        arguments: [
            ("a PING", false), ("a request", true), ("a message", true), ("the start of a message", true),
            ("a message of the handler", true), ("nothing", false),
        ])
    func activity(what: String, isActivity: Bool) {
        var conversation = Conversation.opened(lifetime: lifetime(idle: 5000))
        conversation.wake(at: at(3000))
        switch what {
        case "a PING": conversation.receive(ping(1))
        case "a request": conversation.receive(request(1, "x"))
        case "a message": conversation.receive(raw(0x07, text("x")))
        case "the start of a message": conversation.receive(raw(0x07, flags: 1, text("x")))
        case "a message of the handler": conversation.connection.send(text("x")[...], at: at(3000))
        default: break
        }
        conversation.settle()
        conversation.wake(at: at(4999))
        _ = conversation.said()
        conversation.wake(at: at(5000))
        #expect(conversation.said().contains("GOAWAY NORMAL") == !isActivity, "\(what)")
        conversation.wake(at: at(8000))
        #expect(conversation.connection.closing.goAway != nil)
        #expect(conversation.connection.takeSentAwayFor() == .idle)
    }

    @Test("A request that the handler works on is no idleness, which counts from its ending")
    func working() {
        var conversation = Conversation.opened(echoes: false, lifetime: lifetime(idle: 2000))
        conversation.receive(request(1, "x"), at: at(1000))
        for second in 2...8 { conversation.receive(ping(UInt64(second)), at: at(Double(second) * 1000)) }
        conversation.answer(1, "y")
        #expect(!conversation.said().contains("GOAWAY NORMAL"))
        conversation.wake(at: at(9999))
        #expect(!conversation.said().contains("GOAWAY NORMAL"))
        conversation.wake(at: at(10_000))
        #expect(conversation.said() == ["GOAWAY NORMAL"])
    }

    @Test("What is in flight at the age is answered, and what comes before the client has left too")
    func inFlight() {
        var conversation = Conversation.opened(echoes: false, lifetime: lifetime(age: 2000))
        conversation.receive(request(1, "x"), at: at(1999))
        conversation.wake(at: at(2000))
        #expect(conversation.said() == ["GOAWAY NORMAL"])
        conversation.receive(request(2, "crossed"), at: at(2001))
        conversation.answer(1, "one")
        conversation.answer(2, "two")
        #expect(conversation.said() == ["RESPONSE 1 one", "RESPONSE 2 two"])
        conversation.receive(close(), at: at(2002))
        #expect(conversation.said() == ["CLOSE NORMAL last 2"])
    }

    @Test("A client that does not leave is closed after the grace, behind its answers")
    func stays() {
        var conversation = Conversation.opened(echoes: false, lifetime: lifetime(age: 2000))
        conversation.receive(request(1, "x"), at: at(1999))
        conversation.wake(at: at(2000))
        for second in 3...11 { conversation.receive(ping(UInt64(second)), at: at(Double(second) * 1000)) }
        _ = conversation.said()
        conversation.wake(at: at(12_000))
        #expect(conversation.said() == [])
        conversation.answer(1, "one")
        #expect(conversation.said() == ["RESPONSE 1 one", "CLOSE NORMAL last 1"])
    }

    @Test("A shutdown's GOAWAY is the one that counts, before and after")
    func shutdown() {
        var first = Conversation.opened(lifetime: lifetime(age: 2000))
        first.sendAway()
        first.receive(ping(1), at: at(2000))
        #expect(first.said() == ["GOAWAY SHUTTING_DOWN", "PONG 1 queued 0 in flight 0 longest 0"])
        var second = Conversation.opened(lifetime: lifetime(age: 2000))
        second.wake(at: at(2000))
        second.sendAway()
        #expect(second.said() == ["GOAWAY NORMAL", "GOAWAY SHUTTING_DOWN"])
    }

    @Test("A short connection that asks nothing is closed; one that waits for its answer gets it")
    func short() {
        var idle = Conversation.opened(short: true, lifetime: lifetime(idle: 2000))
        idle.wake(at: at(2000))
        #expect(idle.said() == ["CLOSE NORMAL last 0"])
        var working = Conversation.opened(short: true, echoes: false, lifetime: lifetime(age: 2000, idle: 2000))
        working.receive(request(1, "x"), at: at(1000))
        for second in 2...13 { working.receive(ping(UInt64(second)), at: at(Double(second) * 1000)) }
        _ = working.said()
        working.answer(1, "y")
        #expect(working.said() == ["RESPONSE 1 y", "CLOSE NORMAL last 1"])
    }
}
