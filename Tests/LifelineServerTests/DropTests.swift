import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("5, 7.5 Heartbeats and drops of a connection")
struct DropTests {
    @Test("9-3, 7.5-3 What comes before a violation is served, nothing behind it")
    func violation() {
        var conversation = Conversation.opened()
        conversation.takes = false
        conversation.receive(request(1, "a"), raw(0x0C), request(2, "b"))
        #expect(conversation.seen == [.opened, .request(1, "a")])
        conversation.takes = true
        conversation.settle()
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 1"], "7.5-1: what is not begun is discarded")
        conversation.receive(request(3, "c"))
        #expect(conversation.seen.count == 2)
    }

    @Test("7.5-1 The frame that is begun is finished before CLOSE")
    func begun() {
        var conversation = Conversation.opened()
        conversation.takes = false
        conversation.receive(request(1, "abc"), request(2, "d"))
        conversation.write(1)
        conversation.receive(raw(0x0C))
        conversation.takes = true
        conversation.settle()
        #expect(conversation.said() == ["RESPONSE 1 abc", "CLOSE PROTOCOL_ERROR last 2"])
    }

    @Test("7.5-2 What the kernel does not take within 1 s of the drop is given up, and nothing spins meanwhile")
    func stuck() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.takes = false
        conversation.receive(request(1, "a"), raw(0x0C))
        #expect(conversation.connection.deadline == at(1000))
        conversation.wake(at: Instant(sinceStart: .seconds(1) - .nanoseconds(1)))
        #expect(!conversation.isOver)
        conversation.wake(at: at(1000))
        #expect(conversation.isOver)
    }

    @Test("5.9-1 A client that does not read is dropped at dead_after, never earlier, and nothing spins")
    func slowReader() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.takes = false
        conversation.receive(request(1, "a"), at: at(100))
        for moment in stride(from: 200.0, to: 1100, by: 100) { conversation.receive(ping(1), at: at(moment)) }
        conversation.wake(at: Instant(sinceStart: .milliseconds(1100) - .nanoseconds(1)))
        #expect(!conversation.connection.isClosing)
        conversation.wake(at: at(1100))
        #expect(conversation.connection.closeReason.code == .slowReader)
        #expect(conversation.connection.deadline == at(2100))
        for moment in stride(from: 1110.0, to: 2100, by: 110) { conversation.wake(at: at(moment)) }
        conversation.wake(at: at(2100))
        #expect(conversation.isOver)
    }

    @Test("5.9-2, T5 A client that does not read its last answers is given up at dead_after", arguments: [false, true])
    func slowLastAnswer(saysClose: Bool) {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.takes = false
        conversation.receive(request(1, "a"), at: at(100))
        if saysClose { conversation.receive(close()) } else { conversation.endOfStream() }
        #expect(conversation.connection.deadline == at(1100))
        conversation.wake(at: at(1099))
        #expect(!conversation.isOver)
        conversation.wake(at: at(1100))
        #expect(conversation.isOver)
        #expect(conversation.connection.closeReason.code == .slowReader)
    }

    @Test("5.5-1, 5.3-1 A silent client gets a PING at dead_after / 2 and CLOSE(SILENT) at dead_after")
    func silent() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.receive(request(1, "a"), at: at(100))
        conversation.wake(at: at(599))
        #expect(conversation.said() == ["RESPONSE 1 a"])
        conversation.wake(at: at(600))
        #expect(conversation.said() == ["PING 1"])
        conversation.wake(at: at(1099))
        #expect(conversation.said() == [])
        conversation.wake(at: at(1100))
        #expect(conversation.said() == ["CLOSE SILENT last 1"])
        #expect(conversation.connection.deadline == at(2100))
    }

    @Test("5.1-2 What has come by the deadline is read before silence is judged")
    func readFirst() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.wake(at: at(500))
        conversation.receive(ping(1), at: at(1000))
        #expect(!conversation.connection.isClosing)
        #expect(conversation.said() == ["PING 1", "PONG 1 queued 0 in flight 0 longest 0"])
    }

    @Test("6 The times that were agreed on are kept, not the server's own")
    func agreed() {
        var conversation = Conversation(Terms(timeout: 30_000))
        conversation.receive(hello(deadAfter: 200))
        #expect(conversation.connection.deadline == at(100))
        conversation.wake(at: at(100))
        conversation.wake(at: at(200))
        #expect(conversation.said() == ["LIFELINE", "WELCOME", "PING 1", "CLOSE SILENT last 0"])
    }

    @Test("5.7-1 A frame that trickles is dropped with FRAME_TIMEOUT at dead_after + 1 ms for each byte")
    func frameTimeout() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.receive(raw(0x05, id: 1, length: 50), at: at(0))
        for moment in stride(from: 100.0, through: 1000, by: 100) { conversation.receive([1], at: at(moment)) }
        conversation.wake(at: Instant(sinceStart: .milliseconds(1050) - .nanoseconds(1)))
        #expect(!conversation.connection.isClosing)
        conversation.wake(at: at(1050))
        #expect(conversation.said() == ["CLOSE FRAME_TIMEOUT last 0"])
    }

    @Test("5.10-1 PINGs, CANCELs and empty MESSAGEs are paid for; other frames, and empty last chunks, are free")
    func bucket() {
        let message = raw(0x07, flags: 1, [1]) + raw(0x07)
        for paid in [ping(1), cancel(1), raw(0x07)] {
            var conversation = Conversation.opened()
            conversation.receive(request(1, "a"))
            for _ in 0..<20 {
                conversation.receive(paid)
                conversation.receive(message, raw(0x07, [1]), raw(0x40, flags: 0x80))
            }
            #expect(!conversation.connection.isClosing)
            conversation.receive(paid)
            #expect(conversation.said().last == "CLOSE TOO_MANY_PINGS last 1")
        }
    }

    @Test("5.4-5 A PONG that nobody asked for is a PROTOCOL_ERROR; one that was asked for is not")
    func pong() {
        var unasked = Conversation.opened()
        unasked.receive(raw(0x04, u64(1) + zeros(12)))
        #expect(unasked.said() == ["CLOSE PROTOCOL_ERROR last 0"])
        var asked = Conversation.opened(Terms(timeout: 1000))
        asked.wake(at: at(500))
        asked.receive(raw(0x04, u64(1) + zeros(12)))
        #expect(asked.said() == ["PING 1"])
    }

    @Test("5.11-2, 5.11-3 A server that was stopped for an hour reads, pings and drops nobody")
    func late() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        conversation.wake(at: at(3_600_000))
        #expect(conversation.said() == ["PING 1"])
        conversation.receive(request(1, "a"), at: at(3_600_400))
        #expect(conversation.said() == ["RESPONSE 1 a"])
    }
}

extension CloseReason {
    fileprivate var code: Code? { if case .closed(let code, _, _) = self { code } else { nil } }
}
