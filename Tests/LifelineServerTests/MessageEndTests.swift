import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("3.8-9 What becomes of the messages that came before the end of a connection")
struct MessageEndTests {
    enum End: CaseIterable { case goAway, streamEnd, terminate }

    /// Three messages have come, and the handler works on the first.
    private func working(credit: UInt64? = 1000, grace: Duration = .seconds(10)) -> Conversation {
        var conversation = Conversation.opened(
            Terms(timeout: 60_000, credit: 1000), echoes: false, minor: 1, credit: credit, grace: grace)
        conversation.returns = false
        conversation.finish()
        conversation.receive(message("a"), message("b"), message("c"))
        #expect(conversation.seen == [.opened, .message("a")])
        return conversation
    }

    private func bring(_ end: End, to conversation: inout Conversation) {
        switch end {
        case .goAway: conversation.receive(goAway())
        case .streamEnd: conversation.endOfStream()
        case .terminate: conversation.terminate(within: .seconds(8))
        }
    }

    private func opening(of end: End) -> [String] { end == .terminate ? ["GOAWAY SHUTTING_DOWN"] : [] }
    private func close(of end: End) -> String { "CLOSE \(end == .terminate ? "SHUTTING_DOWN" : "NORMAL") last 0" }

    @Test("CLOSE waits until the handler is done with all; CREDIT with the count goes ahead", arguments: End.allCases)
    func waits(_ end: End) {
        var conversation = working()
        bring(end, to: &conversation)
        #expect(conversation.said() == opening(of: end))
        conversation.finish()
        conversation.finish()
        #expect(conversation.seen.last == .message("c") && conversation.connection.phase == .finishing)
        conversation.finish()
        #expect(conversation.said() == ["CREDIT 1039 handled 3", close(of: end)])
        #expect(conversation.connection.counts.unhandled == 0)
    }

    @Test("The heart beats on meanwhile, and more messages are taken", arguments: [End.goAway, .terminate])
    func heart(_ end: End) {
        var conversation = working()
        bring(end, to: &conversation)
        _ = conversation.said()
        conversation.finish()
        conversation.receive(ping(5), message("d"), at: at(3000))
        #expect(conversation.said() == ["CREDIT 1013 handled 1", "PONG 5 queued 0 in flight 0 longest 0"])
        for _ in 0..<3 { conversation.finish() }
        #expect(conversation.said() == ["CREDIT 1052 handled 4", close(of: end)])
    }

    @Test("After the grace what waits is thrown away and counted; CREDIT tells the rest", arguments: End.allCases)
    func grace(_ end: End) {
        var conversation = working()
        bring(end, to: &conversation)
        conversation.finish()
        _ = conversation.said()
        let over: Double = end == .terminate ? 8000 : 10_000
        #expect(conversation.connection.handlingUntil == at(over))
        conversation.receiveHeartbeat(unless: end == .streamEnd, at: at(over - 1))
        #expect(conversation.connection.phase == .finishing)
        conversation.wake(at: at(over))
        #expect(conversation.said().last == close(of: end))
        #expect(conversation.connection.hasDispatchedAll, "the handler may hear of the end now")
        #expect(conversation.seen.last == .message("b"))
        conversation.finish()
        #expect(conversation.seen.last == .message("b"))
        #expect(conversation.connection.counts.unhandled == 1)
    }

    @Test("The grace begins when the requests before the messages are answered", arguments: [false, true])
    func requestsFirst(_ isShutdown: Bool) {
        var conversation = Conversation.opened(
            Terms(timeout: 60_000, credit: 1000), echoes: false, minor: 1, credit: 1000)
        conversation.receive(request(1, "a"), message("m"))
        conversation.returns = false
        if isShutdown { conversation.terminate(within: .seconds(8)) } else { conversation.receive(goAway()) }
        #expect(conversation.connection.handlingUntil == (isShutdown ? at(8000) : nil))
        conversation.receive(ping(1), at: at(7000))
        conversation.answer(1, "x")
        #expect(conversation.seen.last == .message("m"))
        #expect(conversation.connection.handlingUntil == (isShutdown ? at(8000) : at(17_000)))
    }

    @Test("7.4-7 A shutdown gives up in its time what is unanswered too")
    func givesUpRequests() {
        var conversation = working()
        conversation.receive(request(1, "a"))
        conversation.terminate(within: .seconds(8))
        conversation.wake(at: at(8000))
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE SHUTTING_DOWN last 0"])
        #expect(conversation.connection.counts.unanswered == 1)
    }

    @Test("7.1-6 A client's CLOSE is answered at once; the handler gets the messages afterwards")
    func clientClose() {
        var conversation = working()
        conversation.receive(LifelineServerTests.close())
        #expect(conversation.said() == ["CLOSE NORMAL last 0"])
        #expect(conversation.isOver && conversation.connection.hasPendingMessages)
        for _ in 0..<3 { conversation.finish() }
        #expect(conversation.seen.last == .message("c") && !conversation.connection.hasPendingMessages)
        #expect(conversation.said() == [])
    }

    @Test("A client's CLOSE ends the wait of its GOAWAY, and so does a drop")
    func closeInstead() {
        var conversation = working()
        conversation.receive(goAway())
        conversation.finish()
        conversation.receive(LifelineServerTests.close())
        #expect(conversation.said() == ["CREDIT 1013 handled 1", "CLOSE NORMAL last 0"])
        conversation = working()
        conversation.receive(goAway())
        conversation.receive(raw(0x77))
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 0"])
        conversation = working()
        conversation.receive(goAway())
        conversation.connection.stop(CloseCause(.handlerFailed, "no more"))
        conversation.settle()
        #expect(conversation.said() == ["CLOSE NORMAL last 0"], "the first reason stays")
    }

    @Test("Without credit CLOSE waits for the requests alone, as in 1.0", arguments: End.allCases)
    func withoutCredit(_ end: End) {
        var conversation = working(credit: nil)
        bring(end, to: &conversation)
        #expect(conversation.said() == opening(of: end) + [close(of: end)])
        for _ in 0..<3 { conversation.finish() }
        #expect(conversation.seen.last == .message("c") && !conversation.connection.hasPendingMessages)
    }

    @Test("7.4-4 A message that the client has begun before its GOAWAY is waited for, in chunks too")
    func chunks() {
        var conversation = Conversation.opened(Terms(credit: 1000), minor: 1, credit: 1000)
        conversation.receive(message("he", more: true), goAway())
        #expect(conversation.said() == [])
        conversation.receive(message("y"))
        #expect(conversation.seen.last == .message("hey"))
        #expect(conversation.said() == ["CREDIT 1015 handled 1", "CLOSE NORMAL last 0"])
    }

    @Test("A handler that is stuck in a message holds CLOSE up for the grace")
    func stuck() {
        var conversation = working(grace: .seconds(2))
        conversation.receive(goAway())
        conversation.wake(at: at(2000))
        #expect(conversation.said() == ["CLOSE NORMAL last 0"])
        #expect(conversation.connection.counts.unhandled == 3)
    }

    @Test("A connection that is over gives its handler the grace, then a second to return, and less in a shutdown")
    func patience() {
        var patience = HandlerPatience()
        #expect(patience.deadline == nil)
        #expect(patience.verdict(at: at(0), handlingUntil: at(10_000)) == .waits && patience.deadline == at(10_000))
        #expect(patience.verdict(at: at(9999), handlingUntil: at(19_999)) == .waits)
        var shortened = patience
        #expect(patience.verdict(at: at(10_000), handlingUntil: at(20_000)) == .lastCall)
        #expect(patience.verdict(at: at(10_999), handlingUntil: at(20_999)) == .waits)
        #expect(patience.verdict(at: at(11_000), handlingUntil: at(21_000)) == .over)
        shortened.shorten(to: ShutdownGrace(.seconds(5)), at: at(1000))
        #expect(shortened.deadline == at(4500))
        #expect(shortened.verdict(at: at(4500), handlingUntil: at(15_000)) == .lastCall)
        #expect(shortened.deadline! < at(6000))
        var late = HandlerPatience()
        #expect(late.verdict(at: at(5500), handlingUntil: at(4000)) == .lastCall)
        #expect(late.verdict(at: at(5500), handlingUntil: at(4000)) == .over, "it has had its second with CLOSE")
    }

    @Test("A shutdown keeps a part of its grace for the end itself, of whatever length it is")
    func divided() {
        for grace: Duration in [.zero, .milliseconds(10), .seconds(1), .seconds(10), .seconds(3600)] {
            let time = ShutdownGrace(grace)
            #expect(time.handling + time.lastCall <= grace && time.handling >= grace / 2)
        }
        #expect(ShutdownGrace(.seconds(10)).handling == .milliseconds(8500))
        #expect(ShutdownGrace(.seconds(10)).lastCall == .seconds(1))
        // A client that does not end its side at once keeps the process for a second.
        #expect(ShutdownGrace(.seconds(3)).handling == .milliseconds(1500))
    }
}

extension Conversation {
    fileprivate mutating func receiveHeartbeat(unless hasEnded: Bool, at instant: Instant) {
        if hasEnded { wake(at: instant) } else { receive(ping(77), at: instant) }
    }
}
