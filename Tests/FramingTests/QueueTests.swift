import struct RawWire.Seeded
import Basics
import Testing

@testable import Framing

private final class Token: Sendable {
    let number: Int
    init(_ number: Int) { self.number = number }
}

extension Queue {
    /// How many places its storage holds, used or not.
    fileprivate var places: Int { (Mirror(reflecting: self).descendant("slots") as? [Element?])?.count ?? .max }
}

@Suite("The queue")
struct QueueTests {
    @Test("First in, first out, over random operations")
    func order() {
        var random = Seeded(3)
        var queue = Queue<Int>()
        var model: [Int] = []
        for number in 0..<5000 {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<52:
                queue.append(number)
                model.append(number)
            case 52..<98 where !model.isEmpty:
                queue.removeFirst()
                model.removeFirst()
            case 98 where !model.isEmpty:
                queue.replaceFirst(with: -number)
                model[0] = -number
            case 99:
                let divisor = Int.random(in: 2...9, using: &random)
                #expect(queue.remove { $0 % divisor == 0 } == model.filter { $0 % divisor == 0 })
                model.removeAll { $0 % divisor == 0 }
            default: break
            }
            #expect(queue.first == model.first && queue.count == model.count && queue.isEmpty == model.isEmpty)
        }
        #expect(model.allSatisfy { number in queue.contains { $0 == number } })
        #expect(!queue.contains { $0 == .max })
        queue.removeAll()
        #expect(queue.isEmpty && queue.first == nil && !queue.contains { _ in true })
    }

    @Test("What leaves the front is released at once")
    func released() {
        var queue = Queue<Token>()
        weak var first: Token?
        do {
            let token = Token(1)
            first = token
            queue.append(token)
            queue.append(Token(2))
        }
        #expect(first?.number == 1)
        queue.removeFirst()
        #expect(first == nil)
        #expect(queue.first?.number == 2)
    }

    @Test("Its storage is bounded by what waits, not by what has passed")
    func bounded() {
        var queue = Queue<Int>()
        for number in 0..<10 { queue.append(number) }
        var most = 0
        for number in 0..<20_000 {
            queue.append(number)
            queue.removeFirst()
            if number % 7 == 0 { most = max(most, queue.places) }
        }
        #expect(most <= 2 * 64 + 4)
        for number in 0..<50_000 { queue.append(number) }
        while !queue.isEmpty {
            queue.removeFirst()
            if queue.count % 1000 == 0 { #expect(queue.places <= 2 * queue.count + 130) }
        }
    }
}

@Suite("3.5 Messages are put together")
struct AssemblerTests {
    private func address(_ bytes: ArraySlice<UInt8>) -> UnsafeRawPointer? {
        bytes.withUnsafeBytes { $0.baseAddress }
    }

    @Test("A message that came in one part is not copied: it is a slice of the caller's own bytes")
    func notCopied() {
        let bytes = filled(1000)
        var assembler = MessageAssembler()
        let part = MessagePart(type: .request, id: 1, range: 100..<900, isFirst: true, isLast: true)
        let message = assembler.add(part, of: bytes)
        #expect(message == bytes[100..<900])
        #expect(message.flatMap { address($0) } == address(bytes[100..<900]))
    }

    @Test("A message in parts is their sum, and nothing of it is left for the next")
    func parts() {
        let bytes = filled(100)
        var assembler = MessageAssembler()
        func part(_ range: Range<Int>, _ isFirst: Bool, _ isLast: Bool) -> MessagePart {
            MessagePart(type: .message, id: 0, range: range, isFirst: isFirst, isLast: isLast)
        }
        for _ in 0..<3 {
            #expect(assembler.add(part(0..<0, true, false), of: bytes) == nil)
            #expect(assembler.add(part(10..<20, false, false), of: bytes) == nil)
            #expect(assembler.add(part(50..<60, false, true), of: bytes) == bytes[10..<20] + bytes[50..<60])
        }
        #expect(assembler.add(part(0..<50, true, false), of: bytes) == nil)
        assembler.abandon()
        #expect(assembler.add(part(1..<3, true, false), of: bytes) == nil)
        #expect(assembler.add(part(3..<3, false, true), of: bytes) == bytes[1..<3])
    }

    @Test("A message that was broken off leaves nothing to the next, also where nobody says so")
    func brokenOff() {
        let bytes = filled(100)
        var assembler = MessageAssembler()
        let open = MessagePart(type: .request, id: 1, range: 0..<50, isFirst: true, isLast: false)
        let next = MessagePart(type: .request, id: 2, range: 50..<60, isFirst: true, isLast: false)
        let last = MessagePart(type: .request, id: 2, range: 60..<61, isFirst: false, isLast: true)
        #expect(assembler.add(open, of: bytes) == nil)
        #expect(assembler.add(next, of: bytes) == nil)
        #expect(assembler.add(last, of: bytes) == bytes[50..<61])
    }
}
