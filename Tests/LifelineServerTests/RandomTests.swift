import Basics
import Framing
import struct RawWire.Seeded
import Testing

@testable import LifelineServer

@Suite("Random clients")
struct RandomTests {
    /// What a client may send next, most of it right.
    private func frames(_ nextID: inout UInt32, _ random: inout Seeded) -> [UInt8] {
        let id = nextID
        switch Int.random(in: 0..<40, using: &random) {
        case 0..<14:
            nextID += UInt32.random(in: 1...3, using: &random)
            return request(id, String(repeating: "r", count: Int.random(in: 0...40, using: &random)))
        case 14..<20:
            nextID += 1
            return request(id, "first ", more: true) + (Bool.random(using: &random) ? ping(1) : [])
                + request(id, "last")
        case 20: return request(id, "open", more: true)
        case 21..<25: return ping(9)
        case 25..<29: return cancel(UInt32.random(in: 1...max(1, nextID), using: &random))
        case 29..<32: return raw(0x07, text("note"))
        case 32..<35: return raw(0x60, flags: 0x80, id: 5, [1, 2, 3])
        case 35: return goAway()
        case 36: return close()
        case 37: return (0..<20).map { _ in UInt8.random(in: 0...255, using: &random) }
        default: return raw(0x04, u64(1) + zeros(12))
        }
    }

    @Test(
        "9 Whatever a client does and whenever: no trap, no spinning, one ending for each request, one CLOSE, the last",
        arguments: Array(UInt64(0)..<10))
    func anything(block: UInt64) {
        for seed in (block * 100)..<(block * 100 + 100) {
            var random = Seeded(seed)
            let terms = Terms(timeout: 1000, maxFrame: 256, maxMessage: 50, maxInFlight: 3, maxQueued: 90)
            var conversation = Conversation(terms, handshakeTimeout: .seconds(2))
            conversation.echoes = Bool.random(using: &random)
            let isShort = seed % 7 == 0
            if seed % 20 != 0 { conversation.receive(hello(short: isShort)) }
            var nextID: UInt32 = 1
            var lines: [String] = []
            var hasEnded = false
            for _ in 0..<40 where !conversation.isOver {
                let moment = conversation.now + .milliseconds(Int.random(in: 0...400, using: &random))
                switch Int.random(in: 0..<30, using: &random) {
                case 0 where !hasEnded:
                    conversation.endOfStream(at: moment)
                    hasEnded = true
                case 0: conversation.sendAway()
                case 1: if moment > at(1000) { conversation.quit() } else { conversation.terminate() }
                case 2, 3: conversation.takes.toggle()
                case 4...8:
                    conversation.answer(UInt32.random(in: 1...max(1, nextID), using: &random), "answer")
                case 9...11:
                    conversation.wake(at: max(moment, conversation.connection.deadline ?? moment))
                case 12: conversation.write(Int.random(in: 0...30, using: &random))
                case _ where !hasEnded: conversation.receive(frames(&nextID, &random), at: moment)
                default: conversation.wake(at: moment)
                }
                lines += conversation.said()
            }
            // Time alone ends it, where the client says no more.
            conversation.echoes = true
            for _ in 0..<20 where !conversation.isOver {
                for id in 1..<max(2, nextID) { conversation.answer(id, "late") }
                guard let deadline = conversation.connection.deadline else { break }
                conversation.wake(at: max(deadline, conversation.now))
                lines += conversation.said()
            }
            lines += conversation.said()
            #expect(conversation.isOver, "seed \(seed)")
            #expect(lines.isEmpty || lines[0] == "LIFELINE", "seed \(seed)")
            let closes = lines.indices.filter { lines[$0].hasPrefix("CLOSE") }
            #expect(closes.count <= 1 && closes.allSatisfy { $0 == lines.count - 1 }, "seed \(seed)")
            let endings = lines.filter { $0.hasPrefix("RESPONSE ") || $0.hasPrefix("FAILURE ") }
                .map { $0.split(separator: " ")[1] }
            #expect(Set(endings).count == endings.count, "seed \(seed)")
        }
    }
}
