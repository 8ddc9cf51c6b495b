import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

@Suite("7.1, 7.2, 7.4 CLOSE, end of stream, GOAWAY and the end of the server")
struct ClosingTests {
    @Test("A client that connects and leaves without a byte is a probe, and one that says anything is none")
    func probes() {
        func isProbe(_ change: (inout Conversation) -> Void) -> Bool {
            var conversation = Conversation()
            change(&conversation)
            return conversation.connection.isProbe
        }
        #expect(isProbe { $0.endOfStream() })
        #expect(isProbe { $0.connection.broke("reset", byClient: true) })
        #expect(!isProbe { $0.connection.broke("poll") })
        #expect(!isProbe { $0.kick() })
        #expect(!isProbe { _ in })
        #expect(
            !isProbe { conversation in
                conversation.receive(Array("LIFE".utf8))
                conversation.connection.broke("reset", byClient: true)
            })
        #expect(
            !isProbe { conversation in
                conversation.kick()
                conversation.endOfStream()
            })
    }

    @Test("7.1-6 CLOSE is answered with CLOSE(NORMAL), behind the endings that are ready")
    func close() {
        var conversation = Conversation.opened()
        conversation.receive(request(1, "a"), request(4, "b"), LifelineServerTests.close())
        #expect(conversation.said() == ["RESPONSE 1 a", "RESPONSE 4 b", "CLOSE NORMAL last 4"])
        #expect(conversation.isOver, "the client has said all: nothing is waited for")
        #expect(conversation.connection.closeReason == .closed(.normal, "", by: .client))
    }

    @Test("7.1-7, 7.1-5 CLOSE does not wait for the handler, and nothing behind it is a frame")
    func closeGivesUp() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), LifelineServerTests.close(code: 11), request(2, "b"), [1, 2, 3])
        #expect(conversation.said() == ["CLOSE NORMAL last 1"])
        #expect(conversation.seen == [.opened, .request(1, "a"), .cancelled(1)])
        #expect(conversation.connection.closeReason == .closed(.noRoundTrip, "", by: .client))
        conversation.answer(1, "late")
        #expect(conversation.said() == [])
    }

    @Test(
        "7.1-6 CLOSE between the chunks of a request is answered, also where GOAWAY came before",
        arguments: [false, true])
    func closeWithin(afterGoAway: Bool) {
        var conversation = Conversation.opened()
        conversation.receive(request(1, "a", more: true))
        if afterGoAway { conversation.receive(goAway()) }
        conversation.receive(LifelineServerTests.close(), request(1, "b"))
        #expect(conversation.said() == ["CLOSE NORMAL last 0"])
        #expect(conversation.seen == [.opened])
        #expect(conversation.isOver)
    }

    @Test("4.11-4 A client's CLOSE with a last_id is answered with PROTOCOL_ERROR")
    func lastID() {
        var conversation = Conversation.opened()
        conversation.receive(request(1, "a"))
        conversation.receive(LifelineServerTests.close(lastID: 1))
        #expect(conversation.said() == ["RESPONSE 1 a", "CLOSE PROTOCOL_ERROR last 1"])
    }

    private enum WayOut: CaseIterable {
        case close, end, time
    }

    @Test(
        "7.1-3, 7.1-8 A server that said CLOSE first reads on until CLOSE or the end comes, or for 1 s, and says no more",
        arguments: WayOut.allCases)
    private func lingers(_ way: WayOut) {
        var conversation = Conversation.opened()
        conversation.terminate()
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE SHUTTING_DOWN last 0"])
        #expect(conversation.connection.deadline == at(1000))
        conversation.receive(request(1, "a"), ping(1), at: at(500))
        #expect(conversation.said() == [] && conversation.seen == [.opened])
        switch way {
        case .close: conversation.receive(LifelineServerTests.close(), at: at(600))
        case .end: conversation.endOfStream(at: at(600))
        case .time:
            conversation.wake(at: Instant(sinceStart: .seconds(1) - .nanoseconds(1)))
            #expect(!conversation.isOver)
            conversation.wake(at: at(1000))
        }
        #expect(conversation.isOver)
    }

    @Test("5.4-1, 7.3-3 While CLOSE waits behind a long last response, a PING is answered before it")
    func beatsToTheEnd() {
        var conversation = Conversation.opened(short: true)
        conversation.takes = false
        conversation.receive(request(1, String(repeating: "x", count: 16000), more: true))
        conversation.receive(request(1, String(repeating: "x", count: 16000), more: true))
        conversation.receive(request(1, String(repeating: "x", count: 8000)))
        #expect(conversation.connection.isClosing && !conversation.connection.hasSaidAll)
        conversation.receive(ping(9), at: at(100))
        conversation.takes = true
        conversation.wake(at: at(200))
        let said = conversation.said().map { $0.prefix { $0 != " " } }
        #expect(said.last == "CLOSE")
        #expect(said.filter { $0 == "PONG" }.count == 1)
        #expect(said.first == "RESPONSE+")
    }

    @Test("7.2-3 On end of stream all that was asked is answered, then CLOSE(NORMAL)")
    func endOfStream() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"))
        conversation.endOfStream(at: at(10))
        #expect(conversation.said() == ["PING 1"], "a client that is gone answers with a reset (7.2)")
        #expect(conversation.connection.deadline == nil)
        conversation.wake(at: at(10_000_000))
        conversation.answer(1, "x")
        conversation.answer(2, "y")
        #expect(conversation.said() == ["RESPONSE 1 x", "RESPONSE 2 y", "CLOSE NORMAL last 2"])
        #expect(conversation.isOver)
    }

    @Test("7.2-4 Within a frame or a message its end is CLOSE(PROTOCOL_ERROR), after the answers to what is whole")
    func endWithin() {
        let tails: [[UInt8]] = [
            [0], Array(ping(1).dropLast()), raw(0x05, id: 3, length: 5), request(3, "c", more: true),
            raw(0x07, flags: 1, [1]), raw(0x40, flags: 0x80, length: 9, [1]),
        ]
        for tail in tails {
            var conversation = Conversation.opened(echoes: false)
            conversation.receive(request(1, "a"), tail)
            conversation.endOfStream()
            #expect(conversation.said() == ["PING 1"])
            conversation.answer(1, "x")
            #expect(conversation.said() == ["RESPONSE 1 x", "CLOSE PROTOCOL_ERROR last 1"], "\(tail)")
            #expect(conversation.isOver)
        }
    }

    @Test("7.4-5 On GOAWAY the last answers are sent, then CLOSE(NORMAL)")
    func goesAway() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"), goAway())
        conversation.answer(1, "x")
        #expect(conversation.said() == ["RESPONSE 1 x"])
        conversation.receive(ping(1), raw(0x07, text("m")), goAway())
        #expect(conversation.said() == ["PONG 1 queued 1 in flight 1 longest 0"])
        conversation.answer(2, "y")
        #expect(conversation.said() == ["RESPONSE 2 y", "CLOSE NORMAL last 2"])
        #expect(!conversation.isOver, "the client's end is waited for")
        var idle = Conversation.opened()
        idle.receive(goAway())
        #expect(idle.said() == ["CLOSE NORMAL last 0"])
    }

    @Test("7.4-4 A client that went away may finish the request that it has begun, cancel it, or have it refused")
    func finishes() {
        let begun = request(1, "a", more: true) + goAway()
        var finished = Conversation.opened()
        finished.receive(begun)
        #expect(finished.said() == [])
        finished.receive(request(1, "b"))
        #expect(finished.said() == ["RESPONSE 1 ab", "CLOSE NORMAL last 1"])
        var cancelled = Conversation.opened()
        cancelled.receive(begun, cancel(1))
        #expect(cancelled.said() == ["FAILURE 1 CANCELLED", "CLOSE NORMAL last 0"])
        var refused = Conversation.opened(Terms(maxMessage: 3, maxQueued: 3), echoes: false)
        refused.receive(request(1, "ab"), request(2, "a", more: true), goAway(), request(2, "bc", more: true))
        #expect(refused.said() == ["FAILURE 2 REFUSED"])
        refused.answer(1, "x")
        #expect(refused.said() == ["RESPONSE 1 x", "CLOSE NORMAL last 1"])
    }

    @Test("7.4-4 A request that begins behind the client's GOAWAY is a PROTOCOL_ERROR")
    func newRequest() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), goAway(), request(2, "b"))
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 1"])
    }

    @Test("7.4-7, 7.4-8 A server that ends answers what has come whole, and what comes until it closes")
    func terminates() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), request(2, "b", more: true))
        conversation.terminate()
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN"])
        conversation.receive(request(2, "c"))
        conversation.answer(1, "x")
        #expect(conversation.said() == ["RESPONSE 1 x"])
        conversation.answer(2, "y")
        #expect(conversation.said() == ["RESPONSE 2 y", "CLOSE SHUTTING_DOWN last 2"])
        #expect(conversation.connection.closeReason == .closed(.shuttingDown, "bye", by: .server))
    }

    @Test("7.4-7 A request that has not come whole is not waited for")
    func terminatesWithin() {
        for (frames, code) in [([], "SHUTTING_DOWN"), (goAway(), "NORMAL")] {
            var conversation = Conversation.opened()
            conversation.receive(request(1, "a", more: true), frames)
            conversation.terminate()
            #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE \(code) last 0"])
        }
    }

    @Test("7.1-6 A client that answers the server's GOAWAY with CLOSE gets CLOSE(NORMAL)")
    func closeAfterGoAway() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"))
        conversation.terminate()
        conversation.receive(LifelineServerTests.close())
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN", "CLOSE NORMAL last 1"])
        #expect(conversation.isOver)
    }

    @Test("7.2-6 A connection that breaks is lost and over, in every state")
    func breaks() {
        for state in 0..<4 {
            var conversation = state == 0 ? Conversation() : Conversation.opened(echoes: false)
            if state > 1 { conversation.receive(request(1, "a")) }
            if state > 2 { conversation.terminate() }
            conversation.connection.broke("reset")
            conversation.settle()
            #expect(conversation.isOver)
            #expect(conversation.connection.closeReason == .lost("reset") || state > 2)
            conversation.answer(1, "x")
            #expect(conversation.isOver)
        }
    }
}
