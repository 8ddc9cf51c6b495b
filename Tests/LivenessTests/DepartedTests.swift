import Basics
import Framing
import Liveness
import Testing

@Suite("A peer that nothing is expected of")
struct DepartedTests {
    @Test("5.9 A frame begun behind the end has no deadline, and does not hide that nothing is read")
    func unfinishedFrame() {
        let start = Instant(sinceStart: .seconds(1))
        var liveness = ServerHeartbeat(acceptedAt: start, handshakeTimeout: .seconds(2))
        liveness.welcomed(Heartbeat(pingEvery: .milliseconds(300), deadAfter: .seconds(1)), at: start)
        liveness.ended()
        liveness.frame(3, unfinishedLength: 0, at: start)
        #expect(liveness.deadline == nil)
        liveness.wrote(any: false, waiting: true, at: start + .milliseconds(500))
        #expect(liveness.deadline == start + .milliseconds(1500))
        guard case .drop(let violation) = liveness.verdict(at: start + .milliseconds(1500)) else {
            Issue.record("it is not dropped")
            return
        }
        #expect(violation.code == .slowReader)
    }
}
