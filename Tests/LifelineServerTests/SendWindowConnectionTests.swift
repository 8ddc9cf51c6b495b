import Basics
import Framing
import Testing

@testable import LifelineServer

/// What was said, without the bytes of chunks: `R` for a chunk of a response, `P1` for PING 1.
private func shape(_ lines: [String]) -> [String] {
    lines.map { line in
        if line.hasPrefix("RESPONSE") { return "R" }
        if line.hasPrefix("PING ") { return "P" + line.dropFirst(5) }
        return String(line.prefix { $0 != " " })
    }
}

@Suite("5.12 The server's send window")
struct SendWindowConnectionTests {
    private let terms = Terms(timeout: 2000)

    private func loaded(short: Bool = false, minor: UInt8 = 1) -> Conversation {
        var conversation = Conversation.opened(terms, short: short, echoes: false, minor: minor)
        conversation.receive(request(1, "?"))
        conversation.answer(1, String(repeating: "x", count: 10_000))
        return conversation
    }

    @Test(
        "5.12-1, 5.12-2 Bulk stops at 2048 unproved bytes with a PING behind each 1024, and goes on when they are proved"
    )
    func held() {
        var conversation = loaded()
        #expect(shape(conversation.said()) == ["R", "R", "P1", "R", "R", "P2"])
        conversation.receive(pong(1), at: at(300))
        #expect(shape(conversation.said()) == ["R", "R", "P3"])
        conversation.receive(pong(3), at: at(600))
        #expect(!conversation.said().isEmpty)
    }

    @Test("A client of 1.0 gets all at once, and no PING")
    func old() {
        var conversation = loaded(minor: 0)
        #expect(shape(conversation.said()) == ["R"])
    }

    @Test("7.3-3 The end of a SHORT connection waits for PONGs, which come while CLOSE is queued")
    func short() {
        var conversation = loaded(short: true)
        var said = shape(conversation.said())
        #expect(said.last == "P2" && !conversation.isOver)
        var moment = 0.0
        while said.last != "CLOSE", moment < 10_000 {
            moment += 100
            guard let nonce = said.last(where: { $0.hasPrefix("P") }).flatMap({ UInt64($0.dropFirst()) }) else { break }
            conversation.receive(pong(nonce), at: at(moment))
            said = shape(conversation.said())
        }
        #expect(said.last == "CLOSE")
        conversation.endOfStream()
        #expect(conversation.isOver)
        #expect(conversation.connection.closeReason == .closed(.normal, "", by: .server))
    }

    @Test("7.2-3 A client that has ended its stream sends no PONG: it gets all without one")
    func halfClosed() {
        var conversation = loaded()
        _ = conversation.said()
        conversation.endOfStream()
        let said = shape(conversation.said())
        #expect(said.filter { $0 == "R" }.count >= 1)
        #expect(said.last == "CLOSE")
    }

    @Test("5.9-1 A client that reads nothing is a slow reader, though the kernel took all that the window let go")
    func slowReader() {
        var conversation = loaded()
        _ = conversation.said()
        // It goes on beating, so that it is not silent.
        for moment in stride(from: 500.0, through: 1500, by: 500) {
            conversation.receive(ping(UInt64(moment)), at: at(moment))
        }
        conversation.wake(at: at(1999))
        #expect(!conversation.connection.isClosing)
        conversation.wake(at: at(2000))
        #expect(conversation.said().last?.hasPrefix("CLOSE SLOW_READER") ?? false)
    }

    @Test("5.9-1 A PONG that opens the window is a reader's sign of life")
    func reader() {
        var conversation = loaded()
        var nonce: UInt64 = 0
        for moment in stride(from: 1500.0, through: 9000, by: 1500) where !conversation.connection.outbox.isDone {
            nonce += 1
            conversation.receive(pong(nonce), at: at(moment))
            #expect(!conversation.connection.isClosing)
        }
        #expect(nonce >= 3)
    }

    @Test("5.9-3 A PONG that proves no byte keeps no slow reader")
    func emptyProof() {
        var conversation = Conversation.opened(terms, echoes: false, minor: 1)
        conversation.wake(at: at(1000))
        #expect(shape(conversation.said()) == ["P1"])
        conversation.receive(request(1, "?"), at: at(1100))
        conversation.answer(1, String(repeating: "x", count: 10_000))
        #expect(shape(conversation.said()).last == "P3")
        conversation.receive(pong(1), at: at(2000))
        conversation.wake(at: at(2100))
        conversation.wake(at: at(3099))
        #expect(!conversation.connection.isClosing)
        conversation.wake(at: at(3100))
        #expect(conversation.said().last?.hasPrefix("CLOSE SLOW_READER") ?? false)
    }

    @Test("5.12-2 Small responses that come together have PINGs among them")
    func small() {
        var conversation = Conversation.opened(terms, echoes: false, minor: 1)
        for id in 1...6 as ClosedRange<UInt32> {
            conversation.receive(request(id, "?"))
            conversation.answer(id, String(repeating: "x", count: 500))
        }
        #expect(shape(conversation.said()) == ["R", "R", "P1", "R", "R", "P2"])
    }

    @Test(
        "5.12-5 A client that has said CLOSE sends no PONG: a response that has begun comes whole",
        arguments: [true, false])
    func clientClosed(endsStream: Bool) {
        var conversation = loaded()
        _ = conversation.said()
        conversation.receive(close())
        if endsStream { conversation.endOfStream() }
        #expect(shape(conversation.said()).last == "CLOSE")
    }

    @Test("5.4-1 A PING of the client is answered at once while the window is closed")
    func answered() {
        var conversation = loaded()
        _ = conversation.said()
        conversation.receive(ping(9), at: at(10))
        #expect(conversation.said().map { $0.prefix(6) } == ["PONG 9"])
    }

    @Test(
        "5.10 Twenty-one PINGs behind 1024 bytes each are no flood, in 1.1 alone", arguments: [(1, true), (0, false)])
    func freePings(minor: Int, isFree: Bool) {
        var conversation = Conversation.opened(minor: UInt8(minor))
        for nonce in 1...25 as ClosedRange<UInt64> {
            conversation.receive(raw(0x07, [UInt8](repeating: 1, count: 1012)), ping(nonce))
        }
        #expect(conversation.connection.isClosing == !isFree)
    }

    @Test("5.10 A PING behind fewer than 1024 bytes costs one, in whatever pieces they come", arguments: [1, 7, 500])
    func pieces(size: Int) {
        var conversation = Conversation.opened(minor: 1)
        for nonce in 1...21 as ClosedRange<UInt64> {
            var rest = raw(0x07, [UInt8](repeating: 1, count: 1011))[...]
            while !rest.isEmpty {
                conversation.receive(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            #expect(!conversation.connection.isClosing)
            conversation.receive(ping(nonce))
        }
        #expect(conversation.connection.isClosing)
    }

    @Test("5.3-2 A client that uploads for long is sent a PING, in 1.1 alone", arguments: [(1, 2), (0, 0)])
    func upload(minor: Int, pings: Int) {
        var conversation = Conversation.opened(terms, echoes: false, minor: UInt8(minor))
        for moment in stride(from: 100.0, through: 2400, by: 100) {
            conversation.receive(request(1, "some of a long one", more: true), at: at(moment))
        }
        #expect(conversation.said().filter { $0.hasPrefix("PING") }.count == pings)
    }

    @Test("7.5-1 A drop is not held back: CLOSE follows the frame that is begun")
    func drop() {
        var conversation = loaded()
        _ = conversation.said()
        conversation.wake(at: at(1000))
        conversation.wake(at: at(2000))
        #expect(conversation.said().last?.hasPrefix("CLOSE SILENT") ?? false)
    }
}
