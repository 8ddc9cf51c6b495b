import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

func response(_ id: UInt32, _ string: String, more: Bool = false) -> [UInt8] {
    raw(0x06, flags: more ? 1 : 0, id: id, text(string))
}
func failure(_ id: UInt32, _ code: UInt16, _ string: String = "") -> [UInt8] {
    raw(0x09, id: id, u16(code) + zeros(6) + text(string))
}
private func answers(_ inFlight: UInt32, _ queued: UInt32) -> [UInt8] { u16(5) + u16(8) + u32(inFlight) + u32(queued) }

extension Conversation {
    /// One that is past the handshake of a client that answers.
    static func answering(
        _ inFlight: UInt32 = 4, _ queued: UInt32 = 1000, maxMessage: UInt32 = 1 << 20, minor: UInt8 = 1,
        short: Bool = false, echoes: Bool = true, deadAfter: UInt32 = 0, handlerTimeout: Duration? = nil,
        lifetime: ConnectionLifetime = ConnectionLifetime()
    ) -> Conversation {
        var conversation = Conversation(handlerTimeout: handlerTimeout, lifetime: lifetime)
        conversation.echoes = echoes
        conversation.receive(
            preface,
            raw(
                0x01,
                [1, minor, 0, short ? 1 : 0] + u32(0) + u32(deadAfter) + u32(16384) + u32(maxMessage)
                    + answers(inFlight, queued)))
        #expect(conversation.said() == ["LIFELINE", "WELCOME"])
        conversation.seen = []
        return conversation
    }

    mutating func ask(_ token: UInt64, _ string: String, timeout: Duration = .seconds(10)) {
        connection.ask(token, text(string)[...], until: now + timeout, at: now)
        settle()
    }

    mutating func giveUp(_ token: UInt64) {
        connection.giveUp(token, at: now)
        settle()
    }

    /// The outcomes since the last call.
    mutating func outcomes() -> [UInt64: ServerRequests.AskOutcome] {
        defer { seen = [] }
        var outcomes: [UInt64: ServerRequests.AskOutcome] = [:]
        for case .asked(let token, let outcome) in seen {
            #expect(outcomes[token] == nil, "a request has one outcome")
            outcomes[token] = outcome
        }
        return outcomes
    }
}

func answer(_ string: String) -> ServerRequests.AskOutcome { .success(text(string)) }

@Suite("3.7 Requests of the server")
struct AskTests {
    // MARK: Whether and when

    @Test("Without ANSWERS, in 1.0 and on a short connection nothing is asked, and answers break a rule")
    func notAsked() {
        for (minor, isShort) in [(UInt8(0), false), (1, true)] {
            var conversation = Conversation.answering(minor: minor, short: isShort)
            #expect(!conversation.connection.isAskable)
            conversation.ask(1, "reboot")
            #expect(conversation.outcomes() == [1: .failure(.notSent(.clientAnswersNone))])
            #expect(conversation.said().isEmpty)
            conversation.receive(response(1, "x"))
            #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 0"])
        }
        var plain = Conversation.opened(minor: 1)
        plain.receive(failure(1, 20))
        #expect(plain.said() == ["CLOSE PROTOCOL_ERROR last 0"])
    }

    @Test("The ids count from 1, and are other than the client's")
    func ids() {
        var conversation = Conversation.answering(echoes: false)
        conversation.ask(70, "price")
        conversation.receive(request(1, "tea"))
        conversation.ask(71, "again")
        #expect(conversation.said() == ["REQUEST 1 price", "REQUEST 2 again"])
        #expect(conversation.connection.inFlight == 1, "its own count nowhere")
        conversation.receive(response(2, "second"), response(1, "first"))
        #expect(conversation.outcomes() == [70: answer("first"), 71: answer("second")])
        conversation.answer(1, "two pounds")
        #expect(conversation.said() == ["RESPONSE 1 two pounds"])
    }

    @Test("Three chunks of an answer, and between them a FAILURE for the client's request of the same id, and a PING")
    func chunks() {
        var conversation = Conversation.answering(echoes: false)
        conversation.ask(1, "a")
        conversation.receive(response(1, "re", more: true), ping(1))
        conversation.receive(response(1, "boot", more: true), response(1, ""))
        #expect(conversation.outcomes() == [1: answer("reboot")])
        conversation.ask(2, "b")
        conversation.receive(request(5, "cut", more: true), failure(2, 16), request(5, "short"))
        #expect(conversation.outcomes() == [2: .failure(.failed(Failure(.handlerFailed)))])
        conversation.answer(5, "whole")
        #expect(conversation.said().last == "RESPONSE 5 whole")
    }

    @Test("A request of the client is open, and its server's request with the same id fails: the chunks go on")
    func sameID() {
        var conversation = Conversation.answering()
        conversation.ask(1, "a")
        conversation.receive(request(1, "he", more: true), failure(1, 20), request(1, "llo"))
        #expect(conversation.said() == ["REQUEST 1 a", "RESPONSE 1 hello"])
    }

    @Test("What the client has no room for waits, in order: by number and by bytes")
    func room() {
        var conversation = Conversation.answering(2, 10)
        conversation.ask(1, "12345678")
        conversation.ask(2, "abc")
        conversation.ask(3, "d")
        #expect(conversation.said() == ["REQUEST 1 12345678"], "3 does not pass 2")
        conversation.receive(response(1, ""))
        #expect(conversation.said() == ["REQUEST 2 abc", "REQUEST 3 d"])
        conversation.ask(4, "e")
        #expect(conversation.said().isEmpty)
        conversation.receive(failure(3, 20))
        #expect(conversation.said() == ["REQUEST 4 e"])
    }

    @Test("Longer than the client ever takes")
    func tooLarge() {
        var conversation = Conversation.answering(4, 5)
        conversation.ask(1, "123456")
        #expect(conversation.outcomes() == [1: .failure(.notSent(.tooLarge(most: 5)))])
        conversation = .answering(4, 1000, maxMessage: 3)
        conversation.ask(1, "1234")
        conversation.ask(2, "123")
        #expect(conversation.outcomes() == [1: .failure(.notSent(.tooLarge(most: 3)))])
        #expect(conversation.said() == ["REQUEST 1 123"])
        conversation = .answering(4, 0)
        conversation.ask(3, "")
        #expect(conversation.said() == ["REQUEST 1 "])
    }

    @Test("REFUSED promises, every other FAILURE is the client's answer")
    func failures() {
        var conversation = Conversation.answering()
        for token in 1...3 { conversation.ask(UInt64(token), "a") }
        conversation.receive(failure(1, 18, "full"), failure(2, 16, "no"), failure(3, 0))
        #expect(
            conversation.outcomes() == [
                1: .failure(.refused(.refused(Failure(.refused, "full")))),
                2: .failure(.failed(Failure(.handlerFailed, "no"))), 3: .failure(.failed(Failure(.normal))),
            ])
    }

    // MARK: Time

    @Test("A timeout cancels what was sent, once; its ending comes later, and takes room until then")
    func timeout() {
        var conversation = Conversation.answering(1)
        conversation.ask(1, "a", timeout: .seconds(1))
        conversation.ask(2, "b", timeout: .seconds(2))
        conversation.ask(3, "c", timeout: .seconds(30))
        #expect(conversation.said() == ["REQUEST 1 a"])
        conversation.wake(at: at(999))
        #expect(conversation.outcomes().isEmpty)
        conversation.wake(at: at(1000))
        #expect(conversation.outcomes() == [1: .failure(.unknown(.timedOut))])
        #expect(conversation.said() == ["CANCEL 1"])
        conversation.wake(at: at(2000))
        #expect(conversation.outcomes() == [2: .failure(.notSent(.timedOut))])
        conversation.receive(response(1, "half", more: true), response(1, "late"))
        #expect(conversation.outcomes().isEmpty)
        #expect(conversation.said() == ["REQUEST 2 c"])
        conversation.receive(response(2, "x"))
        #expect(conversation.outcomes() == [3: answer("x")])
        #expect(conversation.connection.asks?.inFlight == 0)
    }

    @Test("What the kernel has no byte of is taken back; what it has a part of is cancelled, and no more of it sent")
    func takenBack() {
        var conversation = Conversation.answering(deadAfter: 0)
        conversation.takes = false
        conversation.ask(1, "first")
        conversation.ask(2, "second")
        conversation.write(3)
        conversation.giveUp(2)
        conversation.giveUp(1)
        conversation.giveUp(7)
        #expect(
            conversation.outcomes() == [2: .failure(.notSent(.cancelled)), 1: .failure(.unknown(.cancelled))])
        conversation.ask(3, "third")
        conversation.takes = true
        conversation.settle()
        #expect(conversation.said() == ["REQUEST 1 first", "CANCEL 1", "REQUEST 3 third"])
        conversation.receive(failure(1, 17))
        #expect(conversation.outcomes().isEmpty && conversation.connection.asks?.inFlight == 1)
    }

    @Test("A long request that is given up in its middle ends with CANCEL")
    func cutOff() {
        var conversation = Conversation.answering(4, 1_000_000)
        conversation.takes = false
        conversation.ask(1, String(repeating: "x", count: 100_000))
        conversation.write(20_000)
        conversation.giveUp(1)
        conversation.takes = true
        conversation.settle()
        let said = conversation.said()
        #expect(said.last == "CANCEL 1" && !said.contains { $0.hasPrefix("REQUEST 1") })
        #expect(conversation.outcomes() == [1: .failure(.unknown(.cancelled))])
    }

    @Test("Twelve CANCELs go at once, the next when the bucket has one; none is sent for what has its ending")
    func cancels() {
        var conversation = Conversation.answering(100, 100_000)
        for token in 1...20 { conversation.ask(UInt64(token), "a", timeout: .seconds(1)) }
        _ = conversation.said()
        conversation.wake(at: at(1000))
        #expect(conversation.said() == (1...12).map { "CANCEL \($0)" })
        #expect(conversation.outcomes().count == 20)
        conversation.receive(failure(13, 17))
        conversation.wake(at: at(6000))
        #expect(conversation.said() == ["CANCEL 14"])
        conversation.wake(at: at(11000))
        #expect(conversation.said() == ["CANCEL 15"])
    }

    @Test("The time is over at the call")
    func late() {
        var conversation = Conversation.answering()
        conversation.ask(1, "a", timeout: .zero)
        #expect(conversation.outcomes() == [1: .failure(.notSent(.timedOut))] && conversation.said().isEmpty)
    }

    @Test("All ids are used up")
    func idsUsedUp() throws {
        let requests = ServerRequests(
            AnswerTerms(maxInFlight: 4, maxQueued: 100), maxMessage: 100,
            Heartbeat(pingEvery: .seconds(10), deadAfter: .seconds(30)), lastID: .max - 1)
        var outbox = Outbox()
        requests.ask(1, [1][...], until: at(1), &outbox, at: at(0))
        requests.ask(2, [1][...], until: at(1), &outbox, at: at(0))
        let outcomes = requests.takeOutcomes()
        #expect(outcomes.count == 1 && outcomes[0].token == 2)
        #expect(outcomes[0].outcome == .failure(.notSent(.idsUsedUp)))
    }

    // MARK: What breaks a rule

    @Test(
        "R2 to R4: endings that nothing waits for",
        arguments: [
            [response(1, "again")], [failure(1, 20)], [response(3, "x")], [failure(3, 20)], [cancel(9)],
            [response(2, "a", more: true), failure(2, 20), response(2, "b")],
            [response(2, "a", more: true), request(1, "x")], [response(2, "a", more: true), response(1, "x")],
        ])
    func violations(frames: [[UInt8]]) {
        var conversation = Conversation.answering()
        conversation.ask(1, "a")
        conversation.ask(2, "b")
        conversation.receive(response(1, "done"))
        _ = conversation.said()
        for frame in frames { conversation.receive(frame) }
        #expect(conversation.said() == ["CLOSE PROTOCOL_ERROR last 0"])
    }

    @Test("R4: an ending of what is not sent, or not wholly")
    func tooEarly() {
        for frame in [response(1, "x"), failure(1, 20)] {
            var conversation = Conversation.answering()
            conversation.takes = false
            conversation.ask(1, "a")
            conversation.receive(frame)
            #expect(conversation.connection.closeReason.name == "PROTOCOL_ERROR")
        }
        for (frame, name) in [(response(1, "x"), "PROTOCOL_ERROR"), (failure(1, 20), "NORMAL")] {
            var conversation = Conversation.answering()
            conversation.takes = false
            conversation.ask(1, "a")
            conversation.write(5)
            conversation.receive(frame)
            #expect(conversation.connection.closeReason.name == name)
        }
    }

    @Test("A FAILURE in the middle of a long request: the rest of it is not sent")
    func failedEarly() {
        var conversation = Conversation.answering(4, 1_000_000)
        conversation.takes = false
        conversation.ask(1, String(repeating: "x", count: 100_000))
        conversation.write(20_000)
        conversation.receive(failure(1, 18, "no room"))
        #expect(conversation.outcomes() == [1: .failure(.refused(.refused(Failure(.refused, "no room"))))])
        conversation.takes = true
        conversation.settle()
        #expect(conversation.said().last == "CANCEL 1")
    }

    @Test("An answer over the server's own max_message")
    func tooLong() {
        var conversation = Conversation.answering()
        conversation.ask(1, "a")
        _ = conversation.said()
        conversation.receive(
            raw(0x06, flags: 1, id: 1, length: 16384, zeros(16384)),
            Array(repeatElement(raw(0x06, flags: 1, id: 1, zeros(16384)), count: 64).joined()))
        #expect(conversation.said() == ["CLOSE MESSAGE_TOO_LARGE last 0"])
        #expect(conversation.outcomes().count == 1)
    }
}
