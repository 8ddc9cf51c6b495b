import Basics
import Framing
import Testing

@testable import Liveness

@Suite("5.7, 5.9 A frame that does not end, and a peer that does not read")
struct FrameTimeoutTests {
    /// Hears a byte every 100 ms up to `end`, so that silence is not judged.
    private func trickle(
        _ server: inout ServerHeartbeat, from start: Double, to end: Double,
        _ tell: (inout ServerHeartbeat, Instant) -> Void
    ) {
        for moment in stride(from: start, through: end, by: 100) {
            server.heard(at: at(moment))
            tell(&server, at(moment))
            #expect(server.verdict(at: at(moment)) == .fine, "at \(moment)")
        }
    }

    @Test("5.7-1 While the header is not whole a frame has dead_after from its first byte")
    func header() {
        var server = welcomedServer()
        trickle(&server, from: 50, to: 1000) { $0.frame(2, unfinishedLength: 0, at: $1) }
        server.heard(at: at(1040))
        server.frame(2, unfinishedLength: 0, at: at(1040))
        #expect(server.deadline == at(1050))
        #expect(server.code(at: justBefore(at(1050))) == nil)
        #expect(server.code(at: at(1050)) == .frameTimeout)
    }

    @Test(
        "5.7-1 With its header it has 1 ms more for each byte of length, from its first byte still",
        arguments: [1, 12, 5000] as [UInt32])
    func payload(length: UInt32) {
        var server = welcomedServer()
        server.heard(at: at(50))
        server.frame(2, unfinishedLength: 0, at: at(50))
        let end = 1050 + Double(length)
        trickle(&server, from: 100, to: end - 0.001) { $0.frame(2, unfinishedLength: length, at: $1) }
        server.heard(at: justBefore(at(end)))
        #expect(server.code(at: justBefore(at(end))) == nil)
        #expect(server.code(at: at(end)) == .frameTimeout)
    }

    @Test("5.7-1 Each frame has a time of its own, and between frames none runs")
    func each() {
        var server = welcomedServer()
        trickle(&server, from: 0, to: 900) { $0.frame(1, unfinishedLength: 0, at: $1) }
        trickle(&server, from: 950, to: 1850) { $0.frame(2, unfinishedLength: 0, at: $1) }
        trickle(&server, from: 1900, to: 9900) { $0.frame(2, unfinishedLength: nil, at: $1) }
        trickle(&server, from: 9950, to: 10_850) { $0.frame(3, unfinishedLength: 0, at: $1) }
        server.heard(at: at(10_900))
        server.frame(3, unfinishedLength: 0, at: at(10_900))
        #expect(server.code(at: at(10_950)) == .frameTimeout)
    }

    @Test("5.7-1 The client watches the frames of the server alike")
    func client() {
        var client = welcomedClient([0.99])
        client.frame(2, unfinishedLength: 10, at: at(0))
        #expect(client.ping(at: at(297)) != nil)
        for moment in stride(from: 300.0, to: 1000, by: 100) {
            client.heard(at: at(moment))
            client.responded(at: at(moment))
            client.frame(2, unfinishedLength: 10, at: at(moment))
        }
        #expect(client.code(at: justBefore(at(1010))) == nil)
        #expect(client.code(at: at(1010)) == .frameTimeout)
    }

    @Test("5.9-1 A peer of which the kernel takes nothing for dead_after is dropped, never earlier")
    func slowReader() {
        var server = welcomedServer()
        server.wrote(any: false, waiting: true, at: at(100))
        trickle(&server, from: 150, to: 1099) { $0.wrote(any: false, waiting: true, at: $1) }
        #expect(server.code(at: justBefore(at(1100))) == nil)
        #expect(server.code(at: at(1100)) == .slowReader)
    }

    @Test("5.9-1 Each byte that the kernel takes starts it anew; where nothing waits it does not run")
    func reading() {
        var server = welcomedServer()
        trickle(&server, from: 0, to: 3000) { $0.wrote(any: true, waiting: true, at: $1) }
        server.wrote(any: true, waiting: false, at: at(3100))
        trickle(&server, from: 3100, to: 9000) { $0.wrote(any: false, waiting: false, at: $1) }
        server.wrote(any: false, waiting: true, at: at(9000))
        trickle(&server, from: 9000, to: 9900) { $0.wrote(any: false, waiting: true, at: $1) }
        server.wrote(any: true, waiting: true, at: at(9950))
        trickle(&server, from: 9950, to: 10_900) { $0.wrote(any: false, waiting: true, at: $1) }
        #expect(server.code(at: justBefore(at(10_950))) == nil)
        #expect(server.code(at: at(10_950)) == .slowReader)
    }

    @Test("5.9-2 Slow reading is judged also after the end of the stream")
    func slowAfterEnd() {
        var server = welcomedServer()
        server.ended()
        server.wrote(any: false, waiting: true, at: at(100))
        #expect(server.deadline == at(1100))
        #expect(server.code(at: justBefore(at(1100))) == nil)
        #expect(server.code(at: at(1100)) == .slowReader)
    }

    @Test("5.9-1 The client watches the server alike")
    func clientSlowReader() {
        var client = welcomedClient([0.99])
        client.wrote(any: false, waiting: true, at: at(0))
        client.heard(at: at(990))
        #expect(client.ping(at: at(297)) != nil)
        client.responded(at: at(990))
        #expect(client.code(at: justBefore(at(1000))) == nil)
        #expect(client.code(at: at(1000)) == .slowReader)
    }
}
