import Basics
import Framing
import Testing

@testable import LifelineClient

/// One connection of a test, and the server that it talks to.
private struct Line {
    var client: ClientConnection
    var peer = Peer()

    init(_ hello: Hello = Hello()) {
        client = ClientConnection(hello, connectedAt: at(0), handshakeTimeout: .seconds(10), random: { 0.5 })
    }

    /// A connection that has been welcomed at 0.
    static func open(_ welcome: Welcome = Peer.welcome, _ hello: Hello = Hello()) throws -> Line {
        var line = Line(hello)
        _ = try line.sent(at(0))
        line.peer.outbox.greet(welcome, maxFrame: 16384)
        #expect(line.receive(at(0)) == [.welcomed(welcome)])
        return line
    }

    /// Lets the kernel take all that the client has to send, or its first `most` bytes.
    mutating func sent(_ now: Instant, most: Int = .max) throws -> [Peer.Seen] {
        var all: [UInt8] = []
        while !client.outbox.isEmpty, all.count < most {
            let part = client.outbox.unsent.prefix(most - all.count)
            all += part
            client.wrote(part.count, at: now)
        }
        if client.outbox.isEmpty { client.wrote(0, at: now) }
        return try peer.read(all)
    }

    /// Hands the client what the server sends, in stretches of `size` bytes.
    mutating func receive(_ now: Instant, by size: Int = .max) -> [ClientConnection.Event] {
        receive(peer.take(), now, by: size)
    }

    mutating func receive(_ bytes: [UInt8], _ now: Instant, by size: Int = .max) -> [ClientConnection.Event] {
        var events: [ClientConnection.Event] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let stretch = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            client.heard(at: now)
            var offset = 0
            while let event = client.next(in: stretch, upTo: stretch.count, at: &offset, now: now) {
                events.append(event)
            }
        }
        return events
    }

    mutating func judge(_ now: Instant) -> [ClientConnection.Event] {
        var events: [ClientConnection.Event] = []
        client.resumed(at: now)
        while let event = client.enforceDeadlines(at: now) { events.append(event) }
        return events
    }
}

private func ended(_ events: [ClientConnection.Event]) -> Code? {
    if case .ended(let error)? = events.last { error.code } else { nil }
}

@Suite struct Handshakes {
    @Test func clientSpeaksFirst() throws {
        var line = Line()
        #expect(line.client.outbox.unsent.starts(with: bytes("LIFELINE")))
        #expect(try line.sent(at(0)) == [.hello(short: false)])
    }

    @Test func deadAfterMayNotGrow() throws {
        var line = Line(Hello(deadAfter: 5000))
        #expect(try line.sent(at(0)) == [.hello(short: false)])
        line.peer.outbox.greet(Peer.welcome, maxFrame: 16384)
        #expect(ended(line.receive(at(0))) == .protocolError)
        #expect(try line.sent(at(0)) == [.close(.protocolError)])
    }

    @Test func anotherProtocolIsNamed() throws {
        var line = Line()
        let events = line.receive(bytes("HTTP/1.1 400 Bad Request\r\n"), at(0))
        guard case .ended(let error)? = events.last else {
            Issue.record("no end")
            return
        }
        #expect(error.code == .badPreface && error.text.contains("HTTP") && error.isFinal)
    }

    @Test func welcomeMustComeInTime() {
        var line = Line()
        #expect(line.client.deadline == at(10))
        #expect(line.judge(at(9.999)) == [])
        #expect(ended(line.judge(at(10))) == .handshakeTimeout)
    }

    @Test func refusalBeforeWelcome() throws {
        var line = Line()
        line.peer.outbox.close(Close(.busy, "full", retryAfter: 700))
        guard case .ended(let error)? = line.receive(at(0)).last else {
            Issue.record("no end")
            return
        }
        #expect(error.kind == .closedByServer && error.code == .busy && error.retryAfter == .milliseconds(700))
        #expect(error.isTemporary)
    }

    @Test func endDuringTheHandshake() {
        var line = Line()
        guard case .ended(let error)? = line.client.streamEnded() else {
            Issue.record("no end")
            return
        }
        #expect(error.kind == .broken && error.code == nil)
        #expect(line.client.isOver)
    }
}

@Suite struct RequestsOnAConnection {
    @Test(arguments: [1, 2, 7, 12, 13, 100, Int.max]) func answersInAnyPieces(size: Int) throws {
        var line = try Line.open()
        let ids = [line.client.request(bytes("one")), line.client.request([])]
        #expect(ids == [1, 2])
        #expect(try line.sent(at(1)) == [.request(1, bytes("one")), .request(2, [])])
        let long = String(repeating: "x", count: 40_000)
        line.peer.respond(2, long)
        line.peer.respond(1, "")
        #expect(
            line.receive(at(1), by: size) == [.response(id: 2, bytes(long)), .response(id: 1, [])])
        #expect(line.client.unansweredCount == 0 && line.client.unansweredBytes == 0)
    }

    @Test func anAnswerNobodyWaitsFor() throws {
        var line = try Line.open()
        _ = line.client.request(bytes("one"))
        _ = try line.sent(at(1))
        line.peer.respond(1, "a")
        line.peer.respond(1, "b")
        #expect(ended(line.receive(at(1))) == .protocolError)
        #expect(try line.sent(at(1)) == [.close(.protocolError)])
    }

    @Test func failureInTheMiddleOfAResponse() throws {
        var line = try Line.open()
        _ = line.client.request([1])
        _ = line.client.request([2])
        _ = try line.sent(at(1))
        // The first chunk of a long response, then a failure in its place.
        line.peer.respond(1, String(repeating: "x", count: 40_000))
        let first = Array(line.peer.outbox.unsent.prefix(12 + 16384))
        #expect(line.receive(first, at(1)) == [])
        line.peer.outbox = Outbox()
        line.peer.outbox.fail(1, Failure(.handlerFailed, "no"))
        line.peer.respond(2, "two")
        #expect(
            line.receive(at(1)) == [
                .failure(id: 1, Failure(.handlerFailed, "no")), .response(id: 2, bytes("two")),
            ])
    }

    @Test func refusedWhileItIsBeingSent() throws {
        var line = try Line.open()
        _ = line.client.request([UInt8](repeating: 1, count: 100_000))
        _ = try line.sent(at(1), most: 30_000)
        line.peer.outbox.fail(1, Failure(.refused))
        #expect(line.receive(at(1)) == [.failure(id: 1, Failure(.refused))])
        #expect(try line.sent(at(1)).last == .cancel(1))
    }

    @Test func roomOfTheServer() throws {
        var line = try Line.open()
        for _ in 0..<4 {
            #expect(line.client.hasRoom(for: 1))
            _ = line.client.request([1])
        }
        #expect(!line.client.hasRoom(for: 1))
        line = try Line.open()
        #expect(line.client.hasRoom(for: 2 << 20))
        _ = line.client.request([UInt8](repeating: 1, count: 1 << 20))
        #expect(line.client.hasRoom(for: 0) && !line.client.hasRoom(for: 1))
    }
}

@Suite struct Cancelling {
    @Test func whatIsStagedAndNotBegunIsTakenBack() throws {
        var line = try Line.open()
        let ids = (1...5).map { line.client.request([UInt8](repeating: $0, count: 5000)) }
        line.peer.outbox.ping(7)
        _ = line.receive(at(0))
        // The kernel has the first, and half of the second.
        #expect(try line.sent(at(0), most: 7500) == [.request(1, [UInt8](repeating: 1, count: 5000))])
        let takenBack = ids.map { line.client.cancel($0, at: at(0)) }
        #expect(takenBack == [false, false, true, true, true])
        #expect(
            try line.sent(at(0)) == [
                .request(2, [UInt8](repeating: 2, count: 5000)), .pong(7), .cancel(1), .cancel(2),
            ])
        #expect(line.client.outbox.count == 0 && line.client.outbox.cost == 0)
        #expect(line.client.unansweredCount == 2)
    }

    @Test func whatIsNotStagedIsTakenBack() throws {
        var line = try Line.open()
        _ = line.client.request([UInt8](repeating: 1, count: 100_000))
        let second = line.client.request([2])
        let isTakenBack = line.client.cancel(second, at: at(1))
        #expect(isTakenBack)
        #expect(line.client.unansweredCount == 1)
        #expect(try line.sent(at(1)).count == 1)
    }

    @Test func whatIsSentIsCancelledAndStaysKnown() throws {
        var line = try Line.open()
        let id = line.client.request([1])
        _ = try line.sent(at(1))
        let isTakenBack = line.client.cancel(id, at: at(1))
        #expect(!isTakenBack)
        #expect(try line.sent(at(1)) == [.cancel(1)])
        #expect(line.client.unansweredCount == 1)
        line.peer.respond(1, "quicker")
        #expect(line.receive(at(1)) == [.response(id: 1, bytes("quicker"))])
        #expect(line.client.unansweredCount == 0)
    }

    @Test func aBucketOfTwelvePays() throws {
        var line = try Line.open()
        for _ in 0..<14 { _ = line.client.request([1]) }
        _ = try line.sent(at(0))
        for id in UInt32(1)...14 { _ = line.client.cancel(id, at: at(0)) }
        #expect(try line.sent(at(0)) == (1...12).map { .cancel($0) })
        // One comes back every ping_every / 2; an ending makes a held CANCEL needless.
        #expect(line.client.deadline == at(1))
        line.peer.respond(13, "done")
        #expect(line.receive(at(0.5)) == [.response(id: 13, bytes("done"))])
        #expect(line.judge(at(1)) == [])
        #expect(try line.sent(at(1)).contains(.cancel(14)))
    }
}

@Suite struct Heartbeats {
    @Test func aPingIsAnsweredAtOnce() throws {
        var line = try Line.open()
        _ = line.client.request([UInt8](repeating: 1, count: 1 << 20))
        line.peer.outbox.ping(9)
        #expect(line.receive(at(0.1)) == [])
        // Not behind the megabyte, but behind little more than a frame of it.
        #expect(try line.sent(at(0.1), most: 40_000) == [.pong(9)])
    }

    @Test func aFloodIsRefused() throws {
        var line = try Line.open()
        for nonce in UInt64(1)...21 { line.peer.outbox.ping(nonce) }
        #expect(ended(line.receive(at(0.1))) == .tooManyPings)
    }

    @Test func aPongToAPingThatHasNotLeftIsAGuess() throws {
        var line = try Line.open()
        #expect(line.judge(at(1)) == [])
        line.peer.outbox.answer(with: Pong(nonce: 1))
        #expect(ended(line.receive(at(1))) == .protocolError)
    }

    @Test func theRoundTripIsTold() throws {
        var line = try Line.open()
        // random is 0.5: the first PING is due after half of ping_every, the next after nine tenths.
        #expect(line.client.deadline == at(1))
        #expect(line.judge(at(1)) == [])
        #expect(try line.sent(at(1)) == [.ping(1)])
        #expect(line.receive(at(1.25)) == [.roundTrip(.milliseconds(250))])
        #expect(line.client.deadline == at(1.25 + 1.8))
    }

    @Test func oneWayTrafficProvesNothing() throws {
        var line = try Line.open()
        line.peer.answersPings = false
        var told: [ClientConnection.Event] = []
        for step in 1..<110 {
            let now = at(Double(step) / 10)
            line.peer.outbox.send(.message, bytes("still here")[...], cost: 0)
            #expect(line.receive(now).allSatisfy { $0 == .message(bytes("still here")) })
            told += line.judge(now)
            _ = try line.sent(now)
        }
        // The first PING went out at 1: late at 6, dead at 11.
        #expect(told == [.beatLate(waited: .seconds(5), lastRoundTrip: nil)])
        #expect(ended(line.judge(at(11))) == .noRoundTrip)
    }

    @Test func silenceIsJudgedOnTimeAndNeverEarly() throws {
        var line = try Line.open()
        line.peer.answersPings = false
        var last = at(0)
        var end: Code?
        while end == nil, let deadline = line.client.deadline, deadline <= at(20) {
            last = deadline
            end = ended(line.judge(deadline))
            _ = try line.sent(deadline)
        }
        #expect(end == .silent && last == at(10))
    }

    @Test func aClientThatWasStoppedBlamesNobody() throws {
        var line = try Line.open()
        #expect(line.judge(at(1)) == [])
        _ = try line.sent(at(1))
        // The loop was to wake at 2.8 and wakes a minute later.
        line.peer.answersPings = true
        #expect(line.judge(at(60)) == [])
        #expect(try line.sent(at(60)).contains { if case .ping = $0 { true } else { false } })
        #expect(ended(line.judge(at(60))) == nil)
    }

    @Test func aWrongNonceIsAViolation() throws {
        var line = try Line.open()
        line.peer.outbox.answer(with: Pong(nonce: 5))
        #expect(ended(line.receive(at(0.5))) == .protocolError)
    }
}

@Suite struct Endings {
    @Test func lastIDDecides() throws {
        var line = try Line.open()
        let ids = (0..<3).map { _ in line.client.request([1]) }
        _ = try line.sent(at(1))
        let unsent = line.client.request([2])
        line.peer.outbox.close(Close(.shuttingDown, lastID: 2))
        #expect(ended(line.receive(at(1))) == .shuttingDown)
        #expect(ids.map { line.client.fate(of: $0) } == [.unknown, .unknown, .refused])
        #expect(line.client.fate(of: unsent) == .notSent)
        #expect(try line.sent(at(1)) == [.close(.normal)])
        #expect(line.client.hasSentClose && line.client.isOver)
    }

    @Test func lastIDOfARequestThatWasNeverSent() throws {
        var line = try Line.open()
        let id = line.client.request([1])
        _ = try line.sent(at(1))
        line.peer.outbox.close(Close(.normal, lastID: 2))
        #expect(ended(line.receive(at(1))) == .protocolError)
        #expect(line.client.fate(of: id) == .unknown)
        #expect(try line.sent(at(1)) == [.close(.protocolError)])
    }

    @Test func aDropLingersForASecond() throws {
        var line = try Line.open()
        _ = line.receive([UInt8](repeating: 0xFF, count: 12), at(1))
        #expect(try line.sent(at(1)) == [.close(.protocolError)])
        #expect(line.client.hasSentClose && !line.client.isOver)
        #expect(line.receive([UInt8](repeating: 0xFF, count: 1000), at(1.5)) == [])
        #expect(line.client.deadline == at(2))
        _ = line.judge(at(2))
        #expect(line.client.isOver)
    }

    @Test func leavingWaitsForTheServersEnd() throws {
        var line = try Line.open()
        line.client.close(at: at(1))
        #expect(try line.sent(at(1)) == [.close(.normal)])
        #expect(line.client.hasSentClose && !line.client.isOver)
        let event = line.client.streamEnded()
        #expect(event == nil)
        #expect(line.client.isOver)
    }

    @Test func aShortConnectionLetsTheServerCloseFirst() throws {
        var line = try Line.open(Peer.welcome, Hello(short: true))
        _ = line.client.request([1])
        _ = try line.sent(at(0))
        line.peer.respond(1, "done")
        #expect(line.receive(at(0)) == [.response(id: 1, bytes("done"))])
        #expect(!line.client.takesRequests && !line.client.isOver)
        line.peer.outbox.close(Close(.normal, lastID: 1))
        #expect(ended(line.receive(at(0))) == .normal)
        #expect(try line.sent(at(0)) == [])
        #expect(!line.client.hasSentClose && !line.client.isOver && line.client.deadline == at(1))
        let event = line.client.streamEnded()
        #expect(event == nil && line.client.isOver)
    }

    @Test func goAwayStopsNewRequests() throws {
        var line = try Line.open()
        #expect(line.client.takesRequests)
        line.peer.outbox.goAway(GoAway(.shuttingDown, "bye", retryAfter: 5, spread: 6))
        #expect(line.receive(at(1)) == [.goingAway(GoAway(.shuttingDown, "bye", retryAfter: 5, spread: 6))])
        #expect(!line.client.takesRequests)
    }

    @Test func aServerThatTakesNothingIsSlow() throws {
        var line = try Line.open()
        _ = line.client.request([UInt8](repeating: 1, count: 100_000))
        var end: Code?
        for step in 1...99 {
            let now = at(Double(step) / 10)
            line.client.wrote(0, at: now)
            line.peer.outbox.send(.message, [1], cost: 0)
            _ = line.receive(now)
            end = end ?? ended(line.judge(now))
        }
        #expect(end == nil)
        line.peer.outbox.send(.message, [1], cost: 0)
        _ = line.receive(at(10.1))
        #expect(ended(line.judge(at(10.1))) == .slowReader)
    }

    @Test("A client that leaves before WELCOME, and is not read, waits no longer than for WELCOME")
    func aLeaverThatIsNotWelcomedEnds() {
        var line = Line()
        line.client.close(at: at(1))
        line.client.wrote(0, at: at(1))
        #expect(line.client.deadline == at(10))
        #expect(line.judge(at(9.999)) == [] && !line.client.isOver)
        #expect(line.judge(at(10)) == [] && line.client.isOver)
    }

    @Test("A client that leaves, was stopped and is read slowly always sleeps until an instant to come")
    func aLeaverThatWasStoppedDoesNotSpin() throws {
        var line = try Line.open()
        _ = line.client.request([UInt8](repeating: 1, count: 16000))
        line.client.close(at: at(1))
        line.client.wrote(0, at: at(1))
        _ = line.judge(at(50))
        for second in 51...69 {
            let now = at(Double(second))
            line.client.wrote(1, at: now)
            #expect(line.judge(now) == [])
            #expect(line.client.deadline == now + .seconds(10))
        }
        _ = line.judge(at(79))
        #expect(line.client.isOver)
    }
}

@Suite struct SendWindows {
    private static let welcome = Welcome(
        pingEvery: 2000, deadAfter: 4000, maxFrame: 16384, maxMessage: 1 << 20, maxInFlight: 4, maxQueued: 1 << 20,
        connection: 7)

    private func pings(_ seen: [Peer.Seen]) -> [UInt64] {
        seen.compactMap { if case .ping(let nonce) = $0 { nonce } else { nil } }
    }

    @Test func bulkWaitsForPongs() throws {
        var line = try Line.open(SendWindows.welcome)
        let message = [UInt8](repeating: 1, count: 20_000)
        _ = line.client.send(message, at: at(0))
        line.client.prepareWrite(at: at(0))
        var seen = try line.sent(at(0))
        #expect(pings(seen) == [1, 2])
        var moment = 0.0
        while !line.client.outbox.isDone, moment < 10 {
            moment += 0.3
            #expect(line.receive(at(moment)).allSatisfy { if case .roundTrip = $0 { true } else { false } })
            line.client.prepareWrite(at: at(moment))
            seen += try line.sent(at(moment))
        }
        #expect(seen.contains(.message(message)))
    }

    @Test("E9 While CLOSE waits behind messages the client answers PINGs, and PONGs open its window")
    func anOrderlyCloseKeepsItsHeartbeat() throws {
        var line = try Line.open(SendWindows.welcome)
        let message = [UInt8](repeating: 1, count: 20_000)
        _ = line.client.send(message, at: at(0))
        line.client.prepareWrite(at: at(0))
        _ = try line.sent(at(0))
        line.client.close(at: at(0))
        #expect(!line.client.hasSentClose)
        line.peer.outbox.send(.message, [1], cost: 0)
        line.peer.outbox.ping(77)
        var seen: [Peer.Seen] = []
        var moment = 0.0
        while !line.client.hasSentClose, moment < 10 {
            moment += 0.3
            #expect(line.receive(at(moment)).isEmpty)
            line.client.prepareWrite(at: at(moment))
            seen += try line.sent(at(moment))
        }
        #expect(seen.first == .pong(77))
        #expect(seen.suffix(2) == [.message(message), .close(.normal)])
    }

    @Test("A server that ends first, or breaks a rule, sends no PONG: the rest goes without one", arguments: 0...2)
    func anOrderlyCloseWithoutPongs(_ end: Int) throws {
        var line = try Line.open(SendWindows.welcome)
        _ = line.client.send([UInt8](repeating: 1, count: 20_000), at: at(0))
        line.client.prepareWrite(at: at(0))
        _ = try line.sent(at(0))
        line.client.close(at: at(0))
        line.peer.answersPings = false
        switch end {
        case 0: #expect(line.client.streamEnded() == nil)
        case 1:
            line.peer.outbox.close(Close(.normal))
            #expect(line.receive(at(1)).isEmpty)
        default: #expect(line.receive([UInt8](repeating: 0xFF, count: 12), at(1)).isEmpty)
        }
        #expect(try line.sent(at(1)).last == .close(.normal))
        #expect(line.client.isOver == (end < 2))
    }

    @Test("A client that leaves gives up where no PONG lets its messages go for dead_after")
    func aLeaverGivesUp() throws {
        var line = try Line.open(SendWindows.welcome)
        line.peer.answersPings = false
        _ = line.client.send([UInt8](repeating: 1, count: 20_000), at: at(0))
        line.client.close(at: at(0))
        line.client.prepareWrite(at: at(0))
        _ = try line.sent(at(0))
        #expect(line.client.deadline == at(4))
        #expect(line.judge(at(3.9)).isEmpty && !line.client.isOver)
        #expect(line.judge(at(4)).isEmpty && line.client.isOver)
    }

    @Test func aServerThatReadsNothingIsASlowReader() throws {
        var line = try Line.open(SendWindows.welcome)
        line.peer.answersPings = false
        _ = line.client.send([UInt8](repeating: 1, count: 20_000), at: at(0))
        line.client.prepareWrite(at: at(0))
        _ = try line.sent(at(0))
        for moment in stride(from: 0.3, to: 4, by: 0.3) {
            line.peer.outbox.send(.message, [1], cost: 0)
            _ = line.receive(at(moment))
            #expect(ended(line.judge(at(moment))) == nil)
        }
        #expect(ended(line.judge(at(4))) == .slowReader)
    }

    @Test func emptyMessagesCostNothing() throws {
        var line = try Line.open(SendWindows.welcome)
        for _ in 0..<100 { _ = line.client.send([], at: at(0)) }
        #expect(try line.sent(at(0)).count == 100)
    }

    @Test func aVersionAboveItsOwnIsRefused() throws {
        var line = Line(Hello(minor: 0))
        _ = try line.sent(at(0))
        line.peer.outbox.greet(SendWindows.welcome, maxFrame: 16384)
        #expect(ended(line.receive(at(0))) == .protocolError)
    }
}
