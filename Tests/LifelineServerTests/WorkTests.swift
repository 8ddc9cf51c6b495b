import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("What a handler that works beside the loop is given, and what becomes of its answers")
struct WorkTests {
    @Test("It is given one thing at a time, in the order in which things came")
    func oneAtATime() {
        var conversation = Conversation.opened(echoes: false, returns: false)
        #expect(conversation.seen == [.opened])
        conversation.receive(request(1, "a"), raw(0x07, text("m")), request(2, "b"))
        #expect(conversation.seen == [.opened], "it has not come back from the beginning")
        conversation.finish()
        #expect(conversation.seen == [.opened, .request(1, "a")])
        conversation.connection.answer(1, text("x")[...])
        conversation.settle()
        #expect(conversation.said() == ["RESPONSE 1 x"])
        #expect(conversation.seen.count == 2, "an answer is not a coming back")
        conversation.finish()
        #expect(conversation.seen.last == .message("m"))
        conversation.finish()
        #expect(conversation.seen.last == .request(2, "b"))
    }

    @Test("PONG tells what waits and since when, while it works", arguments: [1, 3])
    func load(_ requests: UInt32) {
        var conversation = Conversation.working()
        for id in 1...requests { conversation.receive(request(id, "abc"), at: at(0)) }
        conversation.receive(ping(9), at: at(700))
        #expect(conversation.said() == ["PONG 9 queued \(3 * requests) in flight \(requests) longest 700"])
    }

    @Test("4.8-2 CANCEL of a request that waits ends it without a word to the handler")
    func cancelWaiting() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"), request(2, "b"), request(3, "c"), cancel(2))
        #expect(conversation.said() == ["FAILURE 2 CANCELLED"])
        conversation.finish(answering: 1)
        conversation.finish(answering: 3)
        #expect(conversation.seen == [.opened, .request(1, "a"), .request(3, "c")])
    }

    @Test("4.8-2 CANCEL of the request that it works on is answered at once, and told to it; its answer is thrown away")
    func cancelWorking() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"), request(2, "b"), cancel(1))
        #expect(conversation.said() == ["FAILURE 1 CANCELLED"])
        #expect(conversation.seen == [.opened, .request(1, "a"), .cancelled(1)])
        conversation.finish(answering: 1)
        #expect(conversation.said() == [])
        #expect(conversation.seen.last == .request(2, "b"))
    }

    @Test("7.5 The last_id of a drop is the last request that it was given: what waited can be sent again")
    func lastID() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"), request(2, "b"), request(3, "c"), [9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 1"])
        #expect(conversation.seen.last == .cancelled(1))
        conversation.finish(answering: 1)
        #expect(conversation.said() == [])
        #expect(conversation.seen.last == .cancelled(1), "nothing more is given")
    }

    @Test("Messages that came before the client's CLOSE are still given, then it can be told of the end")
    func messagesBeforeClose() {
        var conversation = Conversation.working()
        conversation.receive(
            request(1, "a"), raw(0x07, text("m")), request(2, "b"), LifelineServerTests.close())
        #expect(conversation.said() == ["CLOSE NORMAL last 1"])
        #expect(!conversation.connection.hasDispatchedAll)
        conversation.finish()
        #expect(conversation.seen == [.opened, .request(1, "a"), .cancelled(1), .message("m")])
        #expect(conversation.connection.hasDispatchedAll)
    }

    @Test("A client that floods a busy handler with messages is dropped with BUSY, at max_queued bytes")
    func messageFlood() {
        var conversation = Conversation.working(Terms(maxMessage: 1000, maxQueued: 2000))
        conversation.receive(request(1, "a"))
        let message = raw(0x07, zeros(500))
        conversation.receive(message, message, message)
        #expect(conversation.said() == [])
        conversation.receive(message)
        #expect(conversation.said() == ["CLOSE BUSY last 1"])
    }

    @Test("7.4 The end of the server waits for what was asked, also for what was not begun")
    func terminate() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"), request(2, "b"))
        conversation.terminate()
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN"])
        conversation.finish(answering: 1)
        conversation.finish(answering: 2)
        #expect(conversation.said() == ["RESPONSE 1 x", "RESPONSE 2 x", "CLOSE SHUTTING_DOWN last 2"])
    }

    // MARK: The time of a request

    @Test("A request that has had its time fails at that instant, and the handler is told")
    func timeout() {
        var conversation = Conversation.working(handlerTimeout: .seconds(2))
        conversation.receive(request(1, "a"), request(2, "b"), at: at(1000))
        #expect(conversation.connection.deadline == at(3000))
        conversation.wake(at: at(2999))
        #expect(conversation.said() == [])
        conversation.wake(at: at(3000))
        #expect(conversation.said() == ["FAILURE 1 HANDLER_FAILED"])
        #expect(conversation.seen == [.opened, .request(1, "a"), .cancelled(1)])
    }

    @Test("A handler that comes back after its time goes on with the next request, which has a time of its own")
    func comesBack() {
        var conversation = Conversation.working(handlerTimeout: .seconds(2))
        conversation.receive(request(1, "a"), request(2, "b"), at: at(0))
        conversation.wake(at: at(2000))
        conversation.wake(at: at(2900))
        conversation.finish(answering: 1)
        #expect(conversation.seen.last == .request(2, "b"))
        conversation.wake(at: at(4899))
        #expect(conversation.said() == ["FAILURE 1 HANDLER_FAILED"])
        conversation.wake(at: at(4900))
        #expect(conversation.said() == ["FAILURE 2 HANDLER_FAILED"])
    }

    @Test("One that does not come back within a second more costs its connection; what waited was not processed")
    func stuck() {
        var conversation = Conversation.working(handlerTimeout: .seconds(2))
        conversation.receive(request(1, "a"), request(2, "b"), raw(0x07, text("m")), at: at(0))
        conversation.wake(at: at(2000))
        conversation.wake(at: at(2999))
        #expect(conversation.said() == ["FAILURE 1 HANDLER_FAILED"])
        conversation.wake(at: at(3000))
        #expect(conversation.said() == ["CLOSE HANDLER_FAILED last 1"])
        #expect(conversation.connection.isStuck && conversation.connection.hasDispatchedAll)
    }

    @Test("A cancelled request that does not come back is stuck as well")
    func stuckCancelled() {
        var conversation = Conversation.working(handlerTimeout: .seconds(2))
        conversation.receive(request(1, "a"), cancel(1), at: at(0))
        conversation.wake(at: at(2000))
        conversation.wake(at: at(3000))
        #expect(conversation.said() == ["FAILURE 1 CANCELLED", "CLOSE HANDLER_FAILED last 1"])
    }

    // MARK: A response in parts

    @Test("3.5 The parts of a response are chunks of one message, sent as they come")
    func parts() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"))
        conversation.part(1, "he")
        #expect(conversation.said() == ["RESPONSE+ 1 he"])
        conversation.part(1, "llo")
        conversation.part(1, "", isLast: true)
        #expect(conversation.said() == ["RESPONSE+ 1 llo", "RESPONSE 1 "])
        #expect(conversation.connection.requestsServed == 1)
    }

    @Test("3.5 Nothing but frames comes between them: one-way messages wait for the last")
    func between() {
        var conversation = Conversation.working(Terms(maxInFlight: 1))
        conversation.receive(request(1, "a"))
        conversation.part(1, "he")
        let isTaken = conversation.connection.send(text("m")[...], at: at(0))
        #expect(isTaken)
        conversation.receive(request(2, "b"), ping(5))
        #expect(
            conversation.said() == [
                "RESPONSE+ 1 he", "FAILURE 2 REFUSED", "PONG 5 queued 1 in flight 1 longest 0",
            ])
        conversation.part(1, "y", isLast: true)
        #expect(conversation.said() == ["RESPONSE 1 y", "MESSAGE m"])
    }

    @Test("3.6-2 A failure after parts ends the response in their midst, and what waited of it is not sent")
    func failsInTheMiddle() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"))
        conversation.takes = false
        for _ in 0..<10 { conversation.part(1, String(repeating: "x", count: 5000)) }
        conversation.connection.fail(1, Failure(.handlerFailed))
        conversation.takes = true
        conversation.settle()
        let said = conversation.said()
        #expect(said.count < 8 && said.last == "FAILURE 1 HANDLER_FAILED", "\(said)")
        conversation.part(1, "late", isLast: true)
        #expect(conversation.said() == [])
    }

    enum End: CaseIterable { case failure, cancel, close, stop }

    @Test("3.5-3 A response that ends after parts ends before the messages that waited", arguments: End.allCases)
    func endsBeforeWhatWaited(_ end: End) {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"))
        conversation.part(1, "he")
        let isTaken = conversation.connection.send(text("m")[...], at: at(0))
        #expect(isTaken)
        conversation.settle()
        #expect(conversation.said() == ["RESPONSE+ 1 he"])
        let code =
            switch end {
            case .failure, .stop: "HANDLER_FAILED"
            case .cancel, .close: "CANCELLED"
            }
        var last: [String] = []
        switch end {
        case .failure: conversation.connection.fail(1, Failure(.handlerFailed))
        case .cancel: conversation.receive(cancel(1))
        case .close:
            conversation.receive(close())
            last = ["CLOSE NORMAL last 1"]
        case .stop:
            conversation.connection.stop(CloseCause(.handlerFailed, "no more"))
            last = ["CLOSE HANDLER_FAILED last 1"]
        }
        conversation.settle()
        #expect(conversation.said() == ["FAILURE 1 \(code)", "MESSAGE m"] + last)
    }

    @Test("3.5-6 Parts that come to more than the client accepts are MESSAGE_TOO_LARGE, and the handler is told")
    func tooLarge() {
        var conversation = Conversation(Terms())
        conversation.echoes = false
        conversation.receive(hello(maxMessage: 1000))
        conversation.receive(request(1, "a"))
        conversation.part(1, String(repeating: "x", count: 600))
        conversation.part(1, String(repeating: "x", count: 401))
        #expect(conversation.said().suffix(2) == ["RESPONSE+ 1 600 bytes", "FAILURE 1 MESSAGE_TOO_LARGE"])
        #expect(conversation.seen.last == .cancelled(1))
    }

    @Test("What waits for a slow client is bounded: there is room again when it reads")
    func room() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"))
        conversation.takes = false
        #expect(conversation.connection.room(for: 1) == 65536)
        var parts = 0
        while conversation.connection.room(for: 1) > 0 {
            conversation.part(1, String(repeating: "x", count: 16384))
            parts += 1
        }
        #expect(parts == 5, "four, and the frame that is staged")
        conversation.write(20000)
        #expect(conversation.connection.room(for: 1) == 32768, "two frames more are staged")
    }

    @Test("A slow client's time is not the handler's: a response in parts has its time from the last byte that went")
    func slowReader() {
        var conversation = Conversation.working(Terms(timeout: 60000), handlerTimeout: .seconds(2))
        conversation.receive(request(1, "a"), at: at(0))
        conversation.part(1, String(repeating: "x", count: 50000))
        conversation.wake(at: at(1900))
        conversation.takes = false
        conversation.part(1, String(repeating: "x", count: 50000))
        conversation.wake(at: at(3800))
        conversation.write(100)
        conversation.wake(at: at(5700))
        let said = conversation.said()
        #expect(!said.contains { $0.hasPrefix("FAILURE") })
        conversation.takes = true
        conversation.wake(at: at(7700))
        #expect(conversation.said().last == "FAILURE 1 HANDLER_FAILED")
    }

    @Test("7.1-6 A client's CLOSE in the middle of a response in parts is answered at once")
    func closeWithin() {
        var conversation = Conversation.working()
        conversation.receive(request(1, "a"))
        conversation.part(1, "he")
        conversation.receive(LifelineServerTests.close())
        #expect(conversation.said() == ["RESPONSE+ 1 he", "FAILURE 1 CANCELLED", "CLOSE NORMAL last 1"])
        #expect(conversation.isOver)
    }
}

extension Conversation {
    /// One whose handler works beside the loop and has come back from its beginning.
    static func working(_ terms: Terms = Terms(), handlerTimeout: Duration? = nil) -> Conversation {
        opened(terms, echoes: false, handlerTimeout: handlerTimeout)
    }

    mutating func finish(answering id: UInt32) {
        connection.answer(id, text("x")[...])
        finish()
    }

    fileprivate mutating func part(_ id: UInt32, _ string: String, isLast: Bool = false) {
        connection.answer(id, part: text(string)[...], isLast: isLast, at: now)
        settle()
    }
}
