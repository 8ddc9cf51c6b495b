import Basics
import Framing
import Testing

@testable import Liveness

@Suite("5.11 Own lateness")
struct LatenessTests {
    /// dead_after / 10 + 50 ms after the deadline; what is later is late.
    private static let allowance = 150.0

    @Test("5.11-2, 5.11-3 A server that was late grants one dead_after, and sends one PING")
    func server() {
        var server = welcomedServer()
        let late = at(500 + LatenessTests.allowance + 0.001)  // The server's PING was due at 500.
        server.resumed(at: late)
        #expect(server.verdict(at: late) == .ping(nonce: 1))
        #expect(server.verdict(at: late) == .fine)
        let end = late + .milliseconds(1000)
        #expect(server.code(at: justBefore(end)) == nil)
        #expect(server.code(at: end) == .silent)
    }

    @Test("5.11 A side that woke later, but not so late, grants nothing")
    func notLate() {
        var server = welcomedServer()
        server.resumed(at: at(500 + LatenessTests.allowance))
        #expect(server.verdict(at: at(650)) == .ping(nonce: 1))
        #expect(server.code(at: at(1000)) == .silent)
        var silent = welcomedServer()
        #expect(silent.verdict(at: at(500)) == .ping(nonce: 1))
        silent.resumed(at: at(1150))
        #expect(silent.code(at: at(1150)) == .silent)
    }

    @Test("5.11-2 One that slept through dead_after does not drop for it")
    func slept() {
        var server = welcomedServer()
        server.resumed(at: at(60_000))
        #expect(server.verdict(at: at(60_000)) == .ping(nonce: 1))
        #expect(server.code(at: justBefore(at(61_000))) == nil)
        #expect(server.code(at: at(61_000)) == .silent)
    }

    @Test("5.11-2 The frame and the slow reader, too, get a new dead_after")
    func frameAndReader() {
        var server = welcomedServer()
        server.frame(2, unfinishedLength: 100, at: at(0))
        server.wrote(any: false, waiting: true, at: at(0))
        server.resumed(at: at(5000))
        server.heard(at: at(5000))
        #expect(server.verdict(at: at(5000)) == .ping(nonce: 1))
        server.heard(at: at(5900))
        #expect(server.code(at: justBefore(at(6000))) == nil)
        #expect(server.code(at: at(6000)) == .slowReader)
        server.wrote(any: true, waiting: false, at: at(6000))
        #expect(server.code(at: justBefore(at(6100))) == nil)
        #expect(server.code(at: at(6100)) == .frameTimeout)
    }

    @Test("5.11-2 What does not run is not started by lateness")
    func nothingStarted() {
        var server = welcomedServer()
        server.resumed(at: at(5000))
        _ = server.verdict(at: at(5000))
        server.heard(at: at(5500))
        #expect(server.deadline == at(6000))
        #expect(server.verdict(at: at(6000)) == .ping(nonce: 2))
    }

    @Test("5.11-3 After the end of the stream no PING is sent for it")
    func ended() {
        var server = welcomedServer()
        server.ended()
        server.wrote(any: false, waiting: true, at: at(0))
        server.resumed(at: at(5000))
        #expect(server.verdict(at: at(5000)) == .fine)
        #expect(server.deadline == at(6000))
        #expect(server.code(at: at(6000)) == .slowReader)
    }

    @Test("5.11-3 After its end a client that was late sends no PING, and has no deadline but the slow reader's")
    func endedClient() {
        var client = welcomedClient()
        client.ended()
        client.wrote(any: false, waiting: true, at: at(0))
        client.resumed(at: at(5000))
        #expect(client.judge(at: at(5000)) == .fine)
        client.wrote(any: true, waiting: true, at: at(5500))
        #expect(client.deadline == at(6500))
        #expect(client.code(at: at(6500)) == .slowReader)
    }

    @Test("5.11-2, 5.11-3 A client that was late grants the round trip, too, and sends one PING")
    func client() {
        var client = welcomedClient([0, 1])
        #expect(client.ping(at: at(0)) != nil)
        client.resumed(at: at(5000))
        #expect(client.judge(at: at(5000)) == .ping(nonce: 2))
        #expect(client.judge(at: at(5000)) == .fine)
        client.heard(at: at(5300))
        #expect(client.ping(at: at(5300)) != nil)
        #expect(client.judge(at: justBefore(at(5500))) == .fine)
        #expect(client.judge(at: at(5500)) == .beatLate, "a late beat is counted anew")
        client.heard(at: at(5999))
        #expect(client.ping(at: at(5600)) != nil)
        #expect(client.ping(at: at(5900)) != nil)
        #expect(client.code(at: justBefore(at(6000))) == nil)
        #expect(client.code(at: at(6000)) == .noRoundTrip)
    }

    @Test("5.11-2 A client that was late before its first PING drops nobody")
    func beforeFirst() {
        var client = welcomedClient([0.5, 1])
        client.resumed(at: at(9000))
        #expect(client.judge(at: at(9000)) == .ping(nonce: 1))
        #expect(client.judge(at: at(9000)) == .fine)
        #expect(client.deadline == at(9300))
    }

    @Test("5.11-2 A late beat that was told before is told again after the grant")
    func lateBeatAgain() {
        var client = welcomedClient([0, 1])
        #expect(client.ping(at: at(0)) != nil)
        #expect(client.ping(at: at(300)) != nil)
        client.heard(at: at(500))
        #expect(client.judge(at: at(500)) == .beatLate)
        client.resumed(at: at(8000))
        #expect(client.ping(at: at(8000)) != nil)
        #expect(client.ping(at: at(8300)) != nil)
        client.heard(at: at(8500))
        #expect(client.judge(at: at(8500)) == .beatLate)
    }

    @Test("5.11 A side that wakes early, for bytes or signals, is not late")
    func early() {
        var server = welcomedServer()
        for moment in stride(from: 1.0, to: 499, by: 7) {
            server.resumed(at: at(moment))
            #expect(server.verdict(at: at(moment)) == .fine)
        }
        #expect(server.deadline == at(500))
    }
}
