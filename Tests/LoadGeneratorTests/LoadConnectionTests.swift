import Basics
import Framing
import Testing

@testable import LoadGenerator

@Suite("One connection of the load") struct LoadConnectionTests {
    @Test("HELLO goes alone; from WELCOME on there are as many requests as wanted, and an answer makes room for one")
    func window() throws {
        let exchange = Exchange { $0.inFlight = 4 }
        guard case .hello(let hello)? = try exchange.frames().first else { throw Wrong() }
        #expect(!hello.short && exchange.connection.phase == .greeting)
        #expect(try exchange.frames().isEmpty)
        exchange.pass(.milliseconds(5))
        exchange.welcome()
        #expect(exchange.connection.phase == .open && exchange.counters.isConnected == 1)
        #expect(exchange.counters.handshakes.most == .milliseconds(5))
        #expect(try exchange.requests() == [1, 2, 3, 4])
        exchange.pass(.milliseconds(7))
        exchange.answer(2, Array(repeating: 0, count: 32))
        #expect(exchange.counters.latencies.most == .milliseconds(7) && exchange.counters.answered == 1)
        #expect(exchange.connection.inFlight == 3)
        // Places are found by the id: one that is taken is left out.
        #expect(try exchange.requests() == [6])
    }

    @Test("No more is in flight than the server allows")
    func serversWindow() throws {
        let exchange = Exchange { $0.inFlight = 100 }
        _ = try exchange.frames()
        exchange.welcome(maxInFlight: 2)
        #expect(try exchange.requests() == [1, 2])
    }

    @Test("Answers of any length are read in any pieces", arguments: [0, 1, 31, 300, 16384, 40_000])
    func pieces(_ size: Int) throws {
        for pieces in [1, 7, 13, 4096, .max] where size < 1000 || pieces > 10 {
            let exchange = Exchange {
                $0.inFlight = 2
                $0.size = size
                $0.verifies = true
            }
            _ = try exchange.frames()
            exchange.welcome(pieces: pieces)
            var bytes: [UInt32: [UInt8]] = [:]
            _ = try exchange.framesWithBytes(&bytes)
            for step in 0..<4 {
                // Now the newest first, now the oldest.
                let (id, request) = try #require(
                    step % 2 == 0 ? bytes.max { $0.key < $1.key } : bytes.min { $0.key < $1.key })
                #expect(request.count == size)
                bytes[id] = nil
                exchange.answer(id, request, pieces: pieces)
                exchange.hear(pieces: pieces) { $0.ping(7) }
                let frames = try exchange.framesWithBytes(&bytes)
                #expect(frames.contains(.pong(Pong(nonce: 7))))
            }
            #expect(exchange.counters.answered == 4 && exchange.connection.phase == .open)
        }
    }

    @Test("No write has more than 32 780 bytes, so that no PONG waits for more (5.4-3)")
    func longRequests() throws {
        let exchange = Exchange {
            $0.inFlight = 4
            $0.size = 100_000
        }
        _ = try exchange.frames()
        exchange.welcome()
        var buffer = SendBuffer()
        var sends = 0
        while true {
            buffer.clear()
            exchange.connection.fill(
                &buffer, &exchange.load, exchange.profile, &exchange.counters, at: exchange.now)
            guard buffer.count > 0 else { break }
            sends += 1
            #expect(buffer.count <= 32_780)
        }
        #expect(sends >= 400_000 / 32_780 && exchange.connection.inFlight == 4)
    }

    @Test("An answer to nothing, an answer twice and a PONG to nothing drop the server")
    func violations() throws {
        for spoil in [
            { $0.answer(9, []) },
            {
                $0.answer(1, [])
                $0.answer(1, [])
            }, { $0.hear { $0.answer(with: Pong(nonce: 1)) } },
            { $0.hear(bytes: [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1]) },
            { $0.hear(bytes: [0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 1]) },
        ] as [(Exchange) -> Void] {
            let exchange = try Exchange.opened()
            spoil(exchange)
            #expect(exchange.connection.ending == .dropped(.protocolError))
            #expect(try exchange.frames() == [.close(Close(.protocolError))])
            #expect(exchange.connection.isUnwanted && exchange.connection.inFlight == 0)
            #expect(exchange.counters.isConnected == 0)
        }
        let exchange = Exchange()
        _ = try exchange.frames()
        exchange.hear(bytes: Array("HTTP/1.1".utf8))
        #expect(exchange.connection.ending == .dropped(.badPreface))
    }

    @Test("With --verify an answer of other bytes or another length is wrong")
    func verify() throws {
        for wrong in [[UInt8](repeating: 1, count: 32), [UInt8](repeating: 32, count: 1), []] {
            let exchange = Exchange { $0.verifies = true }
            _ = try exchange.frames()
            exchange.welcome()
            _ = try exchange.frames()
            exchange.answer(1, wrong)
            #expect(exchange.connection.ending == .wrongAnswer)
            #expect(exchange.counters.requestEnds == [.lost(.wrongAnswer): 1])
        }
    }

    @Test("FAILURE is the ending of its request alone")
    func failure() throws {
        let exchange = try Exchange.opened()
        exchange.hear { $0.fail(1, Failure(.handlerFailed)) }
        #expect(try exchange.requests() == [2])
        exchange.hear { $0.refuse(2, Failure(.refused)) }
        #expect(try exchange.requests() == [3])
        #expect(exchange.counters.requestEnds == [.failed(.handlerFailed): 1, .refused(nil): 1])
        #expect(exchange.counters.failed == 2)
    }

    @Test(
        "After GOAWAY no request is begun, CLOSE goes behind the last answer, and the pause is the server's (7.4, 7.7-7)"
    )
    func goAway() throws {
        let exchange = try Exchange.opened { $0.inFlight = 2 }
        exchange.hear { $0.goAway(GoAway(.shuttingDown, retryAfter: 1000, spread: 5000)) }
        exchange.answer(2, [])
        #expect(try exchange.frames().isEmpty)
        exchange.answer(1, [])
        #expect(try exchange.frames() == [.close(Close(.normal))])
        #expect(exchange.connection.phase == .closing && exchange.counters.isConnected == 0)
        exchange.connection.streamEnded(&exchange.counters, exchange.profile)
        #expect(exchange.connection.phase == .over)
        #expect(exchange.connection.ending == .sentAway(.shuttingDown))
        #expect(exchange.counters.requestEnds.isEmpty)
        var random = SeededRandom(seed: 5)
        for _ in 0..<100 {
            exchange.connection.attempts = 0
            let pause = exchange.connection.backoff(&random)
            #expect(Nanoseconds.seconds(1) <= pause && pause <= .seconds(6.5))
        }
    }

    @Test("CLOSE tells which requests were not seen, and is answered (7.7-4, 7.7-5)")
    func close() throws {
        let exchange = try Exchange.opened { $0.inFlight = 3 }
        exchange.hear { $0.close(Close(.handlerFailed, lastID: 1)) }
        let answers = exchange.connection.mustAnswerClose()
        #expect(exchange.connection.phase == .over && answers)
        #expect(
            exchange.counters.requestEnds == [
                .lost(.closed(.handlerFailed)): 1, .refused(.closed(.handlerFailed)): 2,
            ])
        #expect(!exchange.connection.isUnwanted && exchange.counters.failed == 3)
    }

    @Test("CLOSE in place of WELCOME refuses: BUSY for a time, UNAUTHORIZED for ever")
    func refused() throws {
        for code in [Code.busy, .unauthorized] {
            for isShort in [false, true] {
                let exchange = Exchange { $0.isShort = isShort }
                _ = try exchange.frames()
                exchange.hear(bytes: Close(code, retryAfter: 250).refusal)
                #expect(exchange.connection.phase == .over && exchange.connection.ending == .refused(code))
                #expect(exchange.connection.isUnwanted == (code == .unauthorized))
                #expect(exchange.connection.retryAfter == .milliseconds(250))
                #expect(exchange.counters.requestEnds == (isShort ? [.refused(.refused(code)): 1] : [:]))
            }
        }
    }

    @Test("A reset loses what is in flight; a request of which nothing was sent is told as not sent")
    func lost() throws {
        let exchange = try Exchange.opened { $0.inFlight = 2 }
        exchange.connection.end(.reset, &exchange.counters, exchange.profile)
        #expect(exchange.counters.requestEnds == [.lost(.reset): 2] && exchange.counters.isConnected == 0)
        let short = Exchange { $0.isShort = true }
        short.connection.end(.unreachable(error: "ECONNREFUSED"), &short.counters, short.profile)
        #expect(short.counters.requestEnds == [.notSent(.unreachable(error: "ECONNREFUSED")): 1])
    }

    @Test("A SHORT connection says all in one write, and is over with the server's CLOSE (7.3)")
    func short() throws {
        let exchange = Exchange { $0.isShort = true }
        exchange.pass(.milliseconds(2))
        let frames = try exchange.frames()
        guard frames.count == 2, case .hello(let hello) = frames[0], case .part(let part) = frames[1] else {
            throw Wrong()
        }
        #expect(hello.short && part.id == 1 && part.isLast)
        exchange.pass(.milliseconds(3))
        exchange.welcome()
        exchange.answer(1, [1, 2])
        #expect(try exchange.frames().isEmpty)
        exchange.hear { $0.close(Close(.normal, lastID: 1)) }
        #expect(exchange.connection.phase == .over && exchange.connection.ending == .closed(.normal))
        let answers = exchange.connection.mustAnswerClose()
        #expect(!answers)
        #expect(exchange.counters.latencies.most == .milliseconds(5) && exchange.counters.requestEnds.isEmpty)
    }

    @Test("Before WELCOME a long request goes in chunks of 256 bytes, 16384 of them at most (6-7, 6-8)")
    func early() throws {
        let exchange = Exchange {
            $0.isShort = true
            $0.size = 50_000
        }
        func chunks(_ frames: [Frame]) -> [Int] {
            frames.compactMap { if case .part(let part) = $0, !part.range.isEmpty { part.range.count } else { nil } }
        }
        let early = chunks(try exchange.frames())
        #expect(early.allSatisfy { $0 <= 256 } && early.reduce(0, +) == 16384)
        exchange.welcome()
        let rest = chunks(try exchange.frames())
        #expect(rest.reduce(0, +) == 50_000 - 16384 && rest.contains(16384))
    }

    @Test("In an open loop latency counts from when the request was due, though there was no room")
    func openLoop() throws {
        let exchange = Exchange { $0.rate = 100 }
        _ = try exchange.frames()
        exchange.welcome()
        #expect(try exchange.frames().isEmpty)
        // Due at 0, 10 and 20 ms.
        for _ in 0..<3 { exchange.connection.requestBecameDue() }
        #expect(try exchange.requests() == [1])
        exchange.pass(.milliseconds(50))
        exchange.answer(1, [])
        #expect(try exchange.requests() == [2])
        exchange.pass(.milliseconds(1))
        exchange.answer(2, [])
        #expect(
            exchange.counters.latencies.most == .milliseconds(50)
                && exchange.counters.latencies.least == .milliseconds(41))
        #expect(exchange.connection.waiting == 1)
    }

    @Test("What is due before or answered after the time that is measured is not counted")
    func measured() throws {
        let exchange = try Exchange.opened { $0.inFlight = 3 }
        exchange.pass(.milliseconds(10))
        exchange.counters.measuredFrom = exchange.now
        exchange.counters.measuredUntil = exchange.now + .milliseconds(10)
        exchange.answer(1, [])
        #expect(exchange.counters.answered == 1 && exchange.counters.latencies.count == 0)
        _ = try exchange.frames()
        exchange.pass(.milliseconds(15))
        exchange.answer(4, [])
        // It was due in time: a stall at the end shows.
        #expect(exchange.counters.answered == 1 && exchange.counters.latencies.most == .milliseconds(15))
    }
}

struct Wrong: Error {}

extension Exchange {
    /// A connection that is open, with its requests sent.
    static func opened(_ change: (inout LoadOptions) -> Void = { _ in }) throws -> Exchange {
        let exchange = Exchange(change)
        _ = try exchange.frames()
        exchange.welcome()
        _ = try exchange.frames()
        return exchange
    }

    /// The ids of the requests that are sent now.
    func requests() throws -> [UInt32] {
        try frames().compactMap { if case .part(let part) = $0, part.isFirst { part.id } else { nil } }
    }

    /// What is sent now, and the bytes of its requests.
    func framesWithBytes(_ requests: inout [UInt32: [UInt8]]) throws -> [Frame] {
        try frames { part, bytes in requests[part.id, default: []] += bytes }
    }
}
