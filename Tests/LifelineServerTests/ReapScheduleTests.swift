import Basics
import Testing

@testable import LifelineServer

@Suite("When the parent asks which of its children have ended")
struct ReapScheduleTests {
    @Test("A signal alone has its child reaped, and all examined once the rest is over")
    func rest() {
        var schedule = ReapSchedule(at: at(0))
        #expect(schedule.deadline == nil)
        #expect(schedule.takeSignal() == false)
        #expect(schedule.beginExamination(inSweep: false, at: at(1_000_000)) == false, "none has ended")
        #expect(schedule.childSignalled(children: 1000, at: at(1)) == true, "the one that is named")
        #expect(schedule.deadline == at(5), "5 us for each of a thousand")
        #expect(schedule.beginExamination(inSweep: false, at: at(4.999)) == false)
        #expect(schedule.beginExamination(inSweep: false, at: at(5)) == true)
        #expect(schedule.deadline == nil)
        #expect(schedule.beginExamination(inSweep: false, at: at(6)) == false, "none has ended since")
    }

    @Test("Where the rest is over already, the child that is named is not reaped by itself")
    func named() {
        var schedule = ReapSchedule(at: at(0))
        #expect(schedule.childSignalled(children: 10, at: at(100)) == false)
        #expect(schedule.deadline == at(0.05))
        #expect(schedule.beginExamination(inSweep: false, at: at(100)) == true)
        #expect(schedule.childSignalled(children: 1000, at: at(101)) == true)
        #expect(schedule.deadline == at(105))
    }

    @Test("Further signals do not put the examination off")
    func steady() {
        var schedule = ReapSchedule(at: at(0))
        for millisecond in 1...4 {
            #expect(schedule.childSignalled(children: 1000, at: at(Double(millisecond))) == true)
        }
        #expect(
            schedule.childSignalled(children: 100_000, at: at(4.5)) == true, "nor does it when there are more children")
        #expect(schedule.deadline == at(5))
        #expect(schedule.childSignalled(children: 1000, at: at(5)) == false)
    }

    @Test("A sweep examines all, whatever was signalled, and the rest begins anew")
    func sweep() {
        var schedule = ReapSchedule(at: at(0))
        #expect(schedule.beginExamination(inSweep: true, at: at(1000)) == true)
        #expect(schedule.childSignalled(children: 1000, at: at(1001)) == true)
        #expect(schedule.deadline == at(1005))
        #expect(schedule.beginExamination(inSweep: true, at: at(1002)) == true)
        #expect(schedule.deadline == nil)
    }

    @Test("A signal is taken once")
    func signal() {
        var schedule = ReapSchedule(at: at(0))
        _ = schedule.childSignalled(children: 1, at: at(1))
        _ = schedule.childSignalled(children: 1, at: at(1))
        #expect(schedule.takeSignal() == true)
        #expect(schedule.takeSignal() == false)
    }

    @Test("Asking about all takes a hundredth of the time at most, where it costs 50 ns for each child")
    func share() {
        for children in [1, 100, 10_000] {
            var schedule = ReapSchedule(at: at(0))
            var examinations = 0
            for turn in 1...100_000 {
                let now = at(Double(turn) / 100)
                _ = schedule.childSignalled(children: children, at: now)
                if schedule.beginExamination(inSweep: false, at: now) { examinations += 1 }
            }
            let spent = Duration.nanoseconds(50) * children * examinations
            #expect(spent <= .seconds(1) / 100)
        }
    }
}
