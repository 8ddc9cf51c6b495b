import Testing

@testable import Framing

/// An outbox that has sent the server's preface and WELCOME.
func greeted(maxFrame: UInt32 = 16384) -> Outbox {
    var outbox = Outbox()
    outbox.greet(negotiate(Hello(), with: Terms(), connection: 1), maxFrame: maxFrame)
    outbox.wrote(outbox.unsent.count)
    return outbox
}

extension Outbox {
    /// Takes all that there is to send, `most` bytes at a time.
    mutating func drain(most: Int = .max) -> [UInt8] {
        var bytes: [UInt8] = []
        while !isEmpty {
            let piece = unsent.prefix(most)
            bytes += piece
            wrote(piece.count)
        }
        return bytes
    }
}

func filled(_ count: Int, _ seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ seed) }
}

@Suite("3.5 The outbox cuts messages into chunks and counts what waits")
struct OutboxTests {
    @Test(
        "3.3-9, 3.3-10, 3.5 A message goes in chunks of the peer's max_frame, and of 16384 bytes at most",
        arguments: [
            (256, 0, [0]), (256, 1, [1]), (256, 256, [256]), (256, 257, [256, 1]), (256, 512, [256, 256]),
            (256, 513, [256, 256, 1]), (16384, 16384, [16384]), (16384, 16385, [16384, 1]),
            (1 << 20, 16385, [16384, 1]),
            (1 << 20, 40_000, [16384, 16384, 7232]),
        ] as [(UInt32, Int, [Int])])
    func chunks(maxFrame: UInt32, length: Int, lengths: [Int]) {
        var outbox = greeted(maxFrame: maxFrame)
        let payload = filled(length)
        outbox.send(.response, id: 5, payload[...], cost: 1)
        var expected: [UInt8] = []
        var rest = payload[...]
        for (index, length) in lengths.enumerated() {
            let isLast = index == lengths.count - 1
            expected += raw(0x06, flags: isLast ? 0 : 1, id: 5, Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        #expect(outbox.drain() == expected)
    }

    @Test("6-7 Before WELCOME has come a request goes in chunks of 256 bytes, after it in longer ones")
    func early() {
        var outbox = Outbox()
        outbox.greet(Hello())
        outbox.send(.request, id: 1, filled(300)[...], cost: 0)
        let start = rawPreface + rawHello()
        let expected =
            raw(0x05, flags: 1, id: 1, Array(filled(300)[..<256])) + raw(0x05, id: 1, Array(filled(300)[256...]))
        #expect(outbox.drain() == start + expected)
        outbox.setMaxFrame(300)
        outbox.send(.request, id: 2, filled(300)[...], cost: 0)
        #expect(outbox.drain() == raw(0x05, id: 2, filled(300)))
    }

    @Test("3.5-3 Messages leave one after the other, however long they are")
    func order() {
        var outbox = greeted(maxFrame: 256)
        for id: UInt32 in 1...5 { outbox.send(.response, id: id, filled(Int(id) * 9000)[...], cost: 0) }
        outbox.send(.message, filled(10)[...], cost: 0)
        outbox.fail(6, Failure(.refused))
        let reading = read(pieces: [opening(of: .server), outbox.drain(most: 1000)], from: .server)
        var expected: [Found] = (1...5).map { .message(.response, id: UInt32($0), filled($0 * 9000)) }
        expected += [.message(.message, id: 0, filled(10)), .frame(.failure(id: 6, Failure(.refused)))]
        #expect(Array(reading.found.dropFirst()) == expected)
        #expect(reading.violation == nil)
    }

    @Test("3.6-7 A request counts until the last byte of its ending is with the kernel, and its cost as long")
    func counts() {
        var outbox = greeted()
        outbox.send(.response, id: 1, filled(20_000)[...], cost: 100)
        outbox.fail(2, Failure(.refused))
        outbox.send(.message, filled(5)[...], cost: 1)
        #expect(outbox.count == 2 && outbox.cost == 101)
        let first = 12 + 16384 + 12 + 20_000 - 16384
        var taken = 0
        while taken < first {
            #expect(outbox.count == 2 && outbox.cost == 101, "after \(taken) bytes")
            let step = min(outbox.unsent.count, first - taken == 1 ? 1 : min(1000, first - 1 - taken))
            outbox.wrote(step)
            taken += step
        }
        #expect(outbox.count == 1 && outbox.cost == 1)
        outbox.wrote(19)
        #expect(outbox.count == 1 && outbox.cost == 1)
        outbox.wrote(1)
        #expect(outbox.count == 0 && outbox.cost == 1)
        outbox.wrote(16)
        #expect(outbox.cost == 1)
        outbox.wrote(1)
        #expect(outbox.cost == 0 && outbox.isEmpty)
    }

    @Test("7.7-2 What no byte has left of can be withdrawn from among the staged frames")
    func withdrawStaged() {
        var outbox = greeted(maxFrame: 256)
        for id in UInt32(1)...3 { outbox.send(.request, id: id, filled(300)[...], cost: 1) }
        outbox.answer(with: Pong(nonce: 1))
        outbox.wrote(1)
        // It is begun among the staged bytes, with all but a part of it behind them.
        outbox.send(.request, id: 4, filled(30_000)[...], cost: 1)
        var results: [Bool] = []
        for id in UInt32(1)...4 where id != 3 { results.append(outbox.withdraw(id)) }
        #expect(results == [false, true, true])
        #expect(outbox.count == 2 && outbox.cost == 2)
        outbox.answer(with: Pong(nonce: 2))
        func chunks(_ id: UInt32) -> [UInt8] {
            raw(0x05, flags: 1, id: id, Array(filled(300)[..<256])) + raw(0x05, id: id, Array(filled(300)[256...]))
        }
        func pong(_ nonce: UInt64) -> [UInt8] { raw(0x04, u64(nonce) + u32(0) + u32(0) + u32(0)) }
        // The second PONG goes as soon as the first is gone: the place of that has moved too.
        let first = chunks(1) + chunks(3) + pong(1)
        #expect(Array(outbox.unsent) == Array(first.dropFirst()))
        outbox.wrote(first.count - 1)
        #expect(outbox.drain() == pong(2))
        #expect(outbox.count == 0 && outbox.cost == 0 && outbox.isEmpty)
    }

    @Test("7.7-2 What waits and has not begun can be withdrawn, and is as if it had never been sent")
    func withdraw() {
        var outbox = greeted()
        outbox.send(.request, id: 1, filled(20_000)[...], cost: 1)
        outbox.send(.request, id: 2, filled(20_000)[...], cost: 10)
        outbox.send(.request, id: 3, filled(5)[...], cost: 100)
        outbox.wrote(1)
        let begun = outbox.withdraw(1)
        let waiting = outbox.withdraw(2)
        let again = outbox.withdraw(2)
        let unknown = outbox.withdraw(9)
        #expect(!begun && waiting && !again && !unknown)
        #expect(outbox.count == 2 && outbox.cost == 101)
        let expected =
            raw(0x05, flags: 1, id: 1, Array(filled(20_000)[..<16384]))
            + raw(0x05, id: 1, Array(filled(20_000)[16384...]))
            + raw(0x05, id: 3, filled(5))
        #expect(outbox.drain() == Array(expected.dropFirst()))
        #expect(outbox.count == 0 && outbox.cost == 0)
    }

    @Test("7.7-2 A message is untouched until the kernel has taken a byte of it")
    func untouched() {
        var outbox = greeted()
        outbox.send(.request, id: 1, filled(10)[...], cost: 0)
        outbox.send(.request, id: 2, filled(10)[...], cost: 0)
        #expect(outbox.isUntouched(1) && outbox.isUntouched(2) && !outbox.isUntouched(3))
        outbox.wrote(1)
        #expect(!outbox.isUntouched(1) && outbox.isUntouched(2))
        outbox.wrote(21)
        #expect(!outbox.isUntouched(1) && outbox.isUntouched(2))
        outbox.wrote(1)
        #expect(!outbox.isUntouched(2))
    }

    @Test("7.7-2 A message of which a chunk was taken is not untouched, whatever is still to come of it")
    func touchedChunks() {
        var outbox = greeted()
        outbox.send(.request, id: 1, filled(20_000)[...], cost: 0)
        outbox.send(.request, id: 2, filled(70_000)[...], cost: 0)
        // Also where its first chunk is staged: what counts is what the kernel has.
        let first = outbox.isUntouched(1)
        let second = outbox.isUntouched(2)
        #expect(first && second)
        outbox.wrote(100)
        for taken in stride(from: 100, to: 20_000, by: 100) {
            let isUntouched = outbox.isUntouched(1)
            #expect(!isUntouched, "after \(taken) bytes")
            outbox.wrote(100)
        }
        while !outbox.isEmpty {
            let wasTouched = !outbox.isUntouched(2)
            outbox.wrote(min(100, outbox.unsent.count))
            let isTouched = !outbox.isUntouched(2)
            #expect(!wasTouched || isTouched, "never untouched again")
        }
    }

    @Test("4.8-4 CANCEL ends a request whose chunks are leaving, and what waits behind it goes on")
    func cancel() {
        var outbox = greeted()
        outbox.send(.request, id: 1, filled(50_000)[...], cost: 7)
        outbox.send(.request, id: 2, filled(5)[...], cost: 1)
        outbox.cancel(1)
        #expect(outbox.count == 1 && outbox.cost == 1)
        let expected =
            raw(0x05, flags: 1, id: 1, Array(filled(50_000)[..<16384])) + raw(0x08, id: 1) + raw(0x05, id: 2, filled(5))
        #expect(outbox.drain() == expected)
    }

    @Test("7.1-1, 5.4-1 Nothing follows CLOSE, which follows all that waits; while it waits, hearts beat")
    func close() {
        var outbox = greeted()
        outbox.send(.response, id: 1, filled(40_000)[...], cost: 1)
        outbox.close(Close(.normal, lastID: 1))
        #expect(outbox.isClosed)
        outbox.send(.response, id: 2, [1], cost: 1)
        outbox.fail(3, Failure(.refused))
        outbox.ping(1)
        outbox.answer(with: Pong(nonce: 1))
        outbox.cancel(1)
        outbox.goAway(GoAway(.normal))
        outbox.close(Close(.busy))
        outbox.cutOff(Close(.busy))
        #expect(outbox.count == 1 && outbox.cost == 1)
        let bytes = outbox.drain()
        outbox.answer(with: Pong(nonce: 2))
        #expect(outbox.isEmpty)
        let reading = read(pieces: [opening(of: .server), bytes], from: .server)
        #expect(
            Array(reading.found.dropFirst())
                == [
                    .frame(.ping(nonce: 1)), .frame(.pong(Pong(nonce: 1))),
                    .message(.response, id: 1, filled(40_000)),
                    .frame(.close(Close(.normal, lastID: 1))),
                ])
    }

    @Test("The count of sent bytes goes on, however often the staged ones are cleared away")
    func sent() {
        var outbox = Outbox()
        outbox.greet(Hello())
        var total = 0
        outbox.setMaxFrame(16384)
        for id: UInt32 in 1...20 { outbox.send(.request, id: id, filled(30_000)[...], cost: 0) }
        while !outbox.isEmpty {
            let step = min(777, outbox.unsent.count)
            outbox.wrote(step)
            total += step
            #expect(outbox.sent == UInt64(total))
        }
        #expect(total == 8 + 32 + 20 * (30_000 + 24))
    }

    @Test("Little more than one frame is staged, however much waits")
    func staged() {
        var outbox = greeted()
        for id: UInt32 in 1...50 { outbox.send(.response, id: id, filled(100_000)[...], cost: 0) }
        while !outbox.isEmpty {
            #expect(outbox.unsent.count <= 16383 + 12 + 16384)
            outbox.wrote(min(5000, outbox.unsent.count))
        }
    }
}
