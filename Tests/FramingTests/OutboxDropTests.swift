import Testing

@testable import Framing

@Suite("7.5 A drop finishes the frame that is begun, and says why")
struct OutboxDropTests {
    private static let close = raw(0x0B, u32(4) + u16(7) + u16(0) + u32(0) + text("why"))
    private static let reason = Close(.silent, "why", lastID: 4)

    /// Drops at each byte of what `fill` has to send and expects whole frames, then CLOSE, then nothing.
    private func dropEverywhere(headless: Bool = false, step: Int, _ fill: (inout Outbox) -> Void) {
        var outbox = Outbox()
        outbox.greet(negotiate(Hello(), with: Terms(), connection: 1), maxFrame: 16384)
        fill(&outbox)
        var whole = outbox
        let stream = whole.drain()
        let frames = boundaries(of: stream, from: 8)
        var taken = 0
        while !outbox.isEmpty {
            var dropped = outbox
            dropped.cutOff(OutboxDropTests.reason)
            let end = frames.last { $0.lowerBound < taken }?.upperBound ?? 8
            let sent = Array(stream[..<taken]) + dropped.drain(most: 100)
            #expect(sent == Array(stream[..<end]) + OutboxDropTests.close, "dropped at \(taken)")
            #expect(dropped.isClosed && dropped.count == 0 && dropped.cost == 0)
            #expect(dropped.sent == UInt64(sent.count))
            outbox.wrote(min(step, outbox.unsent.count))
            taken = Int(outbox.sent)
        }
    }

    @Test("7.5-1 At every byte of short frames of all kinds")
    func shortFrames() {
        dropEverywhere(step: 1) {
            $0.send(.response, id: 1, filled(20)[...], cost: 5)
            $0.answer(with: Pong(nonce: 1))
            $0.fail(2, Failure(.refused, "no"))
            $0.ping(1)
            $0.send(.message, [], cost: 0)
            $0.goAway(GoAway(.normal))
            $0.send(.response, id: 3, filled(5)[...], cost: 5)
        }
    }

    @Test("7.5-1 Within long messages, also after staged bytes were cleared away", arguments: [997, 8000, 16396])
    func longMessages(step: Int) {
        dropEverywhere(step: step) {
            for id: UInt32 in 1...6 { $0.send(.response, id: id, filled(50_000)[...], cost: 5) }
        }
    }

    @Test("7.5-1 Where the kernel has taken all, CLOSE follows at once")
    func nothingBegun() {
        var outbox = greeted()
        outbox.cutOff(OutboxDropTests.reason)
        #expect(outbox.drain() == OutboxDropTests.close)
    }

    @Test("7.5-1 The PONG that is owed is discarded, the one that is begun is not")
    func pongs() {
        var outbox = greeted()
        outbox.answer(with: Pong(nonce: 1))
        outbox.answer(with: Pong(nonce: 2))
        outbox.wrote(1)
        outbox.cutOff(OutboxDropTests.reason)
        let rest = raw(0x04, u64(1) + u32(0) + u32(0) + u32(0)).dropFirst()
        #expect(outbox.drain(most: 7) == rest + OutboxDropTests.close)
    }

    @Test("3.2-2 A drop before WELCOME sends the preface and CLOSE, once")
    func beforeWelcome() {
        var outbox = Outbox()
        outbox.cutOff(OutboxDropTests.reason)
        outbox.cutOff(Close(.busy))
        #expect(outbox.drain() == rawPreface + OutboxDropTests.close)
    }

    @Test("7.5-1 A drop puts nothing behind a CLOSE that is queued")
    func afterClose() {
        var outbox = greeted()
        outbox.send(.response, id: 1, filled(10)[...], cost: 0)
        outbox.close(Close(.normal))
        outbox.cutOff(OutboxDropTests.reason)
        let expected = raw(0x06, id: 1, filled(10)) + raw(0x0B, u32(0) + u16(0) + u16(0) + u32(0))
        #expect(outbox.drain() == expected)
    }
}
