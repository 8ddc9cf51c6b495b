import Basics
import Framing
import Liveness
import Testing

@testable import LifelineServer

@Suite("5.10-2 Empty messages wait for a token, and what is behind them waits too")
struct HeldMessagesTests {
    /// A token comes each 5 s.
    private static let heartbeat = Heartbeat(pingEvery: .seconds(10), deadAfter: .seconds(30))

    private func charged() -> HeldMessages {
        let held = HeldMessages()
        held.charge(HeldMessagesTests.heartbeat)
        return held
    }

    private func taken(_ held: inout HeldMessages, at now: Instant) -> [ArraySlice<UInt8>] {
        var taken: [ArraySlice<UInt8>] = []
        while let message = held.next(at: now) { taken.append(message) }
        return taken
    }

    @Test("Twelve go at once, the others one by one as tokens come")
    func oneByOne() {
        var held = charged()
        let admitted = (0..<15).map { _ in held.admits([], at: at(1000)) }
        #expect(admitted == [Bool](repeating: true, count: 12) + [false, false, false])
        #expect(held.deadline == at(6000))
        #expect(taken(&held, at: at(5999)) == [])
        #expect(taken(&held, at: at(6000)) == [[]])
        #expect(held.deadline == at(11000))
        // A loop that wakes late finds two tokens.
        #expect(taken(&held, at: at(16000)) == [[], []])
        #expect(held.isEmpty && held.deadline == nil && held.cost == 0)
    }

    @Test("A message that is not empty is free, but waits behind an empty one")
    func order() {
        var held = charged()
        for _ in 0..<12 { _ = held.admits([], at: at(0)) }
        let admitted = [[1], [], [2, 3]].map { held.admits($0[...], at: at(0)) }
        #expect(admitted == [true, false, false])
        #expect(held.cost == 12 + 14)
        #expect(taken(&held, at: at(4999)) == [])
        #expect(taken(&held, at: at(5000)) == [[], [2, 3]])
        #expect(held.isEmpty)
    }

    @Test("Where they are free none waits")
    func free() {
        let held = HeldMessages()
        let admitted = (0..<100).map { _ in held.admits([], at: at(0)) }
        #expect(!admitted.contains(false))
    }

    @Test("At the end what is free goes, and the empty ones are counted")
    func end() {
        let held = charged()
        for _ in 0..<12 { _ = held.admits([], at: at(0)) }
        for message: ArraySlice<UInt8> in [[], [1], [], [2]] { _ = held.admits(message, at: at(0)) }
        let (free, unpaid) = held.removeAll()
        #expect(free == [[1], [2]] && unpaid == 2)
        #expect(held.isEmpty && held.cost == 0)
    }

    // MARK: In a connection

    @Test("The loop wakes for the next token; answers and PONGs pass what waits")
    func deadline() {
        var conversation = Conversation.opened()
        for _ in 0..<13 { conversation.connection.send([], at: at(0)) }
        conversation.connection.send(text("m")[...], at: at(0))
        conversation.settle()
        #expect(conversation.said() == [String](repeating: "MESSAGE ", count: 12))
        #expect(conversation.connection.deadline == at(5000))
        conversation.receive(request(1, "a"), ping(9), at: at(4000))
        #expect(Set(conversation.said()) == ["RESPONSE 1 a", "PONG 9 queued 1 in flight 1 longest 0"])
        conversation.wake(at: at(5000))
        #expect(conversation.said() == ["MESSAGE ", "MESSAGE m"])
    }

    @Test("Those that wait are bounded by max_queued, and the handler learns that there is no room")
    func bound() {
        var conversation = Conversation.opened(Terms(maxMessage: 20, maxQueued: 30))
        for _ in 0..<12 {
            let isTaken = conversation.connection.send([], at: at(0))
            #expect(isTaken)
            conversation.settle()
        }
        var taken = 0
        while conversation.connection.send([], at: at(0)) { taken += 1 }
        #expect(taken == 3, "30 bytes of room, and 12 for each")
        #expect(conversation.connection.credit.hasUnsent)
        #expect(conversation.connection.credit.messageRoom.cost == -6)
        conversation.settle()
        conversation.wake(at: at(5000))
        let isTaken = conversation.connection.send([], at: at(5000))
        #expect(isTaken, "one has gone")
    }

    @Test("CLOSE waits for no token: what is free goes before it")
    func close() {
        var conversation = Conversation.opened()
        for _ in 0..<20 { conversation.connection.send([], at: at(0)) }
        conversation.connection.send(text("m")[...], at: at(0))
        conversation.connection.stop(CloseCause(.normal, "the program has ended"))
        conversation.settle()
        #expect(conversation.said().suffix(3) == ["MESSAGE ", "MESSAGE m", "CLOSE NORMAL last 0"])
        #expect(conversation.connection.unpaidMessages == 8)
    }
}
