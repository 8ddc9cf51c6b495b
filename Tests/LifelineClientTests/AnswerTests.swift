import Basics
import Framing
import Testing

@testable import LifelineClient

/// Requests of the server: what the program is given, and what the server gets for it (Protocol.md, section 3.7).
@Suite("Requests of the server") struct AnswerTests {
    private let terms = AnswerTerms(maxInFlight: 2, maxQueued: 100)

    @Test("3.7-3 A request is answered, whatever ids the client uses itself")
    func answered() throws {
        var world = try TwoWaySession(answers: terms)
        #expect(world.peer.offered.answers == terms)
        world.session.start(1, Call(.request(mayRunTwice: false), bytes("mine"), deadline: nil))
        world.ask(1, "yours")
        #expect(world.asked == [AnswerKey(connection: 1, id: 1): bytes("yours")])
        #expect(try world.sent() == [.request(1, bytes("mine"))])
        world.answer(1, .success(bytes("A")))
        #expect(try world.sent() == [.response(1, bytes("A"))])
        world.peer.respond(1, "B")
        world.receive()
        #expect(world.results[1] == .success(bytes("B")))
    }

    @Test("3.5 Requests come in chunks, and answers go in chunks")
    func chunks() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 1, maxQueued: 1 << 20))
        let long = String(repeating: "x", count: 40_000)
        world.ask(1, long)
        world.answer(1, .success(bytes(long)))
        var seen: [Peer.Seen] = []
        for _ in 0..<100 where seen.isEmpty {
            seen = try world.sent()
            world.receive()
        }
        #expect(seen == [.response(1, bytes(long))])
    }

    @Test("3.7-4, 3.6-8 What is beyond max_in_flight or max_queued is refused, and the rest goes on")
    func refused() throws {
        var world = try TwoWaySession(answers: terms)
        for id: UInt32 in 1...3 { world.ask(id) }
        #expect(try world.sent() == [.failure(3, .refused)])
        #expect(world.asked.count == 2)
        world.answer(2, .failure(Failure(.handlerFailed, "no")))
        #expect(try world.sent() == [.failure(2, .handlerFailed)])
        #expect(world.peer.failureText == "no")
        // 100 bytes fit where one is counted already: this does not.
        world.ask(4, String(repeating: "x", count: 100))
        #expect(try world.sent() == [.failure(4, .refused)])
        world.ask(5, String(repeating: "x", count: 99))
        world.answer(5, .success([]))
        #expect(try world.sent() == [.response(5, [])])
    }

    @Test("3.6-7 An answer counts until the kernel has it, with its bytes where they are more")
    func counted() throws {
        var world = try TwoWaySession(answers: terms)
        world.ask(1)
        world.answer(1, .success([UInt8](repeating: 1, count: 90)))
        world.ask(2, "eleven bytes")
        world.ask(3, "ten bytes.")
        world.ask(4)
        #expect(world.asked.keys.map(\.id) == [3])
        #expect(
            try world.sent() == [
                .response(1, [UInt8](repeating: 1, count: 90)), .failure(2, .refused), .failure(4, .refused),
            ])
        world.ask(5, String(repeating: "x", count: 90))
        #expect(world.asked.count == 2)
    }

    @Test("A refusal in the middle of a request discards the rest of it")
    func refusedInside() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 2, maxQueued: 20_000))
        world.ask(1, String(repeating: "x", count: 40_000))
        world.ask(2, "two")
        #expect(try world.sent() == [.failure(1, .refused)])
        #expect(Array(world.asked.values) == [bytes("two")])
    }

    @Test("4.8-2 CANCEL ends the request at once, and the program's late answer is no second ending")
    func cancel() throws {
        var world = try TwoWaySession(answers: terms)
        world.ask(1)
        world.peer.outbox.cancel(1)
        world.receive()
        #expect(world.cancelled == [AnswerKey(connection: 1, id: 1)])
        #expect(try world.sent() == [.failure(1, .cancelled)])
        world.answer(1, .success(bytes("late")))
        world.peer.outbox.cancel(1)
        world.receive()
        #expect(try world.sent() == [])
    }

    @Test("A task that does not end keeps its place: what is asked meanwhile waits, and can be taken back")
    func places() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 1, maxQueued: 100))
        world.ask(1)
        world.peer.outbox.cancel(1)
        world.receive()
        #expect(try world.sent() == [.failure(1, .cancelled)])
        world.ask(2, "b")
        #expect(world.asked.keys.map(\.id) == [1])
        world.peer.outbox.cancel(2)
        world.receive()
        #expect(try world.sent() == [.failure(2, .cancelled)])
        world.ask(3, "c")
        world.answer(1, .failure(Failure(.cancelled)))
        #expect(world.asked == [AnswerKey(connection: 1, id: 3): bytes("c")])
    }

    @Test("3.5-6 An answer over the server's max_message is MESSAGE_TOO_LARGE, and the connection goes on")
    func tooLarge() throws {
        var world = try TwoWaySession(answers: terms, maxMessage: 3)
        world.ask(1)
        world.answer(1, .success(bytes("four")))
        #expect(try world.sent() == [.failure(1, .messageTooLarge)])
        world.ask(2)
        world.answer(2, .success(bytes("abc")))
        #expect(try world.sent() == [.response(2, bytes("abc"))])
    }

    @Test("3.7-1 A REQUEST to a client that answers none, or in 1.0, is a violation", arguments: [true, false])
    func notAgreed(_ answers: Bool) throws {
        var world = try TwoWaySession(answers: answers ? terms : nil, minor: answers ? 0 : 1)
        world.ask(1)
        #expect(try world.sent() == [.close(.protocolError)])
    }

    @Test("3.6-1 An id that does not rise, and CANCEL of an id that was never sent, are violations")
    func violations() throws {
        var world = try TwoWaySession(answers: terms)
        world.ask(2)
        world.ask(2)
        #expect(try world.sent() == [.close(.protocolError)])
        #expect(world.peer.lastID == 2)
        world = try TwoWaySession(answers: terms)
        world.peer.outbox.cancel(1)
        world.receive()
        #expect(try world.sent() == [.close(.protocolError)])
        #expect(world.peer.lastID == 0)
    }

    @Test("FAILURE for a request of this side leaves a request of the server with the same id alone")
    func sameID() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 2, maxQueued: 1 << 20))
        world.session.start(1, Call(.request(mayRunTwice: false), bytes("mine"), deadline: nil))
        #expect(try world.sent() == [.request(1, bytes("mine"))])
        let long = String(repeating: "x", count: 40_000)
        world.peer.ask(1, long)
        // FAILURE between the chunks: the first lies staged.
        var ahead = world.peer.outbox.unsent
        world.peer.outbox.wrote(ahead.count)
        var failure: [UInt8] = []
        var other = Outbox()
        other.greet(Peer.welcome, maxFrame: 256)
        other.wrote(other.unsent.count)
        other.fail(1, Failure(.handlerFailed))
        failure += other.unsent
        let boundary = 12 + 16384
        #expect(ahead.count >= boundary)
        ahead.insert(contentsOf: failure, at: ahead.startIndex + boundary)
        let all = Array(ahead)
        world.session.received(all, upTo: all.count, at: world.now)
        world.receive()
        #expect(world.asked == [AnswerKey(connection: 1, id: 1): bytes(long)])
        guard case .failure(.failed)? = world.results[1] else {
            Issue.record("\(world.results)")
            return
        }
    }

    @Test("4.11-4 CLOSE names the highest id that the program was given; what is unanswered is given up after 2 s")
    func closing() throws {
        var world = try TwoWaySession(answers: terms)
        world.ask(7)
        world.close()
        #expect(try world.sent() == [])
        world.go(to: 1.9)
        #expect(try world.sent() == [])
        world.go(to: 2)
        #expect(try world.sent() == [.close(.normal)])
        #expect(world.peer.lastID == 7)
        #expect(world.events.last == .closed(.closedByProgram))
    }

    @Test("3.7-7 After close() and after GOAWAY the answers go first", arguments: [true, false])
    func leaving(_ closes: Bool) throws {
        var world = try TwoWaySession(answers: terms)
        world.ask(1)
        if closes {
            world.close()
        } else {
            world.peer.outbox.goAway(GoAway(.shuttingDown))
            world.receive()
        }
        // The server may go on asking after its own GOAWAY.
        world.ask(2)
        world.answer(1, .success(bytes("a")))
        #expect(try world.sent() == [.response(1, bytes("a"))])
        world.answer(2, .success(bytes("b")))
        #expect(try world.sent() == [.response(2, bytes("b")), .close(.normal)])
        #expect(world.peer.lastID == 2)
    }

    @Test("An answer that belongs to a lost connection goes nowhere, and its place is free again")
    func lost() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 1, maxQueued: 100))
        world.ask(1)
        world.session.streamBroke("gone", at: world.now)
        world.drain()
        world.go(to: 5)
        try world.connect()
        world.ask(1, "new")
        #expect(world.asked.count == 1, "the old task has the one place")
        world.answer(1, .success(bytes("old")))
        #expect(try world.sent() == [])
        world.answer(1, .success(bytes("new")), connection: 2)
        #expect(try world.sent() == [.response(1, bytes("new"))])
    }

    @Test("3.6 A server that asks and does not read its refusals is dropped with BUSY")
    func flood() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 1, maxQueued: 100))
        for id: UInt32 in 1...5000 { world.peer.ask(id, "?") }
        world.receive()
        guard case .lost(let error)? = world.events.first(where: { if case .lost = $0 { true } else { false } }) else {
            Issue.record("\(world.events)")
            return
        }
        #expect(error.code == .busy)
    }

    @Test("The progress of a request of the server, and of its answer, is no request of the client")
    func progress() throws {
        var world = try TwoWaySession(answers: AnswerTerms(maxInFlight: 1, maxQueued: 1 << 20))
        world.session.watch()
        let long = [UInt8](repeating: 1, count: 100_000)
        world.peer.outbox.send(.request, id: 1, long[...], cost: 0)
        let all = world.peer.take()
        for (index, piece) in [all.prefix(20_000), all.dropFirst(20_000)].enumerated() {
            world.session.received(Array(piece), upTo: piece.count, at: world.now)
            world.go(to: Double(index) + 1.1)
        }
        // 12 bytes of each header are no part of it.
        #expect(transfers(world).map(\.bytes) == [20_000 - 24, 100_000])
        #expect(transfers(world).allSatisfy { $0.isServerRequest && $0.request == 1 && $0.direction == .receiving })
        world.events = []
        world.answer(1, .success(long))
        _ = try world.sent()
        world.session.start(1, Call(.request(mayRunTwice: false), long, deadline: nil))
        world.go(to: 3.2)
        #expect(transfers(world).map(\.isServerRequest) == [true])
        for second in 4...9 {
            world.receive()
            for _ in 0..<20 {
                _ = try world.sent()
                world.receive()
            }
            world.go(to: Double(second))
        }
        let sendings = transfers(world)
        #expect(sendings.allSatisfy { $0.direction == .sending && $0.request == 1 })
        #expect(sendings.first { $0.isOver }.map { $0.isServerRequest && $0.bytes == 100_000 } == true)
    }

    private func transfers(_ world: TwoWaySession) -> [TransferProgress] {
        world.events.compactMap { if case .transfer(let progress) = $0 { progress } else { nil } }
    }
}
