import Basics
import Framing
import Testing

@testable import LifelineServer
@testable import Posix

@Suite("What a thread of the handler asks, and the loop that answers")
struct MailboxTests {
    /// Runs `ask` on a thread of its own, and returns what it has brought.
    private final class Asker: Sendable {
        private let outcome = ConditionLock<ServerRequests.AskOutcome?>(nil)

        init(_ ask: @escaping @Sendable () throws(ClientRequestError) -> [UInt8]) throws {
            try startThread(named: "asker") { [outcome] in
                let result: ServerRequests.AskOutcome
                do throws(ClientRequestError) { result = .success(try ask()) } catch { result = .failure(error) }
                outcome.withLock { $0 = result }
                outcome.notify()
            }
        }

        func result() -> ServerRequests.AskOutcome? { outcome.wait(until: .now + .seconds(10)) { $0 } }
    }

    /// A thread that would run the loop, and a mailbox that wakes it. The thread does nothing: the tests look by
    /// themselves. It lives as long as this, because the number of a thread that has ended may soon be another's.
    private final class Loop {
        private let isOver = ConditionLock(false)
        let mailbox: HandlerMailbox

        init() throws {
            let made = ConditionLock<HandlerMailbox?>(nil)
            try startThread(named: "loop") { [isOver] in
                made.withLock { $0 = HandlerMailbox(waking: LoopWaker()) }
                made.notify()
                _ = isOver.wait { $0 ? true : nil }
            }
            mailbox = try #require(made.wait(until: .now + .seconds(10)) { $0 })
        }

        deinit {
            isOver.withLock { $0 = true }
            isOver.notify()
        }
    }

    private func outputs(_ mailbox: HandlerMailbox) -> [HandlerOutput] {
        var outputs: [HandlerOutput] = []
        let deadline = Instant.now + .seconds(10)
        while outputs.isEmpty, .now < deadline {
            outputs = mailbox.drain()
            yieldProcessor()
        }
        return outputs
    }

    @Test("Messages and requests of a thread keep their order, and the answer wakes it")
    func order() throws {
        let loop = try Loop()
        defer { withExtendedLifetime(loop) {} }
        let mailbox = loop.mailbox
        mailbox.updateCredit(MessageRoom(longest: 100, cost: 1000, confirmed: nil), partRoom: 0, isOpen: true)
        #expect(mailbox.send([1][...], waits: false))
        let asker = try Asker { () throws(ClientRequestError) in
            try mailbox.ask([2][...], until: .now + .seconds(60), unless: { false })
        }
        var seen: [HandlerOutput] = []
        for _ in 0..<2 where seen.count < 2 { seen += outputs(mailbox) }
        guard seen.count == 2, case .message([1]) = seen[0], case .ask(let token, [2], _) = seen[1] else {
            Issue.record("\(seen)")
            return
        }
        mailbox.settle(token, .success([3]))
        #expect(asker.result() == .success([3]))
    }

    @Test("A request that the loop has not seen at the end was not sent, nor is one that comes later")
    func end() throws {
        let loop = try Loop()
        defer { withExtendedLifetime(loop) {} }
        let mailbox = loop.mailbox
        let asker = try Asker { () throws(ClientRequestError) in
            try mailbox.ask([2][...], until: .now + .seconds(60), unless: { false })
        }
        let deadline = Instant.now + .seconds(10)
        while mailbox.isEmpty, .now < deadline { yieldProcessor() }
        let reason = CloseReason.lost("gone")
        mailbox.end(reason)
        #expect(asker.result() == .failure(.notSent(.connection(reason))))
        #expect(mailbox.drain().isEmpty)
        #expect(throws: ClientRequestError.notSent(.connection(reason))) {
            try mailbox.ask([2][...], until: .now + .seconds(60), unless: { false })
        }
    }

    @Test("The request that it was asked for is cancelled: the loop is told, and says what became of it")
    func cancelled() throws {
        let loop = try Loop()
        defer { withExtendedLifetime(loop) {} }
        let mailbox = loop.mailbox
        let cancellation = Cancellation(mailbox)
        let asker = try Asker { () throws(ClientRequestError) in
            try mailbox.ask([2][...], until: .now + .seconds(60), unless: { cancellation.isCancelled })
        }
        guard case .ask(let token, _, _)? = outputs(mailbox).first else {
            Issue.record("nothing was asked")
            return
        }
        cancellation.cancel()
        guard case .giveUp(token)? = outputs(mailbox).first else {
            Issue.record("it was not given up")
            return
        }
        mailbox.settle(token, .failure(.unknown(.cancelled)))
        #expect(asker.result() == .failure(.unknown(.cancelled)))
    }

    @Test("The loop's own thread cannot wait for itself")
    func fromTheLoop() {
        let mailbox = HandlerMailbox(waking: LoopWaker())
        #expect(throws: ClientRequestError.notSent(.handlerAnswersAtOnce)) {
            try mailbox.ask([1][...], until: .now + .seconds(1), unless: { false })
        }
        #expect(mailbox.isEmpty)
    }

    @Test(
        "An error is a sentence, the outcome first",
        arguments: [
            (ClientRequestError.failed(Failure(.handlerFailed, "no")), "FAILED: HANDLER_FAILED, no"),
            (.notSent(.tooLarge(most: 7)), "NOT_SENT: the client takes at most 7 bytes"),
            (.refused(.refused(Failure(.refused))), "REFUSED: REFUSED"),
            (.unknown(.timedOut), "UNKNOWN: the answer did not come in time"),
            (.unknown(.connection(.closed(.kicked, "", by: .server))), "UNKNOWN: the connection has ended: KICKED"),
            (.unknown(.connection(.lost("reset"))), "UNKNOWN: the connection is lost: reset"),
        ])
    func sentences(error: ClientRequestError, sentence: String) {
        #expect("\(error)" == sentence)
    }
}
