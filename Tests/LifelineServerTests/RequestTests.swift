import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("3.6, 4.5 to 4.9 Requests and their endings")
struct RequestTests {
    @Test("3.6-3 Endings come in the order in which the handler has them, one for each request")
    func order() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"), request(5, "c"))
        conversation.answer(1, "x")
        conversation.fail(2, .handlerFailed)
        conversation.answer(5, "z")
        #expect(conversation.seen == [.opened, .request(1, "a"), .request(2, "b"), .request(5, "c")])
        #expect(conversation.said() == ["RESPONSE 1 x", "FAILURE 2 HANDLER_FAILED", "RESPONSE 5 z"])
        conversation.answer(5, "again")
        conversation.fail(1, .handlerFailed)
        conversation.answer(3, "never asked")
        #expect(conversation.said() == [])
    }

    @Test("3.5 A request in chunks is given to the handler when its last one is there")
    func chunks() {
        var conversation = Conversation.opened()
        conversation.receive(request(1, "he", more: true))
        conversation.receive(ping(1), request(1, "ll", more: true))
        #expect(conversation.seen == [.opened])
        conversation.receive(request(1, "o"))
        #expect(conversation.seen == [.opened, .request(1, "hello")])
        #expect(conversation.said() == ["PONG 1 queued 2 in flight 1 longest 0", "RESPONSE 1 hello"])
    }

    @Test("3.6-8, 3.6-9 One request more than max_in_flight is refused, and only that")
    func inFlight() {
        var conversation = Conversation.opened(Terms(maxInFlight: 2), echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"), request(3, "c"))
        #expect(conversation.said() == ["FAILURE 3 REFUSED"])
        conversation.answer(1, "x")
        conversation.receive(request(4, "d"), request(5, "e"))
        #expect(conversation.said() == ["RESPONSE 1 x", "FAILURE 5 REFUSED"])
        conversation.answer(2, "y")
        #expect(conversation.seen == [.opened, .request(1, "a"), .request(2, "b"), .request(4, "d")])
    }

    @Test("3.6-7 A request is in flight until the last byte of its ending is with the kernel")
    func untilTaken() {
        var conversation = Conversation.opened(Terms(maxInFlight: 1))
        conversation.takes = false
        conversation.receive(request(1, "abc"), request(2, "d"))
        conversation.write(14)
        conversation.receive(request(3, "e"))
        conversation.write(1)
        conversation.receive(request(4, "f"))
        conversation.takes = true
        conversation.settle()
        #expect(conversation.said() == ["RESPONSE 1 abc", "FAILURE 2 REFUSED", "FAILURE 3 REFUSED", "RESPONSE 4 f"])
    }

    @Test("3.6 A refused request counts neither in flight nor as queued")
    func refusedCountsNot() {
        var conversation = Conversation.opened(Terms(maxInFlight: 2))
        conversation.takes = false
        conversation.receive(request(1, "a"), request(2, "b"), request(3, "c"), request(4, "d"), request(5, "e"))
        conversation.write(2 * 13)  // Both responses; the three refusals wait.
        conversation.receive(ping(1), request(6, "f"), request(7, "g"))
        conversation.takes = true
        conversation.settle()
        let said = conversation.said()
        #expect(said.prefix(2) == ["RESPONSE 1 a", "RESPONSE 2 b"])
        #expect(
            Set(said.dropFirst(2)) == [
                "FAILURE 3 REFUSED", "FAILURE 4 REFUSED", "FAILURE 5 REFUSED", "PONG 1 queued 0 in flight 0 longest 0",
                "RESPONSE 6 f", "RESPONSE 7 g",
            ])
    }

    @Test("3.6-8 A request that goes over max_queued is refused at the frame that does, the earlier ones are not")
    func queued() {
        let terms = Terms(maxMessage: 10, maxQueued: 10)
        var conversation = Conversation.opened(terms, echoes: false)
        conversation.receive(request(1, "1234"), request(2, "123456"), request(3, ""), request(4, "1"))
        #expect(conversation.said() == ["FAILURE 4 REFUSED"])
        conversation.answer(1, "")
        conversation.receive(request(5, "12", more: true), request(5, "34", more: true))
        #expect(conversation.said() == ["RESPONSE 1 "])
        conversation.receive(request(5, "5", more: true))
        #expect(conversation.said() == ["FAILURE 5 REFUSED"])
        conversation.receive(request(5, "6", more: true), ping(1), request(5, "7"), request(6, "1234"))
        #expect(conversation.said() == ["PONG 1 queued 6 in flight 2 longest 0"])
        for id: UInt32 in [2, 3, 6] { conversation.answer(id, "") }
        #expect(
            conversation.seen == [
                .opened, .request(1, "1234"), .request(2, "123456"), .request(3, ""), .request(6, "1234"),
            ])
    }

    @Test("3.6-10 The chunks of a refused request are discarded, but count against max_message")
    func discarded() {
        var conversation = Conversation.opened(Terms(maxMessage: 10, maxInFlight: 1), echoes: false)
        conversation.receive(request(1, "a"), request(2, "12345", more: true))
        #expect(conversation.said() == ["FAILURE 2 REFUSED"])
        conversation.receive(request(2, "67890", more: true))
        #expect(conversation.said() == [])
        conversation.receive(raw(0x05, id: 2, length: 1))
        #expect(conversation.said() == ["CLOSE MESSAGE_TOO_LARGE last 1"])
    }

    @Test("4.8-2 CANCEL of a request that the handler has reaches the handler, which ends it")
    func cancelRunning() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"), cancel(1))
        #expect(conversation.seen == [.opened, .request(1, "a"), .cancelled(1)])
        conversation.fail(1, .cancelled)
        #expect(conversation.said() == ["FAILURE 1 CANCELLED"])
        conversation.receive(cancel(1))
        #expect(conversation.seen.last == .request(2, "b") && conversation.seen.count == 4, "it is over: no event")
    }

    @Test("4.8-2, 4.8-4 CANCEL of a request whose chunks are coming ends it at once")
    func cancelIncoming() {
        var conversation = Conversation.opened(Terms(maxInFlight: 1))
        conversation.receive(request(1, "a", more: true), cancel(1))
        #expect(conversation.said() == ["FAILURE 1 CANCELLED"])
        conversation.receive(request(2, "b"))
        #expect(conversation.said() == ["RESPONSE 2 b"])
        conversation.receive(request(3, "c", more: true), cancel(3), request(3, "d"))
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 2"], "what waited is discarded by the drop")
    }

    @Test("4.8-3 CANCEL of an ended, a cancelled, a refused or a left out request has no effect")
    func cancelWithoutEffect() {
        var conversation = Conversation.opened(Terms(maxInFlight: 1))
        conversation.receive(request(3, "a"), cancel(3), cancel(3), cancel(2))
        #expect(conversation.said() == ["RESPONSE 3 a"])
        conversation.echoes = false
        conversation.receive(request(4, "b"), request(5, "c", more: true), cancel(5), cancel(5))
        #expect(conversation.said() == ["FAILURE 5 REFUSED"])
        conversation.receive(request(6, "d"))
        #expect(conversation.said() == ["FAILURE 6 REFUSED"], "the chunks of 5 are not expected any more")
        #expect(conversation.seen == [.opened, .request(3, "a"), .request(4, "b")])
    }

    @Test("4.8-1 CANCEL above every request is a PROTOCOL_ERROR")
    func cancelAbove() {
        var conversation = Conversation.opened()
        conversation.receive(request(3, "a"))
        conversation.receive(cancel(4))
        #expect(conversation.said() == ["RESPONSE 3 a", "CLOSE PROTOCOL_ERROR last 3"])
    }

    @Test("3.5-6 A response over the client's max_message is a FAILURE, and the connection goes on")
    func tooLong() {
        var conversation = Conversation()
        conversation.echoes = false
        conversation.receive(hello(maxMessage: 3), request(1, ""), request(2, ""))
        conversation.answer(1, "abcd")
        conversation.answer(2, "abc")
        #expect(
            conversation.said() == ["LIFELINE", "WELCOME", "FAILURE 1 MESSAGE_TOO_LARGE", "RESPONSE 2 abc"])
    }

    @Test("3.3-9 A response goes in chunks of the client's max_frame")
    func chunkedResponse() {
        var conversation = Conversation()
        conversation.echoes = false
        conversation.receive(hello(maxFrame: 256), request(1, ""))
        conversation.answer(1, String(repeating: "x", count: 300))
        #expect(
            conversation.said() == ["LIFELINE", "WELCOME", "RESPONSE+ 1 256 bytes", "RESPONSE 1 44 bytes"])
    }

    @Test("3.6 More than 4096 refusals that wait unread are BUSY, as many are not")
    func unreadRefusals() {
        var conversation = Conversation.opened(Terms(maxInFlight: 1), echoes: false)
        conversation.receive(request(1, "a"))
        conversation.takes = false
        for id: UInt32 in 2..<4098 { conversation.receive(request(id, "b")) }
        #expect(!conversation.connection.isClosing)
        conversation.receive(request(4098, "b"))
        #expect(conversation.connection.isClosing)
        conversation.takes = true
        conversation.settle()
        #expect(conversation.said() == ["CLOSE BUSY last 1"])
    }

    @Test("4.4-1 PONG tells the load: bytes, requests and the time since the first frame of the oldest")
    func load() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "abc", more: true), at: at(100))
        conversation.receive(ping(1), at: at(150))
        #expect(conversation.said() == ["PONG 1 queued 3 in flight 1 longest 50"])
        conversation.receive(request(1, "de"), request(2, "f"), at: at(200))
        conversation.receive(ping(2), at: at(1100))
        #expect(conversation.said() == ["PONG 2 queued 6 in flight 2 longest 1000"])
        conversation.answer(1, "x")
        conversation.receive(ping(3), at: at(1200))
        #expect(conversation.said() == ["RESPONSE 1 x", "PONG 3 queued 1 in flight 1 longest 1000"])
        conversation.answer(2, "x")
        conversation.receive(ping(4), at: at(1300))
        #expect(conversation.said() == ["RESPONSE 2 x", "PONG 4 queued 0 in flight 0 longest 0"])
    }

    @Test("3.5-7, 3.5-8 Messages of the handler are bounded by max_message and by what waits")
    func messages() {
        var conversation = Conversation()
        conversation.receive(hello(maxMessage: 5), raw(0x07, text("note")), raw(0x07))
        #expect(conversation.seen == [.opened, .message("note"), .message("")])
        let fits = conversation.connection.send(text("12345")[...], at: at(0))
        let tooLong = conversation.connection.send(text("123456")[...], at: at(0))
        #expect(fits && !tooLong)
        conversation.settle()
        #expect(conversation.said() == ["LIFELINE", "WELCOME", "MESSAGE 12345"])
        var full = Conversation.opened(Terms(maxMessage: 10, maxQueued: 10))
        full.takes = false
        let first = full.connection.send(text("123456")[...], at: at(0))
        let second = full.connection.send(text("12345")[...], at: at(0))
        #expect(first && !second)
        var short = Conversation.opened(short: true)
        let inShort = short.connection.send(text("a")[...], at: at(0))
        #expect(!inShort)
    }
}
