import Framing
import Testing

@testable import LifelineServer

@Suite("7.3 SHORT")
struct ShortTests {
    @Test("7.3-3, 7.3-4 WELCOME, the response and CLOSE are in the outbox at once, whatever the request's id")
    func atOnce() {
        var conversation = Conversation()
        conversation.takes = false
        conversation.receive(hello(short: true), request(9, "hello"))
        #expect(conversation.connection.outbox.unsent.count == 8 + 48 + 17 + 24)
        conversation.write()
        #expect(conversation.said() == ["LIFELINE", "WELCOME", "RESPONSE 9 hello", "CLOSE NORMAL last 9"])
        conversation.endOfStream()
        #expect(conversation.isOver)
    }

    @Test("7.3-3 A FAILURE is followed by CLOSE(NORMAL) as well")
    func failure() {
        var conversation = Conversation.opened(short: true, echoes: false)
        conversation.receive(request(1, "a"), ping(1))
        conversation.connection.fail(1, Failure(.handlerFailed))
        conversation.settle()
        #expect(
            conversation.said()
                == ["PONG 1 queued 1 in flight 1 longest 0", "FAILURE 1 HANDLER_FAILED", "CLOSE NORMAL last 1"])
    }

    @Test("7.3-3 So is the FAILURE(CANCELLED) of a request whose chunks were coming")
    func cancelled() {
        var conversation = Conversation.opened(short: true)
        conversation.receive(request(1, "a", more: true), cancel(1))
        #expect(conversation.said() == ["FAILURE 1 CANCELLED", "CLOSE NORMAL last 1"])
    }

    @Test("7.3-1 A second request, a MESSAGE and a GOAWAY are PROTOCOL_ERRORs")
    func tooMuch() {
        for frame in [request(2, "b"), raw(0x07, [1]), goAway(), raw(0x05, id: 2, length: 9)] {
            var conversation = Conversation.opened(short: true, echoes: false)
            conversation.receive(request(1, "a"), frame)
            #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 1"])
        }
    }

    @Test("7.2-3 A client of a short connection may end its stream behind the request")
    func halfClosed() {
        var conversation = Conversation.opened(short: true, echoes: false)
        conversation.receive(request(1, "a"))
        conversation.endOfStream()
        conversation.answer(1, "x")
        #expect(conversation.said() == ["PING 1", "RESPONSE 1 x", "CLOSE NORMAL last 1"])
        #expect(conversation.isOver)
    }

    @Test("7.4-8 A server that ends tells a short connection without a request so, and answers one with a request")
    func terminated() {
        var idle = Conversation.opened(short: true)
        idle.terminate()
        #expect(idle.said() == ["CLOSE SHUTTING_DOWN last 0"])
        var asked = Conversation.opened(short: true, echoes: false)
        asked.receive(request(1, "a"))
        asked.terminate()
        asked.answer(1, "x")
        #expect(asked.said() == ["RESPONSE 1 x", "CLOSE NORMAL last 1"])
    }
}
