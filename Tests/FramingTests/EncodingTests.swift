import Testing

@testable import Framing

@Suite("4 What is written, byte by byte")
struct EncodingTests {
    /// All that an outbox has to send.
    private func written(by fill: (inout Outbox) -> Void) -> [UInt8] {
        var outbox = Outbox()
        fill(&outbox)
        var bytes: [UInt8] = []
        while !outbox.isEmpty {
            bytes += outbox.unsent
            outbox.wrote(outbox.unsent.count)
        }
        return bytes
    }
    private let hello = Hello(
        short: true, pingEvery: 1, deadAfter: 2, maxFrame: 258, maxMessage: 4,
        options: Options(token: [9, 8], name: "n", agent: "ä"))
    private let welcome = Welcome(
        pingEvery: 0x0102_0304, deadAfter: 5, maxFrame: 6, maxMessage: 7, maxInFlight: 8, maxQueued: 9,
        connection: 0x0A0B_0C0D_0E0F_1011, options: Options(agent: "s/1"))

    @Test("3.2-1, 4.1 The client begins with the preface and HELLO")
    func helloBytes() {
        let options = option(1, [9, 8]) + option(2, [0x6E]) + option(3, [0xC3, 0xA4])
        let expected = rawHello(flags: 1, pingEvery: 1, deadAfter: 2, maxFrame: 258, maxMessage: 4, options: options)
        #expect(written { $0.greet(hello) } == rawPreface + expected)
        #expect(written { $0.greet(Hello()) } == rawPreface + rawHello())
    }

    @Test("3.2-2, 4.2 The server begins with the preface and WELCOME")
    func welcomeBytes() {
        let expected = rawWelcome(
            pingEvery: 0x0102_0304, deadAfter: 5, maxFrame: 6, maxMessage: 7, maxInFlight: 8, maxQueued: 9,
            connection: 0x0A0B_0C0D_0E0F_1011, options: option(3, text("s/1")))
        #expect(written { $0.greet(welcome, maxFrame: 256) } == rawPreface + expected)
    }

    @Test("4.3 to 4.11 Every other frame")
    func frames() {
        let start = rawPreface + rawHello()
        func behindHello(_ fill: (inout Outbox) -> Void) -> [UInt8] {
            let bytes = written {
                $0.greet(Hello())
                fill(&$0)
            }
            #expect(bytes.starts(with: start))
            return Array(bytes.dropFirst(start.count))
        }
        #expect(behindHello { $0.ping(0x0102_0304_0506_0708) } == raw(0x03, [1, 2, 3, 4, 5, 6, 7, 8]))
        #expect(
            behindHello { $0.answer(with: Pong(nonce: 1, queued: 2, inFlight: 3, longest: 4)) }
                == raw(0x04, u64(1) + u32(2) + u32(3) + u32(4)))
        #expect(behindHello { $0.send(.request, id: 258, [7], cost: 1) } == raw(0x05, id: 258, [7]))
        #expect(behindHello { $0.send(.response, id: 1, [], cost: 1) } == raw(0x06, id: 1))
        #expect(behindHello { $0.send(.message, [7, 8], cost: 1) } == raw(0x07, [7, 8]))
        #expect(behindHello { $0.cancel(0x0102_0304) } == raw(0x08, id: 0x0102_0304))
        #expect(
            behindHello { $0.fail(5, Failure(.refused, "no", retryAfter: 6)) }
                == raw(0x09, id: 5, u16(18) + u16(0) + u32(6) + text("no")))
        #expect(
            behindHello { $0.goAway(GoAway(.kicked, "go", retryAfter: 6, spread: 7)) }
                == raw(0x0A, u16(19) + u16(0) + u32(6) + u32(7) + text("go")))
        #expect(
            behindHello { $0.close(Close(.internal, "ä", lastID: 3, retryAfter: 6)) }
                == raw(0x0B, u32(3) + u16(20) + u16(0) + u32(6) + [0xC3, 0xA4]))
    }

    @Test("7.6-1 A refused connection is told the preface and CLOSE")
    func refusal() {
        let expected = rawPreface + raw(0x0B, u32(0) + u16(12) + u16(0) + u32(1000) + text("full"))
        #expect(Close(.busy, "full", retryAfter: 1000).refusal == expected)
    }

    @Test("7.1-1, 3.2-2 A CLOSE before HELLO or WELCOME has the preface before it")
    func closeFirst() {
        let expected = rawPreface + raw(0x0B, u32(0) + u16(6) + u16(0) + u32(0))
        #expect(written { $0.close(Close(.handshakeTimeout)) } == expected)
        #expect(written { $0.cutOff(Close(.handshakeTimeout)) } == expected)
    }

    @Test("What is written is read as the same")
    func roundTrip() {
        #expect(read(written { $0.greet(hello) }, from: .client) == Reading(found: [.frame(.hello(hello))]))
        var welcome = welcome
        welcome.pingEvery = 20
        welcome.deadAfter = 100
        welcome.maxFrame = 256
        let bytes = written {
            $0.greet(welcome, maxFrame: 256)
            $0.send(.response, id: 3, text("hello")[...], cost: 0)
            $0.fail(4, Failure(.busy, "x", retryAfter: 5))
            $0.goAway(GoAway(.kicked, "y", retryAfter: 6, spread: 7))
            $0.answer(with: Pong(nonce: 8, queued: 9, inFlight: 10, longest: 11))
            $0.close(Close(.normal, "z", lastID: 12, retryAfter: 13))
        }
        let expected: [Found] = [
            .frame(.welcome(welcome)), .message(.response, id: 3, text("hello")),
            .frame(.failure(id: 4, Failure(.busy, "x", retryAfter: 5))),
            .frame(.goAway(GoAway(.kicked, "y", retryAfter: 6, spread: 7))),
            .frame(.pong(Pong(nonce: 8, queued: 9, inFlight: 10, longest: 11))),
            .frame(.close(Close(.normal, "z", lastID: 12, retryAfter: 13))),
        ]
        #expect(read(bytes, from: .server) == Reading(found: expected))
    }
}
