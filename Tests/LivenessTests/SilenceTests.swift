import Basics
import Framing
import Testing

@testable import Liveness

@Suite("5.3, 5.5 Silence, and the PINGs of the server")
struct SilenceTests {
    @Test("5.5-1 A side that heard nothing for dead_after drops, never earlier")
    func bounds() {
        var server = welcomedServer()
        var client = welcomedClient([0.99])
        server.heard(at: at(100))
        client.heard(at: at(100))
        #expect(server.code(at: justBefore(at(1100))) == nil)
        #expect(server.code(at: at(1100)) == .silent)
        _ = client.verdict(at: at(297))  // The first PING, so that the round trip is not judged before.
        #expect(client.code(at: justBefore(at(1100))) == nil)
        #expect(client.code(at: at(1100)) == .silent)
    }

    @Test("5.1-1 Before the first byte it counts from WELCOME")
    func fromWelcome() {
        var server = ServerHeartbeat(acceptedAt: at(0), handshakeTimeout: .seconds(10))
        server.welcomed(heartbeat, at: at(400))
        #expect(server.code(at: justBefore(at(1400))) == nil)
        #expect(server.code(at: at(1400)) == .silent)
    }

    @Test("5.1-1 Any byte counts, also of a frame that is not whole")
    func anyByte() {
        var server = welcomedServer()
        for moment in stride(from: 0.0, through: 5000, by: 450) {
            server.heard(at: at(moment))
            server.frame(UInt64(moment), unfinishedLength: 0, at: at(moment))
            #expect(server.verdict(at: at(moment)) == .fine)
        }
    }

    @Test("5.3-1 The server sends a PING at dead_after / 2, never earlier, one for each silence")
    func ping() {
        var server = welcomedServer()
        server.heard(at: at(100))
        #expect(server.deadline == at(600))
        #expect(server.verdict(at: justBefore(at(600))) == .fine)
        #expect(server.verdict(at: at(600)) == .ping(nonce: 1))
        #expect(server.verdict(at: at(600)) == .fine)
        #expect(server.deadline == at(1100), "no second PING in this silence")
        #expect(server.verdict(at: at(1099)) == .fine)
        server.heard(at: at(1099))
        #expect(server.deadline == at(1599))
        #expect(server.verdict(at: at(1599)) == .ping(nonce: 2))
    }

    @Test("5.3-1 A client that answers nothing but the server's PINGs is kept")
    func kept() throws {
        var server = welcomedServer()
        var now = at(0)
        for nonce: UInt64 in 1...1000 {
            now = try #require(server.deadline)
            server.resumed(at: now)
            #expect(server.verdict(at: now) == .ping(nonce: nonce))
            server.pingLeft(nonce, at: now)
            now = now + .milliseconds(400)
            server.resumed(at: now)
            server.heard(at: now)
            try server.ponged(nonce, at: now)
            #expect(server.roundTrip == .milliseconds(400))
            #expect(server.verdict(at: now) == .fine)
        }
    }

    @Test("5.3-1 Bytes put the server's PING off, whatever they are")
    func traffic() {
        var server = welcomedServer()
        for moment in stride(from: 0.0, to: 10_000, by: 499) {
            server.heard(at: at(moment))
            #expect(server.verdict(at: at(moment + 498)) == .fine)
        }
    }

    @Test("5.5-2 After the client's end of stream the server judges neither silence nor frames, and sends no PING")
    func ended() {
        var server = welcomedServer()
        server.frame(2, unfinishedLength: 5, at: at(0))
        server.ended()
        #expect(server.deadline == nil)
        #expect(server.verdict(at: at(1_000_000)) == .fine)
    }

    @Test("5.5-3 A client that expects nothing more judges neither silence nor the round trip, and sends no PING")
    func clientEnded() {
        var client = welcomedClient([0])
        #expect(client.ping(at: at(0)) != nil)
        client.frame(2, unfinishedLength: 5, at: at(0))
        client.ended()
        #expect(client.deadline == nil)
        #expect(client.verdict(at: at(1_000_000)) == .fine)
    }

    @Test("5.5-1 A reason to drop comes before a PING that is due as well")
    func dropFirst() {
        var server = welcomedServer()
        #expect(server.code(at: at(1000)) == .silent)
    }
}
