import Basics
import Testing

@testable import LifelineServer

private func instant(_ milliseconds: Int) -> Instant { Instant(sinceStart: .milliseconds(milliseconds)) }

@Suite struct SharedLoopTests {
    @Test func timersFireInTheirOrder() {
        var timers = TimerQueue()
        for (number, milliseconds) in [50, 20, 90, 10, 70, 20].enumerated() {
            timers.set(number, at: instant(milliseconds))
        }
        #expect(timers.first == instant(10))
        #expect(takeDue(&timers, instant(9)) == nil)
        var fired: [Int] = []
        while let number = takeDue(&timers, instant(60)) { fired.append(number) }
        #expect(fired.first == 3 && Set(fired[1...2]) == [1, 5] && fired.last == 0)
        #expect(timers.first == instant(70) && timers.count == 2)
    }

    @Test func aTimerMovesBothWays() {
        var timers = TimerQueue()
        for number in 0..<100 { timers.set(number, at: instant(1000 + number)) }
        timers.set(99, at: instant(5))
        #expect(takeDue(&timers, instant(10)) == 99)
        timers.set(0, at: instant(5000))
        #expect(timers.first == instant(1001))
        timers.remove(1)
        timers.remove(1)
        timers.remove(500)
        #expect(timers.first == instant(1002) && timers.count == 98)
    }

    @Test func timersAgreeWithASortedList() {
        var timers = TimerQueue()
        var expected: [Int: Int] = [:]
        var random = SystemRandomNumberGenerator()
        for step in 0..<20_000 {
            let number = Int.random(in: 0..<200, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                timers.remove(number)
                expected[number] = nil
            case 1:
                let now = step / 10
                while let due = takeDue(&timers, instant(now)) {
                    #expect(expected[due].map { $0 <= now } ?? false, "step \(step)")
                    expected[due] = nil
                }
                #expect(!expected.values.contains { $0 <= now }, "step \(step)")
            default:
                let at = step / 10 + Int.random(in: 0..<300, using: &random)
                timers.set(number, at: instant(at))
                expected[number] = at
            }
            #expect(
                timers.count == expected.count && timers.first == expected.values.min().map(instant), "step \(step)")
        }
    }

    @Test func aWaitIsRoundedUpToNanoseconds() {
        let start = Instant(sinceStart: .seconds(100))
        let most: Int64 = 1_000_000_000_000
        #expect(start.nanoseconds(until: start, most: most) == 0)
        #expect(start.nanoseconds(until: start + .seconds(-1), most: most) == 0)
        #expect(start.nanoseconds(until: start + Duration(attoseconds: 1), most: most) == 1)
        #expect(start.nanoseconds(until: start + .nanoseconds(7), most: most) == 7)
        #expect(start.nanoseconds(until: start + .seconds(999), most: most) == 999_000_000_000)
        #expect(start.nanoseconds(until: start + .seconds(100_000), most: most) == most)
        for _ in 0..<1000 {
            let left = Duration(attoseconds: Int128(UInt64.random(in: 0...(.max))))
            let wait = start.nanoseconds(until: start + left, most: most)
            #expect(Duration.nanoseconds(wait) >= left && Duration.nanoseconds(wait - 2) < left)
        }
    }

    @Test func theLoadIsTheTimeThatTheLoopDidNotWait() {
        var load = LoopLoad(at: instant(0))
        #expect(load.deadline == nil && !load.isDue(at: instant(249)) && load.isDue(at: instant(250)))
        load.waited(from: instant(10), to: instant(210))
        load.waited(from: instant(300), to: instant(400))
        load.update(at: instant(500))
        #expect(load.figure == 400)
        // A loop that sleeps wakes once more, to say so.
        #expect(load.deadline == instant(1500))
        load.waited(from: instant(500), to: instant(1500))
        load.update(at: instant(1500))
        #expect(load.figure == 0 && load.deadline == nil)
    }

    @Test func inboxesAreReadAtOnceAndThenNotTooOften() {
        var house = LoopHousekeeping()
        #expect(house.deadline == nil && !takeCall(&house, instant(1000)))
        house.isCalled = true
        #expect(house.deadline.map { $0 <= instant(1000) } ?? false)
        #expect(takeCall(&house, instant(1000)))
        house.isCalled = true
        #expect(house.deadline == instant(1005) && !takeCall(&house, instant(1004)))
        #expect(takeCall(&house, instant(1005)) && house.deadline == nil)
    }

    @Test func memoryIsGivenBackForAllConnectionsTogether() {
        var house = LoopHousekeeping()
        house.hasFreeMemory = true
        #expect(takeRelease(&house, instant(1000)))
        house.hasFreeMemory = true
        #expect(!takeRelease(&house, instant(5999)) && house.deadline == instant(6000))
        #expect(takeRelease(&house, instant(6000)) && !takeRelease(&house, instant(20000)))
    }

    // A macro cannot change what it looks at.
    private func takeDue(_ timers: inout TimerQueue, _ now: Instant) -> Int? { timers.takeDue(at: now) }
    private func takeCall(_ house: inout LoopHousekeeping, _ now: Instant) -> Bool { house.takeCall(at: now) }
    private func takeRelease(_ house: inout LoopHousekeeping, _ now: Instant) -> Bool { house.takeRelease(at: now) }
}
