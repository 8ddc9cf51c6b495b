import Testing

@testable import Framing

@Suite("5.4 A PONG overtakes what waits")
struct OutboxHeartbeatTests {
    private func rawPong(_ nonce: UInt64) -> [UInt8] { raw(0x04, u64(nonce) + u32(0) + u32(0) + u32(0)) }

    @Test("5.4-3 A PONG waits for no more than 32780 bytes of messages, wherever they have come to")
    func wait() throws {
        var outbox = greeted()
        for id: UInt32 in 1...4 { outbox.send(.response, id: id, filled(100_000)[...], cost: 0) }
        var longest = 0
        while !outbox.isEmpty {
            var answering = outbox
            answering.answer(with: Pong(nonce: 0xFEED_FACE_CAFE_BEEF))
            let unsent = Array(answering.unsent)
            let pong = rawPong(0xFEED_FACE_CAFE_BEEF)
            let place = unsent.indices.suffix(from: max(0, unsent.count - 40_000)).last {
                unsent[$0...].starts(with: pong)
            }
            longest = max(longest, try #require(place))
            outbox.wrote(min(1021, outbox.unsent.count))
        }
        #expect(longest <= 32_780)
        #expect(longest > 16384, "the sweep has met the worst places")
    }

    @Test("5.4-3 PING, CANCEL and GOAWAY overtake the messages that wait, too")
    func others() {
        var outbox = greeted(maxFrame: 256)
        outbox.send(.request, id: 1, filled(100_000)[...], cost: 0)
        let before = outbox.unsent.count
        outbox.ping(7)
        outbox.goAway(GoAway(.normal))
        let expected = raw(0x03, u64(7)) + raw(0x0A, u64(0) + u32(0))
        #expect(Array(outbox.unsent.dropFirst(before)) == expected)
    }

    @Test("5.4-4 At most one PONG is owed: of the PINGs that come meanwhile the latest is answered")
    func latest() {
        var outbox = greeted()
        outbox.answer(with: Pong(nonce: 1))
        for nonce: UInt64 in 2...9 { outbox.answer(with: Pong(nonce: nonce)) }
        #expect(Array(outbox.unsent) == rawPong(1))
        outbox.wrote(31)
        outbox.answer(with: Pong(nonce: 10))
        #expect(Array(outbox.unsent) == [0])
        outbox.wrote(1)
        #expect(Array(outbox.unsent) == rawPong(10))
        outbox.answer(with: Pong(nonce: 11))
        #expect(outbox.drain() == rawPong(10) + rawPong(11))
    }

    @Test("5.4-1 Where no PONG is on its way the next is sent at once")
    func again() {
        var outbox = greeted()
        for nonce: UInt64 in 1...5 {
            outbox.answer(with: Pong(nonce: nonce))
            #expect(outbox.drain() == rawPong(nonce))
        }
    }

    @Test("5.4-4 The PONG that is owed goes when the first is gone, not when all else is")
    func owedBetweenChunks() {
        var outbox = greeted()
        outbox.send(.response, id: 1, filled(100_000)[...], cost: 0)
        outbox.answer(with: Pong(nonce: 1))
        outbox.answer(with: Pong(nonce: 2))
        let first = outbox.unsent.count
        #expect(outbox.unsent.suffix(32) == rawPong(1)[...])
        outbox.wrote(first)
        #expect(outbox.unsent.prefix(32) == rawPong(2)[...], "it goes before the next chunk")
    }

    @Test("A PONG that was begun is sent whole, whatever the kernel takes at a time", arguments: 1...33)
    func pieces(most: Int) {
        var outbox = greeted()
        outbox.answer(with: Pong(nonce: 1))
        outbox.answer(with: Pong(nonce: 2))
        outbox.send(.message, [5], cost: 0)
        #expect(outbox.drain(most: most).starts(with: rawPong(1)))
        #expect(outbox.isEmpty)
    }
}
