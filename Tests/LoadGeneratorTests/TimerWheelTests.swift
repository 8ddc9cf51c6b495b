import Basics
import Testing

@testable import LoadGenerator

@Suite("The wheel of deadlines") struct TimerWheelTests {
    /// The most that a deadline is late: a slot of the wheel.
    private let slot = Nanoseconds(1 << 20)

    @Test(
        "Every deadline comes, never early, and within a slot where nobody is late; far ones may come early and often")
    func model() {
        var random = SeededRandom(seed: 11)
        var now = Nanoseconds(123_456_789_000)
        var timers = TimerWheel(count: 100, at: now, slots: 4096)
        var deadlines: [Int: Nanoseconds] = [:]
        var setAt: [Int: Nanoseconds] = [:]
        var woken = 0
        for _ in 0..<20_000 {
            let index = Int(random.next() % 100)
            if random.share() < 0.3 {
                let most: UInt64 = random.share() < 0.7 ? 40_000_000 : 9_000_000_000
                let deadline = now + Nanoseconds(Int64(random.next() % most))
                timers.set(index, deadline)
                deadlines[index] = deadline
                setAt[index] = now
            } else if random.share() < 0.1 {
                timers.remove(index)
                deadlines[index] = nil
            }
            let next = timers.nextExpiry
            #expect((next == .never) == deadlines.isEmpty)
            // Now to that instant, and now beyond it.
            let step = now + Nanoseconds(Int64(random.next() % 3_000_000))
            let before = now
            now = max(now, random.share() < 0.5 && next != .never ? min(next, step) : step)
            while let index = timers.popExpired(at: now) {
                woken += 1
                guard let deadline = deadlines[index] else {
                    Issue.record("\(index) has no deadline")
                    return
                }
                if deadline <= now {
                    #expect(deadline + slot > before || deadline > before, "late")
                    deadlines[index] = nil
                } else {
                    let since = setAt.updateValue(now, forKey: index) ?? .zero
                    #expect(now - since > .seconds(4), "early, and not for its distance")
                    timers.set(index, deadline)
                }
            }
            for (_, deadline) in deadlines { #expect(deadline + slot > now, "missed") }
        }
        #expect(woken > 1000)
    }

    @Test("A deadline in the past comes at once, and `never` does not come")
    func edges() {
        let now = Nanoseconds.seconds(5)
        var timers = TimerWheel(count: 3, at: now)
        timers.set(0, .zero)
        timers.set(1, .never)
        let first = timers.popExpired(at: now + slot)
        let second = timers.popExpired(at: now + .seconds(100))
        #expect(first == 0 && second == nil)
        #expect(timers.nextExpiry == .never)
        timers.set(2, now + .seconds(100.5))
        #expect(timers.deadline(of: 2) == now + .seconds(100.5))
        timers.set(2, .never)
        let third = timers.popExpired(at: now + .seconds(200))
        #expect(third == nil)
    }
}
