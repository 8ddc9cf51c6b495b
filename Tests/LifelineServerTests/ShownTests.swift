import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

@Suite("What a connection shows, and the operator's end of it")
struct ShownTests {
    @Test("The state: greeting, idle, working as long as a request has no ending, closing")
    func states() {
        var conversation = Conversation()
        #expect(conversation.connection.activity == .greeting)
        conversation.echoes = false
        conversation.receive(hello())
        #expect(conversation.connection.activity == .idle)
        conversation.receive(request(1, "a"), request(2, "b", more: true))
        #expect(conversation.connection.activity == .working && conversation.connection.inFlight == 2)
        conversation.answer(1, "A")
        conversation.receive(cancel(2))
        #expect(conversation.connection.activity == .idle && conversation.connection.inFlight == 0)
        conversation.receive(close())
        #expect(conversation.connection.activity == .closing)
    }

    @Test("A request is in flight until the kernel has taken its answer")
    func slowReader() {
        var conversation = Conversation.opened(echoes: false)
        conversation.takes = false
        conversation.receive(request(1, "a"))
        conversation.answer(1, "A")
        #expect(conversation.connection.activity == .working, "the client does not have it yet")
    }

    @Test("KICKED ends a connection at once: before HELLO, idle, and with requests that have no answer")
    func kicked() {
        var greeting = Conversation()
        greeting.kick()
        #expect(greeting.said() == ["LIFELINE", "CLOSE KICKED last 0"])

        var idle = Conversation.opened()
        idle.kick()
        #expect(idle.said() == ["CLOSE KICKED last 0"])
        #expect(idle.connection.closeReason == .closed(.kicked, "an operator ended this connection", by: .server))

        var working = Conversation.opened(echoes: false)
        working.receive(request(1, "a"))
        working.kick()
        #expect(working.said() == ["CLOSE KICKED last 1"])
        #expect(working.seen.last == .cancelled(1))
        working.answer(1, "late")
        #expect(working.said().isEmpty)
    }

    @Test("KICKED does not wait for a client that does not read, nor for a drain")
    func kickedWhileLeaving() {
        var slow = Conversation.opened()
        slow.takes = false
        slow.receive(request(1, "a"))
        slow.kick()
        #expect(slow.connection.deadline == at(1000))
        slow.kick()
        #expect(slow.isOver, "a second time it is over")

        var gone = Conversation.opened()
        gone.terminate()
        #expect(gone.said().last?.hasPrefix("CLOSE SHUTTING_DOWN") ?? false)
        gone.kick()
        #expect(gone.isOver, "nor for one that acknowledges nothing")

        var draining = Conversation.opened(echoes: false)
        draining.receive(request(1, "a"))
        draining.terminate()
        #expect(draining.said() == ["GOAWAY SHUTTING_DOWN"])
        draining.kick()
        #expect(draining.said() == ["CLOSE KICKED last 1"])
    }

    @Test("Of a silent client it is known how late it was dropped, of others not")
    func lateness() {
        var silent = Conversation.opened(Terms(timeout: 1000))
        let start = silent.now
        silent.wake(at: start + .milliseconds(500))
        silent.wake(at: start + .milliseconds(1007))
        #expect(silent.connection.closeReason == .closed(.silent, "nothing was heard for 1.0 seconds", by: .server))
        #expect(silent.connection.lateness == .milliseconds(7))

        var wrong = Conversation.opened(Terms(timeout: 1000))
        wrong.receive(raw(0x77))
        #expect(wrong.isOver || wrong.connection.isClosing)
        #expect(wrong.connection.lateness == nil)
    }

    @Test("Round trips that PONGs prove are told once, each of them")
    func roundTrips() {
        var conversation = Conversation.opened(Terms(timeout: 1000))
        let start = conversation.now
        #expect(conversation.connection.fetchRoundTrips().isEmpty)
        conversation.wake(at: start + .milliseconds(500))
        conversation.receive(raw(0x04, u64(1) + zeros(12)), at: start + .milliseconds(512))
        conversation.wake(at: start + .milliseconds(1012))
        conversation.receive(raw(0x04, u64(2) + zeros(12)), at: start + .milliseconds(1013))
        #expect(conversation.connection.fetchRoundTrips() == [.milliseconds(12), .milliseconds(1)])
        #expect(conversation.connection.fetchRoundTrips().isEmpty)
    }
}

extension Conversation {
    /// An operator ends it.
    fileprivate mutating func kick() {
        connection.kick(at: now)
        settle()
    }
}
