import Basics
import Testing

@testable import LifelineServer

@Suite("What the parent decides")
struct DecisionTests {
    @Test("After accept failed it is tried again after 100 ms, each time")
    func acceptFailed() {
        var pause = AcceptBackoff()
        #expect(!isOn(&pause, 0))
        for start in [0.0, 100, 5000] {
            pause.acceptFailed(at: at(start))
            #expect(pause.until == at(start + 100))
            #expect(isOn(&pause, start + 99.999) && !isOn(&pause, start + 100))
            #expect(pause.until == nil)
        }
    }

    @Test("After fork failed the pause doubles from 100 ms to 1 s, until one succeeds")
    func forkFailed() {
        var pause = AcceptBackoff()
        for _ in 0..<2 {
            var now = 0.0
            for length in [100.0, 200, 400, 800, 1000, 1000] {
                pause.forkFailed(at: at(now))
                #expect(isOn(&pause, now + length - 0.001) && !isOn(&pause, now + length))
                now += length
            }
            pause.forked()
        }
    }

    private func isOn(_ pause: inout AcceptBackoff, _ moment: Double) -> Bool { pause.isOn(at: at(moment)) }

    @Test("A level is logged with all that are graver")
    func levels() {
        #expect(LogLevel.allCases == LogLevel.allCases.sorted())
        #expect(LogLevel.error < .warning && LogLevel.warning < .info && LogLevel.info < .debug)
    }
}
