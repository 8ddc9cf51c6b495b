import Framing
import Testing

@testable import LifelineServer

@Suite("What a connection counts beside bytes")
struct CountsTests {
    @Test("Each request is counted once, by its outcome")
    func outcomes() {
        var conversation = Conversation.opened(Terms(maxInFlight: 4), echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"), request(3, "c"), request(4, "d"), request(5, "e"))
        conversation.receive(cancel(2))
        conversation.connection.answer(1, text("x")[...])
        conversation.finish()
        conversation.fail(3, .handlerFailed)
        conversation.receive([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])
        let connection = conversation.connection
        #expect(
            connection.counts == ConnectionCounts(failed: 1, cancelled: 1, refused: 1, unanswered: 1, messagesIn: 0))
        #expect(connection.requestsServed == 3 && connection.requestsAnswered == 1)
    }

    @Test("A request that is cancelled before it is whole has its ending too")
    func cancelledEarly() {
        var conversation = Conversation.opened()
        conversation.receive(request(1, "a", more: true), cancel(1))
        #expect(conversation.connection.counts.cancelled == 1 && conversation.connection.requestsServed == 1)
    }

    @Test("Messages are counted whole, and those that no handler had at the end apart")
    func messages() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(
            request(1, "a"), raw(0x07, flags: 1, text("m")), raw(0x07, text("m")), raw(0x07, text("n")))
        conversation.connection.send(text("out")[...], at: at(0))
        conversation.receive(close())
        let counts = conversation.connection.counts
        #expect(counts.messagesIn == 2 && counts.messagesOut == 1 && counts.unhandled == 2)
        #expect(counts.unanswered == 1, "CLOSE ends the request that the handler works on")
    }

    @Test("A parent believes no count of a child: sums stay at the most that there is, and no number stops it")
    func wild() {
        var wild = ConnectionStatistics()
        wild.answered = .max
        wild.counts = ConnectionCounts(
            failed: .max, cancelled: .max, refused: .max, unanswered: UInt64(UInt32.max), messagesIn: .max,
            messagesOut: .max, unhandled: .max)
        wild.inFlight = .max
        var totals = ServerStatistics()
        for _ in 0..<3 { totals.reap(wild) }
        let traffic = totals.traffic(with: [wild])
        #expect(traffic.requests == .max && traffic.counts.messagesIn == .max && wild.requests == .max)
        #expect(traffic.counts.unanswered == 7 * UInt64(UInt32.max), "in flight, too, in the three that died")
    }

    @Test("Each series that is known beforehand exists from the start")
    func fromTheStart() {
        let text = ServerStatistics().metrics(
            living: [ConnectionStatistics](), refused: [:], uptime: .zero, version: "1")
        for series in [
            "requests_total{outcome=\"refused\"} 0", "connections_closed_total{reason=\"SILENT\",by=\"server\"} 0",
            "connections_closed_total{reason=\"DIED\",by=\"none\"} 0",
            "connections_refused_total{reason=\"BUSY\",limit=\"max-rate\"} 0", "forks_failed_total{errno=\"EAGAIN\"} 0",
            "accepts_failed_total{errno=\"EMFILE\"} 0", "messages_unhandled_total 0", "log_lines_lost_total 0",
        ] {
            #expect(text.contains("\nlifeline_\(series)\n"), "\(series)")
        }
    }
}
