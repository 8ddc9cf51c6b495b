import Framing
import Testing

@testable import LifelineServer

@Suite("What waits for the handler, in blocks")
struct WaitingEventsTests {
    private func bytes(_ count: Int, _ seed: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed) }
    }

    /// A request, or a message with the id 0.
    private struct Seen: Equatable {
        let id: UInt32
        let bytes: ArraySlice<UInt8>
    }

    private func seen(_ event: ServerConnection.Event?) -> Seen? {
        switch event {
        case .request(let id, let bytes): Seen(id: id, bytes: bytes)
        case .message(let bytes): Seen(id: 0, bytes: bytes)
        case .opened, .cancelled, .asked, .news, nil: nil
        }
    }

    private func address(_ event: ServerConnection.Event?) -> UnsafeRawPointer? {
        switch event {
        case .request(_, let bytes), .message(let bytes): bytes.withUnsafeBytes { $0.baseAddress }
        case .opened, .cancelled, .asked, .news, nil: nil
        }
    }

    @Test("They leave as they came, whatever their lengths, and however appending and removing mix")
    func order() {
        var numbers = SystemRandomNumberGenerator()
        var waiting = WaitingEvents()
        var model: [ServerConnection.Event] = []
        var kept: [ServerConnection.Event] = []
        var keptBytes: [[UInt8]?] = []
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
                #expect(seen(event) == (model.isEmpty ? nil : seen(model.removeFirst())))
                if let event, round % 16 == 0 {
                    kept.append(event)
                    keptBytes.append(seen(event).map { Array($0.bytes) })
                }
            }
            #expect(waiting.count == model.count && waiting.isEmpty == model.isEmpty)
        }
        while let event = waiting.removeFirst() { #expect(seen(event) == seen(model.removeFirst())) }
        #expect(model.isEmpty)
        #expect(kept.map { seen($0).map { Array($0.bytes) } } == keptBytes, "what was handed out stays as it was")
    }

    @Test("Requests that are taken back are gone, and all else keeps its order")
    func removed() {
        var waiting = WaitingEvents()
        for number in 1...200 {
            waiting.append(.request(UInt32(number), bytes(number % 3 == 0 ? 9000 : number, number)[...]))
            waiting.append(.message(bytes(number % 5, number)[...]))
        }
        #expect(seen(waiting.removeFirst()) == Seen(id: 1, bytes: bytes(1, 1)[...]))
        waiting.remove { $0 != 0 && $0 % 2 == 0 }
        #expect(waiting.count == 399 - 100)
        for number in 1...200 {
            if number > 1, number % 2 == 1 {
                let content = bytes(number % 3 == 0 ? 9000 : number, number)
                #expect(seen(waiting.removeFirst()) == Seen(id: UInt32(number), bytes: content[...]))
            }
            #expect(seen(waiting.removeFirst()) == Seen(id: 0, bytes: bytes(number % 5, number)[...]))
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
