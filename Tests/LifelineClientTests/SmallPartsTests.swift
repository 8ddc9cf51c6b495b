import Basics
import Testing

@testable import LifelineClient

@Suite struct Backoffs {
    @Test func fullJitterWithinTheCap() {
        var backoff = Backoff(ReconnectPolicy(base: .milliseconds(100), cap: .seconds(1)))
        let longest = (0..<6).map { _ in backoff.next(random: { 1 }) }
        #expect(longest == [100, 200, 400, 800, 1000, 1000].map { .milliseconds(Double($0)) })
        #expect(backoff.next(random: { 0 }) == .zero)
    }

    @Test func aThousandAttemptsOverflowNothing() {
        var backoff = Backoff(ReconnectPolicy(base: .seconds(60), cap: .seconds(3600)))
        for _ in 0..<1000 { #expect(backoff.next(random: { 1 }) <= .seconds(3600)) }
    }

    @Test func theServersWishComesInFront() {
        var backoff = Backoff(ReconnectPolicy(base: .milliseconds(100)))
        #expect(backoff.next(retryAfter: .seconds(5), random: { 0 }) == .seconds(5))
        #expect(backoff.next(retryAfter: .seconds(5), spread: .seconds(10), random: { 0.5 }) == .milliseconds(10_100))
    }

    @Test func theCountBeginsAnewAfterAReset() {
        var backoff = Backoff(ReconnectPolicy(base: .milliseconds(100)))
        let first = [backoff.next(random: { 1 }), backoff.next(random: { 1 })]
        #expect(first == [.milliseconds(100), .milliseconds(200)])
        backoff.reset()
        #expect(backoff.next(random: { 1 }) == .milliseconds(100))
    }
}

@Suite struct Heaps {
    @Test func theLeastComesFirst() {
        var heap = Heap<Int>()
        var generator = SystemRandomNumberGenerator()
        let numbers = (0..<500).map { _ in Int.random(in: 0..<100, using: &generator) }
        for number in numbers { heap.insert(number) }
        var sorted: [Int] = []
        while let first = heap.first {
            sorted.append(first)
            heap.removeFirst()
        }
        #expect(sorted == numbers.sorted())
    }

    @Test func pruningKeepsTheLivingAndTheOrder() {
        var heap = Heap<Int>()
        for number in (0..<1000).reversed() { heap.insert(number) }
        heap.prune(live: 100) { $0 % 10 == 0 }
        #expect(heap.count == 100)
        var sorted: [Int] = []
        while let first = heap.first {
            sorted.append(first)
            heap.removeFirst()
        }
        #expect(sorted == (0..<100).map { $0 * 10 })
    }
}

@Suite struct UnreadMessages {
    @Test func theOldestAreDropped() async {
        let messages = InboundMessages(most: 1000)
        var drops = 0
        for number in 0..<10 where messages.add([UInt8](repeating: UInt8(number), count: 200)) { drops += 1 }
        messages.finish()
        var read: [UInt8] = []
        for await message in messages { read.append(message[0]) }
        #expect(read == [7, 8, 9])
        #expect(drops == 7 && messages.dropped == 7)
    }

    @Test func theNewestStaysHoweverLongItIs() async {
        let messages = InboundMessages(most: 10)
        _ = messages.add([1])
        _ = messages.add([UInt8](repeating: 2, count: 100))
        messages.finish()
        var iterator = messages.makeAsyncIterator()
        #expect(await iterator.next()?.count == 100)
        #expect(await iterator.next() == nil)
    }

    @Test func aReaderThatIsCancelledLeaves() async {
        let messages = InboundMessages(most: 1000)
        let reader = Task { () -> Int in
            var count = 0
            for await _ in messages { count += 1 }
            return count
        }
        reader.cancel()
        #expect(await reader.value == 0)
        _ = messages.add([1])
        var iterator = messages.makeAsyncIterator()
        #expect(await iterator.next() == [1])
    }
}
