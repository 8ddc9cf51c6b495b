import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

/// How far a request of the server has come, as the token says.
private enum Stage: UInt64, CaseIterable {
    /// The client has it whole.
    case sent = 1
    /// The client has the beginning of its answer too.
    case halfAnswered
    /// The kernel has a part of it.
    case begun
    /// The kernel has none of it.
    case untouched
    /// The client has no room for it.
    case waiting
}

/// What ends the connection, or the asking.
private enum End: String, CaseIterable {
    case clientClose, clientCloseLow, clientCloseHigh, streamEnd, reset, violation, silence, terminate, kick, quit
    case handlerStop
}

@Suite("7.7 What becomes of the server's requests at the end")
struct AskEndTests {
    /// A connection with a request in each stage.
    private func conversation() -> Conversation {
        var conversation = Conversation.answering(4, 300_000)
        conversation.ask(Stage.sent.rawValue, "a", timeout: .seconds(100))
        conversation.ask(Stage.halfAnswered.rawValue, "b", timeout: .seconds(100))
        conversation.receive(response(2, "half", more: true))
        conversation.takes = false
        conversation.ask(Stage.begun.rawValue, String(repeating: "c", count: 50_000), timeout: .seconds(100))
        conversation.write(20_000)
        conversation.ask(Stage.untouched.rawValue, "d", timeout: .seconds(100))
        conversation.ask(Stage.waiting.rawValue, "e", timeout: .seconds(100))
        conversation.seen = []
        return conversation
    }

    private func bring(_ end: End, to conversation: inout Conversation) {
        switch end {
        case .clientClose: conversation.receive(close(lastID: 3))
        case .clientCloseLow: conversation.receive(close(lastID: 1))
        case .clientCloseHigh: conversation.receive(close(lastID: 4))
        case .streamEnd: conversation.endOfStream()
        case .reset: conversation.connection.broke("gone", byClient: true)
        case .violation: conversation.receive(raw(0x7F))
        case .silence:
            conversation.wake(at: at(15_000))
            conversation.wake(at: at(30_000))
        case .terminate: conversation.terminate()
        case .kick: conversation.connection.kick(at: conversation.now)
        case .quit: conversation.quit()
        case .handlerStop: conversation.connection.stop(CloseCause(.handlerFailed, "no more"))
        }
        conversation.settle()
    }

    /// The name of the outcome alone.
    private func names(_ outcomes: [UInt64: ServerRequests.AskOutcome]) -> [Stage: String] {
        var names: [Stage: String] = [:]
        for (token, outcome) in outcomes {
            guard case .failure(let error) = outcome, let stage = Stage(rawValue: token) else { continue }
            names[stage] = String("\(error)".prefix { $0 != ":" })
        }
        return names
    }

    @Test(
        "Each end, and a request in each stage of its life: its outcome is known at once, and once",
        arguments: End.allCases)
    private func table(end: End) {
        var conversation = conversation()
        bring(end, to: &conversation)
        var expected: [Stage: String] = [
            .sent: "UNKNOWN", .halfAnswered: "UNKNOWN", .begun: "UNKNOWN", .untouched: "NOT_SENT", .waiting: "NOT_SENT",
        ]
        if end == .clientCloseLow { (expected[.halfAnswered], expected[.begun]) = ("REFUSED", "REFUSED") }
        #expect(names(conversation.outcomes()) == expected)
        conversation.ask(9, "late")
        #expect(names(conversation.outcomes()).isEmpty && !conversation.connection.asks!.isBusy)
        conversation.takes = true
        conversation.settle()
        let said = conversation.said()
        #expect(!said.contains { $0.hasPrefix("REQUEST 4") || $0.hasPrefix("REQUEST 5") }, "\(said)")
        if end == .clientCloseHigh { #expect(said.last == "CLOSE PROTOCOL_ERROR last 0") }
        if end == .clientClose || end == .clientCloseLow { #expect(said.last == "CLOSE NORMAL last 0") }
    }

    @Test("The reason says what has happened")
    func reasons() {
        var conversation = Conversation.answering()
        conversation.ask(1, "a")
        conversation.receive(close(lastID: 1, code: 20))
        let gone = CloseReason.closed(.internal, "", by: .client)
        #expect(conversation.outcomes() == [1: .failure(.unknown(.connection(gone)))])
        conversation.ask(2, "b")
        #expect(conversation.outcomes() == [2: .failure(.notSent(.connection(gone)))])
        conversation = .answering()
        conversation.ask(1, "a")
        conversation.connection.kick(at: at(0))
        conversation.settle()
        #expect(
            conversation.outcomes() == [
                1: .failure(
                    .unknown(.connection(.closed(.kicked, "an operator ended this connection", by: .server))))
            ])
    }

    @Test("F9: last_id above every id that was sent, where none was, and where one was taken back")
    func lastID() {
        for (ids, lastID, code) in [
            (0, 0, "NORMAL"), (0, 1, "PROTOCOL_ERROR"), (2, 2, "NORMAL"), (2, 3, "PROTOCOL_ERROR"),
        ] {
            var conversation = Conversation.answering()
            for token in 0..<ids { conversation.ask(UInt64(token), "a") }
            for id in 0..<ids { conversation.receive(response(UInt32(id + 1), "x")) }
            conversation.takes = false
            conversation.ask(8, "never sent")
            conversation.takes = true
            conversation.connection.giveUp(8, at: at(0))
            conversation.receive(close(lastID: UInt32(lastID)))
            #expect(conversation.said().last == "CLOSE \(code) last 0")
        }
    }

    @Test("A client that has ended its stream still gets its answers, but cannot give any: that is known at once")
    func streamEnd() {
        for isOpen in [false, true] {
            var conversation = Conversation.answering(echoes: false)
            conversation.receive(request(1, "a"))
            conversation.ask(1, "b")
            if isOpen { conversation.receive(response(1, "half", more: true)) }
            conversation.endOfStream()
            let reason = ClientRequestError.Reason.connection(.lost("the client ended its stream"))
            #expect(conversation.outcomes() == [1: .failure(.unknown(reason))])
            conversation.ask(2, "c")
            #expect(conversation.outcomes() == [2: .failure(.notSent(reason))])
            conversation.answer(1, "x")
            #expect(conversation.said().contains("RESPONSE 1 x") && conversation.connection.isClosing)
        }
    }

    // MARK: GOAWAY

    @Test("3.7-6, 7.4-5: after the client's GOAWAY nothing begins, and CLOSE waits for what has")
    func clientGoesAway() {
        var conversation = conversation()
        conversation.receive(goAway())
        #expect(names(conversation.outcomes()) == [.untouched: "NOT_SENT", .waiting: "NOT_SENT"])
        conversation.ask(Stage.waiting.rawValue, "late")
        #expect(names(conversation.outcomes()) == [.waiting: "NOT_SENT"])
        conversation.takes = true
        conversation.settle()
        // The rest of the long request goes as PONGs come.
        while case let said = conversation.said(), !said.isEmpty {
            #expect(!said.contains { $0.hasPrefix("CLOSE") })
            for line in said where line.hasPrefix("PING") { conversation.receive(pong(UInt64(line.dropFirst(5))!)) }
        }
        conversation.receive(response(2, ""), response(1, "done"))
        #expect(conversation.outcomes() == [1: answer("done"), 2: answer("half")])
        #expect(!conversation.said().contains { $0.hasPrefix("CLOSE") })
        conversation.receive(failure(3, 16))
        #expect(conversation.outcomes() == [3: .failure(.failed(Failure(.handlerFailed)))])
        #expect(conversation.said().last == "CLOSE NORMAL last 0")
    }

    @Test("CLOSE does not wait for what was given up, nor beyond the timeout, nor for the client of a server that ends")
    func waitsNoLonger() {
        var conversation = Conversation.answering()
        conversation.ask(1, "a", timeout: .seconds(1))
        conversation.receive(goAway())
        #expect(conversation.said() == ["REQUEST 1 a"])
        conversation.wake(at: at(1000))
        #expect(conversation.said() == ["CANCEL 1", "CLOSE NORMAL last 0"])
        for isStopped in [false, true] {
            conversation = .answering()
            conversation.ask(1, "a")
            conversation.receive(goAway())
            if isStopped {
                conversation.connection.stop(CloseCause(.handlerFailed, "no more"))
                conversation.settle()
            } else {
                conversation.terminate()
            }
            #expect(conversation.said().last?.hasPrefix("CLOSE") == true)
            #expect(conversation.outcomes().count == 1)
        }
    }

    @Test("3.7-6: after its own GOAWAY the server asks on")
    func serverGoesAway() {
        var conversation = Conversation.answering()
        conversation.sendAway()
        conversation.ask(1, "a")
        #expect(conversation.said() == ["GOAWAY SHUTTING_DOWN", "REQUEST 1 a"])
        conversation.receive(response(1, "b"))
        #expect(conversation.outcomes() == [1: answer("b")])
    }

    @Test("A handler that asks for its client's answer, and a server that ends: both are answered")
    func asksWhileFinishing() {
        var conversation = Conversation.answering(echoes: false)
        conversation.receive(request(1, "what does till 7 say?"))
        conversation.terminate()
        conversation.ask(1, "till 7?")
        conversation.receive(response(1, "hello"))
        #expect(conversation.outcomes() == [1: answer("hello")])
        conversation.answer(1, "hello")
        #expect(
            conversation.said() == [
                "GOAWAY SHUTTING_DOWN", "REQUEST 1 till 7?", "RESPONSE 1 hello", "CLOSE SHUTTING_DOWN last 1",
            ])
    }

    @Test("A handler that does not come back, because it waits for the client: it is told at the end of its grace")
    func stuck() {
        var conversation = Conversation.answering(echoes: false, handlerTimeout: .seconds(1))
        conversation.receive(request(1, "x"))
        conversation.ask(1, "y", timeout: .seconds(100))
        conversation.wake(at: at(1000))
        #expect(conversation.outcomes().isEmpty)
        conversation.wake(at: at(2000))
        #expect(conversation.outcomes().count == 1 && conversation.connection.isStuck)
    }

    @Test("An idle connection on which the server waits for an answer is not idle")
    func idle() {
        let lifetime = ConnectionLifetime(
            maxAge: nil, maxIdle: .seconds(5), grace: .seconds(1), acceptedAt: at(0), random: { 0 })
        var conversation = Conversation.answering(lifetime: lifetime)
        conversation.ask(1, "a", timeout: .seconds(8))
        conversation.wake(at: at(5000))
        #expect(conversation.said() == ["REQUEST 1 a"])
    }
}
