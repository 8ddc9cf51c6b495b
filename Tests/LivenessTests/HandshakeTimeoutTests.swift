import Basics
import Framing
import Testing

@testable import Liveness

@Suite("5.8 Handshake timeout")
struct HandshakeTimeoutTests {
    @Test("5.8-1, 5.8-2 A handshake that is not whole in time is ended then, never earlier")
    func bounds() {
        var server = ServerHeartbeat(acceptedAt: at(500), handshakeTimeout: .milliseconds(200))
        var client = ClientHeartbeat(connectedAt: at(500), handshakeTimeout: .milliseconds(200))
        #expect(server.deadline == at(700) && client.deadline == at(700))
        #expect(server.verdict(at: justBefore(at(700))) == .fine)
        #expect(client.verdict(at: justBefore(at(700))) == .fine)
        #expect(server.code(at: at(700)) == .handshakeTimeout)
        #expect(client.code(at: at(700)) == .handshakeTimeout)
    }

    @Test("5.8-3 No byte puts it off")
    func bytes() {
        var server = ServerHeartbeat(acceptedAt: at(0), handshakeTimeout: .milliseconds(200))
        var client = ClientHeartbeat(connectedAt: at(0), handshakeTimeout: .milliseconds(200))
        for moment in stride(from: 10.0, to: 200, by: 10) {
            server.resumed(at: at(moment))
            server.heard(at: at(moment))
            server.frame(1, unfinishedLength: 20, at: at(moment))
            server.wrote(any: true, waiting: true, at: at(moment))
            client.resumed(at: at(moment))
            client.heard(at: at(moment))
            client.frame(1, unfinishedLength: 36, at: at(moment))
            client.wrote(any: true, waiting: true, at: at(moment))
            #expect(server.deadline == at(200) && client.deadline == at(200))
        }
        #expect(server.code(at: at(200)) == .handshakeTimeout)
        #expect(client.code(at: at(200)) == .handshakeTimeout)
    }

    @Test("5.8-3, 5.11 Own lateness does not start it anew")
    func lateness() {
        var server = ServerHeartbeat(acceptedAt: at(0), handshakeTimeout: .milliseconds(200))
        var client = ClientHeartbeat(connectedAt: at(0), handshakeTimeout: .milliseconds(200))
        server.resumed(at: at(5000))
        client.resumed(at: at(5000))
        #expect(server.code(at: at(5000)) == .handshakeTimeout)
        #expect(client.code(at: at(5000)) == .handshakeTimeout)
    }

    @Test("5.7-2, 5.10 Before the handshake is done neither frames nor buckets are judged")
    func nothingElse() throws {
        var server = ServerHeartbeat(acceptedAt: at(0), handshakeTimeout: .seconds(60))
        server.frame(1, unfinishedLength: 20, at: at(0))
        server.wrote(any: false, waiting: true, at: at(0))
        for _ in 0..<100 { try server.spendToken(for: .cancel, at: at(0)) }
        #expect(server.verdict(at: at(59_999)) == .fine)
        var client = ClientHeartbeat(connectedAt: at(0), handshakeTimeout: .seconds(60))
        client.frame(1, unfinishedLength: 36, at: at(0))
        client.wrote(any: false, waiting: true, at: at(0))
        for _ in 0..<100 { try client.spendToken(for: .cancel, at: at(0)) }
        #expect(client.verdict(at: at(59_999)) == .fine)
    }

    @Test("5.8 Once WELCOME is there it counts no more")
    func welcomed() {
        var server = welcomedServer(Heartbeat(pingEvery: .seconds(10), deadAfter: .seconds(40)))
        #expect(server.verdict(at: at(10_000)) == .fine)
        var client = welcomedClient([0.99], Heartbeat(pingEvery: .seconds(15), deadAfter: .seconds(40)))
        #expect(client.verdict(at: at(10_000)) == .fine)
    }
}
