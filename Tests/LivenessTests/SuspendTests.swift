import Basics
import Framing
import Testing

@testable import Liveness

@Suite("5.11 Suspend")
struct SuspendTests {
    @Test("5.11-4 A server whose machine was suspended grants one dead_after and sends one PING, though nothing is due")
    func server() {
        var server = welcomedServer()
        server.restart(at: at(400))
        #expect(server.verdict(at: at(400)) == .ping(nonce: 1))
        #expect(server.verdict(at: at(400)) == .fine)
        #expect(server.code(at: justBefore(at(1400))) == nil)
        #expect(server.code(at: at(1400)) == .silent)
    }

    @Test("5.11-4 A client whose machine was suspended grants the round trip, too, and sends one PING")
    func client() {
        var client = welcomedClient([0, 1])
        #expect(client.ping(at: at(0)) != nil)
        client.restart(at: at(100))
        #expect(client.judge(at: at(100)) == .ping(nonce: 2))
        #expect(client.judge(at: at(100)) == .fine)
        #expect(client.ping(at: at(400)) != nil)
        #expect(client.judge(at: at(600)) == .beatLate)
        #expect(client.ping(at: at(700)) != nil)
        client.heard(at: at(1050))
        #expect(client.ping(at: at(1050)) != nil)
        #expect(client.code(at: justBefore(at(1100))) == nil)
        #expect(client.code(at: at(1100)) == .noRoundTrip)
    }

    @Test("5.8-3 The handshake's deadline stays, and nothing is sent before WELCOME")
    func handshake() {
        var server = ServerHeartbeat(acceptedAt: at(0), handshakeTimeout: .seconds(10))
        server.restart(at: at(9000))
        #expect(server.verdict(at: at(9000)) == .fine)
        #expect(server.deadline == at(10_000))
        #expect(server.code(at: at(10_000)) == .handshakeTimeout)
        var client = ClientHeartbeat(connectedAt: at(0), handshakeTimeout: .seconds(10))
        client.restart(at: at(9000))
        #expect(client.judge(at: at(9000)) == .fine)
        #expect(client.code(at: at(10_000)) == .handshakeTimeout)
    }

    @Test("5.11-3 After the end of the stream no PING is sent for it")
    func ended() {
        var server = welcomedServer()
        server.ended()
        server.restart(at: at(400))
        #expect(server.verdict(at: at(400)) == .fine)
        var client = welcomedClient()
        client.ended()
        client.restart(at: at(400))
        #expect(client.judge(at: at(400)) == .fine)
    }
}

@Suite("How long the machine was suspended")
struct SuspendMeterTests {
    /// A reading of which each part takes a time, in milliseconds.
    private func reading(_ monotonic: Int64, suspended: Int64, _ first: Int64 = 0, _ second: Int64 = 0)
        -> SuspendMeter.Reading
    {
        SuspendMeter.Reading(
            before: .milliseconds(monotonic), sleepless: .milliseconds(monotonic + first + suspended),
            after: .milliseconds(monotonic + first + second))
    }

    @Test("Clocks that go on together are no suspend, whatever the second one began with")
    func none() {
        for lead: Int64 in [-90_000, 0, 5, 7_000_000] {
            var meter = SuspendMeter(reading(0, suspended: lead))
            for moment: Int64 in [1, 2, 50, 9_000_000_000] {
                #expect(meter.suspended(reading(moment, suspended: lead)) == nil)
            }
        }
    }

    @Test("A suspend is told once, with its time, and so is the next")
    func told() {
        var meter = SuspendMeter(reading(100, suspended: 5))
        #expect(meter.suspended(reading(200, suspended: 3_600_005)) == .seconds(3600))
        #expect(meter.suspended(reading(300, suspended: 3_600_005)) == nil)
        #expect(meter.suspended(reading(300, suspended: 3_600_105)) == .milliseconds(100))
        #expect(meter.suspended(reading(400, suspended: 3_600_105)) == nil)
    }

    @Test("What passes between the reads is never taken for a suspend, before and after one")
    func between() {
        for (first, second) in [(0, 0), (400, 0), (0, 400), (30, 900)] as [(Int64, Int64)] {
            var meter = SuspendMeter(reading(0, suspended: 7, first, second))
            for moment: Int64 in [2000, 4000] {
                #expect(meter.suspended(reading(moment, suspended: 7, second, first)) == nil)
            }
            let told = meter.suspended(reading(6000, suspended: 5007, first, second))
            #expect(told.map { $0 <= .seconds(5) && $0 >= .seconds(5) - .milliseconds(1300) } == true)
            #expect(meter.suspended(reading(9000, suspended: 5007)) == nil)
        }
    }
}
