import Basics
import Framing
import Testing

@testable import Liveness

@Suite("5.2, 5.6 The client's PINGs and the round trip")
struct RoundTripTests {
    @Test("5.2-1 The first PING goes random(0..1) x ping_every after WELCOME", arguments: [0, 0.25, 0.5, 0.999])
    func first(number: Double) throws {
        var client = welcomedClient([number, 0])
        let due = at(300 * number)
        #expect(client.deadline == due)
        if number > 0 { #expect(client.judge(at: justBefore(due)) == .fine) }
        #expect(client.judge(at: due) == .ping(nonce: 1))
        #expect(client.judge(at: due) == .fine)
    }

    @Test("5.2-1 The first PING keeps its time, whatever proof has come")
    func firstKept() {
        var client = welcomedClient([0.9, 0])
        client.responded(at: at(100))
        client.responded(at: at(260))
        #expect(client.deadline == at(270))
        #expect(client.ping(at: at(270)) != nil)
    }

    @Test("5.2-2 The next goes random(0.8..1) x ping_every after the last, the number drawn anew")
    func next() {
        var client = welcomedClient([0, 0, 0.5, 1])
        #expect(client.judge(at: at(0)) == .ping(nonce: 1))
        #expect(client.judge(at: justBefore(at(240))) == .fine)
        #expect(client.judge(at: at(240)) == .ping(nonce: 2))
        #expect(client.judge(at: at(500)) == .beatLate)
        #expect(client.judge(at: justBefore(at(510))) == .fine)
        #expect(client.judge(at: at(510)) == .ping(nonce: 3))
        #expect(client.judge(at: justBefore(at(810))) == .fine)
        #expect(client.judge(at: at(810)) == .ping(nonce: 4))
    }

    @Test("5.2-2 Proof, by a PONG or a response, puts the next PING off")
    func proof() throws {
        var client = welcomedClient([0])
        #expect(client.judge(at: at(0)) == .ping(nonce: 1))
        try client.ponged(1, at: at(100))
        #expect(client.deadline == at(340))
        client.responded(at: at(300))
        #expect(client.judge(at: justBefore(at(540))) == .fine)
        #expect(client.judge(at: at(540)) == .ping(nonce: 2))
    }

    @Test(
        "5.2-3, 5.6-1 Other bytes put off neither a PING nor NO_ROUND_TRIP, which counts from the first unproven PING")
    func noProof() {
        var client = welcomedClient([0, 0])
        var pings: [Double] = []
        var late: [Double] = []
        for moment in stride(from: 0.0, to: 1000, by: 10) {
            client.resumed(at: at(moment))
            client.heard(at: at(moment))
            client.frame(UInt64(moment), unfinishedLength: nil, at: at(moment))
            verdicts: while true {
                switch client.judge(at: at(moment)) {
                case .fine: break verdicts
                case .ping: pings.append(moment)
                case .beatLate: late.append(moment)
                case .drop(let violation):
                    Issue.record("\(violation) at \(moment)")
                    break verdicts
                }
            }
        }
        #expect(pings == [0, 240, 480, 720, 960])
        #expect(late == [500])
        client.heard(at: at(999))
        #expect(client.code(at: justBefore(at(1000))) == nil)
        #expect(client.code(at: at(1000)) == .noRoundTrip)
    }

    @Test("5.6-1 Proof starts it anew: it counts from the first PING after the proof")
    func anew() throws {
        var client = welcomedClient([0, 0])
        func settle(_ moment: Double) {
            client.heard(at: at(moment))
            while client.judge(at: at(moment)) != .fine {}
        }
        settle(0)
        settle(240)
        client.responded(at: at(450))
        settle(690)  // The first PING after the proof.
        for moment in stride(from: 700.0, to: 1690, by: 50) { settle(moment) }
        client.heard(at: justBefore(at(1690)))
        #expect(client.code(at: justBefore(at(1690))) == nil)
        #expect(client.code(at: at(1690)) == .noRoundTrip)
    }

    @Test("5.6-2 A late beat is told once, at dead_after / 2 after the first unproven PING, and again after a proof")
    func lateBeat() throws {
        var client = welcomedClient([0, 1])
        #expect(client.ping(at: at(0)) != nil)
        #expect(client.ping(at: at(300)) != nil)
        client.heard(at: at(499))
        #expect(client.deadline == at(500))
        #expect(client.judge(at: justBefore(at(500))) == .fine)
        #expect(client.judge(at: at(500)) == .beatLate)
        #expect(client.judge(at: at(500)) == .fine)
        #expect(client.ping(at: at(600)) != nil)
        #expect(client.judge(at: at(899)) == .fine)
        try client.ponged(1, at: at(899))
        client.heard(at: at(1199))
        #expect(client.ping(at: at(1199)) != nil)
        client.heard(at: at(1600))
        _ = client.judge(at: at(1600))
        #expect(client.judge(at: at(1699)) == .beatLate)
    }

    @Test("5.6-2 Without a late beat nothing is told")
    func punctual() throws {
        var client = welcomedClient([0, 0])
        var moment = 0.0
        for nonce: UInt64 in 1...100 {
            #expect(client.ping(at: at(moment)) == nonce)
            client.heard(at: at(moment + 239))
            #expect(client.judge(at: at(moment + 239)) == .fine)
            try client.ponged(nonce, at: at(moment + 239))
            moment += 239 + 240
        }
    }
}

@Suite("5.6 NO_ROUND_TRIP counts from the PING's leaving")
struct LeavingPingTests {
    @Test("5.6-1 While the PING waits behind this side's own bytes, no round trip is late")
    func waiting() {
        var client = welcomedClient([0, 0])
        guard case .ping(let nonce) = client.verdict(at: at(0)) else {
            Issue.record("no PING")
            return
        }
        client.heard(at: at(900))
        for moment in [500.0, 1000, 1500] {
            client.heard(at: at(moment))
            while case .ping = client.verdict(at: at(moment)) {}
            #expect(client.verdict(at: at(moment)) == .fine)
        }
        client.pingLeft(nonce, at: at(1500))
        client.heard(at: at(2499))
        while case .ping = client.verdict(at: at(1999)) {}
        #expect(client.verdict(at: at(2000)) == .beatLate)
        while case .ping = client.verdict(at: at(2499)) {}
        #expect(client.code(at: at(2500)) == .noRoundTrip)
    }

    @Test("The round trip is that from the PING's leaving")
    func roundTrip() throws {
        var ledger = PingLedger()
        for _ in 1...3 { _ = ledger.send(at: at(0)) }
        ledger.left(2, at: at(70))
        ledger.left(3, at: at(80))
        #expect(try ledger.answered(1, at: at(100)) == .milliseconds(30))
        #expect(try ledger.answered(3, at: at(100)) == .milliseconds(20))
        _ = ledger.send(at: at(200))
        ledger.left(4, at: at(210))
        #expect(try ledger.answered(4, at: at(215)) == .milliseconds(5))
    }
}

@Suite("5.3 A side that has sent nothing asks, in 1.1")
struct QuietTests {
    private let bounded = Heartbeat(pingEvery: .milliseconds(500), deadAfter: .milliseconds(1000), isBounded: true)

    @Test("5.3-2 A server that hears the client all the time sends a PING at dead_after / 2 after its last byte")
    func server() {
        var server = welcomedServer(bounded)
        var pings: [Double] = []
        for moment in stride(from: 0.0, through: 2000, by: 10) {
            server.heard(at: at(moment))
            #expect(server.deadline.map { $0 > justBefore(at(moment)) } ?? false)
            if case .ping = server.verdict(at: at(moment)) {
                pings.append(moment)
                server.wrote(any: true, waiting: false, at: at(moment))
            }
        }
        #expect(pings == [500, 1000, 1500, 2000])
    }

    @Test("5.3-2 With a client that beats it adds no PING and no wake-up")
    func beating() {
        var server = welcomedServer(bounded)
        for moment in stride(from: 400.0, through: 20_000, by: 400) {
            server.heard(at: at(moment))
            #expect(server.verdict(at: at(moment)) == .fine)
            server.wrote(any: true, waiting: false, at: at(moment))
            #expect(server.deadline == at(moment + 500))
        }
    }

    @Test("5.3-2 A PING that the kernel does not take is not sent again and again")
    func stuck() {
        var server = welcomedServer(bounded)
        server.heard(at: at(499))
        #expect(server.verdict(at: at(500)) == .ping(nonce: 1))
        server.wrote(any: false, waiting: true, at: at(500))
        for moment in stride(from: 500.0, through: 990, by: 10) {
            server.heard(at: at(moment))
            #expect(server.verdict(at: at(moment)) == .fine)
        }
    }

    @Test("5.3-2 A client whose proof is all RESPONSEs sends a PING all the same")
    func client() {
        var client = welcomedClient([0, 1, 1], bounded)
        #expect(client.ping(at: at(0)) != nil)
        client.wrote(any: true, waiting: false, at: at(0))
        for moment in stride(from: 10.0, to: 500, by: 10) {
            client.heard(at: at(moment))
            client.responded(at: at(moment))
            #expect(client.judge(at: at(moment)) == .fine)
        }
        #expect(client.deadline == at(500))
        #expect(client.ping(at: at(500)) != nil)
    }

    @Test("In 1.0 nothing of it holds")
    func old() {
        var server = welcomedServer()
        for moment in stride(from: 0.0, through: 5000, by: 100) {
            server.heard(at: at(moment))
            #expect(server.verdict(at: at(moment)) == .fine)
        }
    }
}

@Suite("5.4 PONG")
struct PongTests {
    private func pinged(_ count: Int) -> PingLedger {
        var ledger = PingLedger()
        for number in 0..<count {
            let now = at(Double(number) * 10)
            ledger.left(ledger.send(at: now), at: now)
        }
        return ledger
    }

    @Test("4.3-1 Nonces are never used twice")
    func nonces() {
        var ledger = PingLedger()
        #expect((1...100).map { _ in ledger.send(at: at(0)) } == Array(1...100))
    }

    @Test("5.4-5 A nonce that was never sent is a PROTOCOL_ERROR", arguments: [0, 4, .max] as [UInt64])
    func unknown(nonce: UInt64) {
        var ledger = pinged(3)
        #expect { try ledger.answered(nonce, at: at(50)) } throws: { ($0 as? Violation)?.code == .protocolError }
    }

    @Test("5.4-5 A PONG to a PING that has not left is a guess: a PROTOCOL_ERROR")
    func guessed() throws {
        var ledger = pinged(3)
        _ = ledger.send(at: at(40))
        #expect { try ledger.answered(4, at: at(50)) } throws: { ($0 as? Violation)?.code == .protocolError }
        ledger.left(4, at: at(60))
        #expect(try ledger.answered(4, at: at(70)) == .milliseconds(10))
    }

    @Test("5.4-5 A nonce is answered once, and none older than one answered")
    func old() throws {
        for nonce: UInt64 in [1, 2] {
            var ledger = pinged(3)
            _ = try ledger.answered(2, at: at(50))
            #expect(throws: Violation.self) { try ledger.answered(nonce, at: at(50)) }
            #expect(try ledger.answered(3, at: at(50)) == .milliseconds(30))
        }
    }

    @Test("5.4-4 A PONG may leave out older PINGs: it answers them all, and tells the time of its own")
    func skipping() throws {
        var ledger = pinged(10)
        #expect(try ledger.answered(4, at: at(100)) == .milliseconds(70))
        #expect(try ledger.answered(7, at: at(100)) == .milliseconds(40))
        #expect(try ledger.answered(10, at: at(100)) == .milliseconds(10))
        #expect(ledger.send(at: at(200)) == 11)
        ledger.left(11, at: at(200))
        #expect(try ledger.answered(11, at: at(205)) == .milliseconds(5))
    }

    @Test("5.4-5 Of very many PINGs the oldest lose their time, never their right to an answer")
    func many() throws {
        var ledger = pinged(88)
        #expect(try ledger.answered(1, at: at(1000)) == nil)
        #expect(try ledger.answered(24, at: at(1000)) == nil)
        #expect(try ledger.answered(25, at: at(1000)) == .milliseconds(760))
        #expect(try ledger.answered(88, at: at(1000)) == .milliseconds(130))
    }

    @Test("5.4-5 A PONG without a PING is refused by both sides, and proves nothing")
    func unasked() throws {
        var server = welcomedServer()
        #expect(throws: Violation.self) { try server.ponged(1, at: at(10)) }
        var client = welcomedClient([0, 1])
        #expect(throws: Violation.self) { try client.ponged(1, at: at(10)) }
        #expect(client.ping(at: at(10)) == 1)
        #expect(throws: Violation.self) { try client.ponged(2, at: at(10)) }
        #expect(client.roundTrip == nil)
        try client.ponged(1, at: at(30))
        #expect(client.roundTrip == .milliseconds(20))
    }
}
