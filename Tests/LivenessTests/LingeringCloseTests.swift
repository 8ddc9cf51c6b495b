import Basics
import Testing

@testable import Liveness

@Suite("7.1-3 Reading on after CLOSE")
struct LingeringCloseTests {
    private func lingering(deadAfter: Duration?) -> LingeringClose {
        var close = LingeringClose.orderly(peerIsDone: false, deadAfter: deadAfter)
        close.flushed(at: at(0))
        return close
    }

    @Test("Without bytes on their way it is over after a second")
    func nothingOnItsWay() {
        var close = lingering(deadAfter: .seconds(5))
        #expect(!close.mayExtend(at: justBefore(at(1000))) && close.mayExtend(at: at(1000)))
        close.extend(unacknowledged: 0, at: at(1000))
        close.resumed(at: at(1000))
        #expect(close.isOver)
    }

    @Test("It goes on while the path carries bytes, and a second after the last")
    func slowPath() {
        var close = lingering(deadAfter: .seconds(5))
        for step in 1...20 {
            let now = at(Double(step) * 1000)
            close.extend(unacknowledged: 21_000 - step * 1000, at: now)
            close.resumed(at: now)
            #expect(!close.isOver)
            #expect(close.deadline == at(Double(step + 1) * 1000))
        }
        close.extend(unacknowledged: 0, at: at(21_000))
        close.resumed(at: at(21_000))
        #expect(close.isOver)
    }

    @Test("A path that carries nothing for dead_after, or for three seconds, ends it", arguments: [(2, 3), (30, 4)])
    func deadPath(_ deadAfter: Int, _ end: Double) {
        var close = lingering(deadAfter: .seconds(deadAfter))
        var ended: Double?
        for step in 1...20 where ended == nil {
            let now = at(Double(step) * 1000)
            close.extend(unacknowledged: 4000, at: now)
            close.resumed(at: now)
            if close.isOver { ended = Double(step) }
        }
        #expect(ended == end)
    }

    @Test("The peer's end ends it at once; a drop waits for no path")
    func ends() {
        var close = lingering(deadAfter: .seconds(5))
        close.extend(unacknowledged: 4000, at: at(1000))
        close.peerEnded()
        #expect(close.isOver)
        var drop = LingeringClose.drop(at: at(0), peerIsDone: false)
        drop.flushed(at: at(0))
        #expect(!drop.mayExtend(at: at(1000)))
        drop.extend(unacknowledged: 4000, at: at(1000))
        drop.resumed(at: at(1000))
        #expect(drop.isOver)
    }
}
