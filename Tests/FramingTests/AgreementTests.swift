import Testing

@testable import Framing

/// What only some connections carry: requests from the server (3.7), and credit for messages (3.8).
@Suite("3.7 and 3.8 What both sides agree on")
struct AgreementTests {
    private let credit = FrameDecoder.Agreement(credit: true)
    private let answers = FrameDecoder.Agreement(answers: true)

    private func reading(
        _ frames: [UInt8], from sender: Side, _ agreement: FrameDecoder.Agreement = FrameDecoder.Agreement()
    ) -> Reading {
        read(opening(of: sender) + frames, from: sender, agreement: agreement)
    }

    @Test("3.7-1, 3.7-2 A side sends the other's frames of requests where the client answers, and nowhere else")
    func requests() {
        let server = [raw(0x05, id: 1, text("ask")), raw(0x05, id: 1) + raw(0x08, id: 1)]
        let client = [raw(0x06, id: 1, text("told")), raw(0x09, id: 1, u16(16) + u16(0) + u32(0))]
        for (frames, sender) in server.map({ ($0, Side.server) }) + client.map({ ($0, Side.client) }) {
            #expect(reading(frames, from: sender).code == .protocolError)
            #expect(reading(frames, from: sender, credit).code == .protocolError)
            #expect(reading(frames, from: sender, answers).violation == nil)
        }
        #expect(reading(server[0], from: .server, answers).last == .message(.request, id: 1, text("ask")))
    }

    @Test("3.6-1, 4.8-1, 7.4-4 The rules of ids hold for the server's, but its own GOAWAY ends nothing (3.7-6)")
    func serverIDs() {
        #expect(reading(raw(0x05, id: 2) + raw(0x05, id: 2), from: .server, answers).code == .protocolError)
        #expect(reading(raw(0x08, id: 1), from: .server, answers).code == .protocolError)
        let goAway = raw(0x0A, u16(13) + u16(0) + u32(0) + u32(0))
        #expect(reading(goAway + raw(0x05, id: 1), from: .server, answers).violation == nil)
        #expect(reading(goAway + raw(0x05, id: 1), from: .client, answers).code == .protocolError)
    }

    @Test("3.5-3, 4.9-2 A FAILURE ends the open response of its id, and no request of its own sender")
    func failureBetweenChunks() {
        let failure = raw(0x09, id: 1, u16(16) + u16(0) + u32(0))
        let response = raw(0x06, flags: 1, id: 1, text("a"))
        #expect(reading(response + failure + raw(0x07), from: .client, answers).violation == nil)
        let request = raw(0x05, flags: 1, id: 1, text("a"))
        #expect(reading(request + failure + raw(0x07), from: .client, answers).code == .protocolError)
        #expect(reading(request + failure + raw(0x05, id: 1), from: .client, answers).violation == nil)
    }

    @Test(
        "4.13, M5 CREDIT is a frame where it is in force, and an unknown type elsewhere",
        arguments: [Side.client, .server])
    func creditFrame(sender: Side) {
        let frame = raw(0x0C, u64(1 << 40) + u64(7))
        let ignorable = raw(0x0C, flags: 0x80, u64(1 << 40) + u64(7))
        let found = Found.frame(.credit(Credit(limit: 1 << 40, handled: 7)))
        #expect(reading(frame, from: sender, credit).last == found)
        #expect(reading(ignorable, from: sender, credit).last == found)
        #expect(reading(frame, from: sender).code == .protocolError)
        #expect(reading(frame, from: sender, answers).code == .protocolError)
        #expect(reading(ignorable, from: sender).violation == nil)
    }

    @Test("3.8, 3.7 Both are agreed on in 1.1 alone, not on a SHORT connection, and credit by both sides")
    func agreement() throws {
        let terms = Terms(credit: 9)
        func agreement(_ hello: Hello, _ terms: Terms) throws -> FrameDecoder.Agreement {
            let welcome = negotiate(hello, with: terms, connection: 1)
            try welcome.check(against: hello)
            return welcome.agreement(with: hello)
        }
        let options = Options(credit: 5, answers: AnswerTerms(maxInFlight: 1, maxQueued: 1))
        #expect(try agreement(Hello(options: options), terms) == FrameDecoder.Agreement(credit: true, answers: true))
        #expect(negotiate(Hello(options: options), with: terms, connection: 1).options.credit == 9)
        #expect(try agreement(Hello(options: options), Terms()) == answers)
        #expect(try agreement(Hello(options: Options(credit: 5)), terms) == credit)
        #expect(try agreement(Hello(), terms) == FrameDecoder.Agreement())
        #expect(try agreement(Hello(short: true, options: options), terms) == FrameDecoder.Agreement())
        #expect(try agreement(Hello(options: options, minor: 0), terms) == FrameDecoder.Agreement())
    }

    @Test("3.8-3 A WELCOME with CREDIT that cannot be in force is a PROTOCOL_ERROR")
    func unasked() {
        for hello in [Hello(), Hello(short: true, options: Options(credit: 1))] {
            var welcome = negotiate(hello, with: Terms(), connection: 1)
            welcome.options.credit = 1
            #expect(throws: Violation.self) { try welcome.check(against: hello) }
        }
    }

    @Test("3.7-3 A request of this side and the ending of the other's with the same id are two messages")
    func independentIDs() {
        var outbox = Outbox()
        outbox.greet(Hello())
        outbox.wrote(outbox.unsent.count)
        outbox.send(.request, id: 1, text("question")[...], cost: 8)
        outbox.send(.response, id: 1, text("answer")[...], cost: 0)
        outbox.fail(2, Failure(.handlerFailed))
        #expect(outbox.requests == 1 && outbox.endings == 2 && outbox.count == 3)
        #expect(!outbox.isUntouched(2))
        let isWithdrawn = outbox.withdraw(1)
        #expect(isWithdrawn && outbox.requests == 0 && outbox.endings == 2)
        #expect(Array(outbox.unsent) == raw(0x06, id: 1, text("answer")) + raw(0x09, id: 2, u16(16) + u16(0) + u32(0)))
    }

    @Test("3.8-10 A GOAWAY that leaves goes behind the messages that wait, and CREDIT ahead of them")
    func order() {
        var outbox = Outbox()
        outbox.greet(Hello())
        outbox.wrote(outbox.unsent.count)
        let long = [UInt8](repeating: 1, count: 1 << 16)
        outbox.send(.message, long[...], cost: 0)
        outbox.leave(GoAway(.normal))
        outbox.grant(Credit(limit: 1, handled: 0))
        var sent: [UInt8] = []
        while !outbox.isEmpty {
            sent += outbox.unsent
            outbox.wrote(outbox.unsent.count)
        }
        let types = boundaries(of: sent, from: 0).map { sent[$0.lowerBound + 4] }
        #expect(types.last == 0x0A && types.filter { $0 == 0x0C }.count == 1)
        #expect(types.firstIndex(of: 0x0C)! < types.lastIndex(of: 0x07)!)
    }
}
