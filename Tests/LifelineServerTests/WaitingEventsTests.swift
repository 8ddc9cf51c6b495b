import Framing
import Testing

@testable import LifelineServer

@Suite("What waits for the handler, in blocks")
struct WaitingEventsTests {
    private func bytes(_ count: Int, _ seed: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed) }
    }

    private func text(_ event: ServerConnection.Event?) -> String {
        switch event {
        case .request(let id, let bytes): "request \(id) \(Array(bytes))"
        case .message(let bytes): "message \(Array(bytes))"
        case .opened, .cancelled: "neither"
        case nil: "none"
        }
    }

    private func address(_ event: ServerConnection.Event?) -> UnsafeRawPointer? {
        switch event {
        case .request(_, let bytes), .message(let bytes): bytes.withUnsafeBytes { $0.baseAddress }
        case .opened, .cancelled, nil: nil
        }
    }

    @Test("They leave as they came, whatever their lengths, and however appending and removing mix")
    func order() {
        var numbers = SystemRandomNumberGenerator()
        var waiting = WaitingEvents()
        var model: [ServerConnection.Event] = []
        var kept: [ServerConnection.Event] = []
        var keptTexts: [String] = []
        let lengths = [0, 1, 16, 991, 992, 993, 8191, 8192, 20_000, 49_151, 49_152, 65_536, 200_000]
        for round in 0..<4000 {
            if Bool.random(using: &numbers) || round < 50 {
                let length =
                    round % 8 == 0 ? lengths.randomElement(using: &numbers)! : .random(in: 0...60, using: &numbers)
                let content = bytes(length + 20, round)[10..<(10 + length)]
                let event: ServerConnection.Event =
                    Bool.random(using: &numbers) ? .message(content) : .request(UInt32(round + 1), content)
                waiting.append(event)
                model.append(event)
            } else {
                let event = waiting.removeFirst()
                #expect(text(event) == text(model.isEmpty ? nil : model.removeFirst()))
                if let event, round % 16 == 0 {
                    kept.append(event)
                    keptTexts.append(text(event))
                }
            }
            #expect(waiting.count == model.count && waiting.isEmpty == model.isEmpty)
        }
        while let event = waiting.removeFirst() { #expect(text(event) == text(model.removeFirst())) }
        #expect(model.isEmpty)
        #expect(kept.map(text) == keptTexts, "what was handed out stays as it was")
    }

    @Test("Requests that are taken back are gone, and all else keeps its order")
    func removed() {
        var waiting = WaitingEvents()
        for number in 1...200 {
            waiting.append(.request(UInt32(number), bytes(number % 3 == 0 ? 9000 : number, number)[...]))
            waiting.append(.message(bytes(number % 5, number)[...]))
        }
        #expect(text(waiting.removeFirst()) == "request 1 \(bytes(1, 1))")
        waiting.remove { $0 != 0 && $0 % 2 == 0 }
        #expect(waiting.count == 399 - 100)
        for number in 1...200 {
            if number > 1, number % 2 == 1 {
                #expect(
                    text(waiting.removeFirst()) == "request \(number) \(bytes(number % 3 == 0 ? 9000 : number, number))"
                )
            }
            #expect(text(waiting.removeFirst()) == "message \(bytes(number % 5, number))")
        }
        #expect(waiting.removeFirst() == nil)
    }

    @Test("What fills most of the receive buffer is not copied, and all else does not keep that")
    func copies() {
        let buffer = bytes(65536, 1)
        func isCopied(_ range: Range<Int>) -> Bool {
            var waiting = WaitingEvents()
            waiting.append(.message(buffer[range]))
            let place = buffer[range].withUnsafeBytes { $0.baseAddress }
            return address(waiting.removeFirst()) != place
        }
        #expect(isCopied(12..<40) && isCopied(0..<8192) && isCopied(0..<40_000))
        #expect(!isCopied(12..<65536) && !isCopied(0..<49_152))
    }

    @Test("What is handed out is a slice of its block, and what comes next does not copy that")
    func slices() {
        var waiting = WaitingEvents()
        for number in 0..<10 { waiting.append(.message(bytes(30, number)[...])) }
        let first = waiting.removeFirst()
        waiting.append(.message(bytes(30, 10)[...]))
        let second = waiting.removeFirst()
        #expect(address(second).map { address(first)!.distance(to: $0) } == 30 + 8)
    }
}
