import Testing

@testable import LifelineServer

@Suite("Turns: whether and how long a child looks for more before it waits")
struct TurnsTests {
    private static let alone = Duration.microseconds(1)
    private static let short = BusyPolling.longest.upperBound
    private static let late = BusyPolling.longest.upperBound
    private static let crowd = 100

    /// What it does `times` times in a row: how many looks there were, of which the last brought something where
    /// `brings` says so, or none and a wait of `wait`.
    private func ask(
        _ turns: inout BusyPolling, times: Int, brings: Bool, look: Duration = alone, wait: Duration = short,
        among connections: Int = crowd
    ) -> [Int] {
        (0..<times).map { _ in
            guard turns.shouldBusyPoll(among: connections) else {
                turns.waited(for: wait)
                return 0
            }
            var looks = 1
            while turns.polled(brings, for: look) { looks += 1 }
            if !brings { turns.waited(for: wait) }
            return looks
        }
    }

    private let tries = [Int](repeating: 1, count: BusyPolling.patience)

    @Test("As long as the first look pays, it waits after every 16 answers alone")
    func pays() {
        var turns = BusyPolling()
        let row = [Int](repeating: 1, count: BusyPolling.most) + [0]
        #expect(ask(&turns, times: 3 * row.count, brings: true) == row + row + row)
    }

    @Test("After 16 that brought nothing, 64 looks are tried after 8 short waits, then 16 and so on to 1,024")
    func doesNotPay() {
        var turns = BusyPolling()
        let asked = ask(&turns, times: 4000, brings: false)
        #expect(Array(asked.prefix(BusyPolling.patience)) == tries)
        let found = asked.indices.filter { asked[$0] == BusyPolling.mostReads }
        #expect(asked.allSatisfy { [0, 1, BusyPolling.mostReads].contains($0) })
        // Each miss is followed by a wait, so the one behind the last look counts too.
        #expect(zip(found.dropFirst(), found).map { $0 - $1 } == [16, 32, 64, 128, 256, 512, 1024, 1024])
        #expect(found.first == BusyPolling.patience + BusyPolling.rest.lowerBound - 1)
    }

    @Test("One wait of more than 4 ms, and nothing is tried before 8 short ones more")
    func thinks() {
        var turns = BusyPolling()
        #expect(ask(&turns, times: BusyPolling.patience, brings: false) == tries)
        let pause = TurnsTests.short + .microseconds(1)
        #expect(ask(&turns, times: 10_000, brings: false, wait: pause).allSatisfy { $0 == 0 })
        #expect(ask(&turns, times: BusyPolling.rest.lowerBound, brings: false).allSatisfy { $0 == 0 })
        #expect(ask(&turns, times: 1, brings: false) == [BusyPolling.mostReads])
    }

    @Test("Where 64 looks found something, 16 times nothing may be found by as many")
    func paysAgain() {
        var turns = BusyPolling()
        _ = ask(&turns, times: BusyPolling.patience + BusyPolling.rest.lowerBound - 1, brings: false)
        #expect(ask(&turns, times: 1, brings: true) == [1])
        let asked = ask(&turns, times: BusyPolling.patience + 1, brings: false)
        #expect(asked == [Int](repeating: BusyPolling.mostReads, count: BusyPolling.patience) + [0])
    }

    @Test("What is found allows twice as many looks the next time, up to 64")
    func grows() {
        var turns = BusyPolling()
        for allowed in [2, 4, 8, 16, 32, 64, 64] {
            #expect(ask(&turns, times: 1, brings: true) == [1])
            #expect(ask(&turns, times: 1, brings: false) == [allowed])
        }
    }

    @Test("A turn is late after 40 us for each connection, but not before 250 us, and always after 4 ms")
    func longest() {
        #expect([0, 1, 6].allSatisfy { BusyPolling.longest(among: $0) == .microseconds(250) })
        #expect(BusyPolling.longest(among: 7) == .microseconds(280))
        #expect(BusyPolling.longest(among: 32) == .microseconds(1280))
        #expect(BusyPolling.longest(among: 99) == .microseconds(3960))
        #expect([100, 101, 1001, .max].allSatisfy { BusyPolling.longest(among: $0) == .milliseconds(4) })
    }

    @Test("The first late turn ends the first try, and each that follows: after 16, 64, 256 and 1,024 short waits")
    func late() {
        for connections in [1, 32, 256] {
            var turns = BusyPolling()
            let look = BusyPolling.longest(among: connections)
            let asked = ask(&turns, times: 4000, brings: true, look: look, among: connections)
            #expect(asked.allSatisfy { $0 <= 1 })
            let found = asked.indices.filter { asked[$0] > 0 }
            #expect(zip(found.dropFirst(), found).map { $0 - $1 } == [17, 65, 257, 1025, 1025, 1025])
            #expect(found.first == 0)
        }
    }

    @Test("A turn that is late among 32 is in time among 256")
    func crowd() {
        for (connections, polls) in [(32, 1), (256, BusyPolling.most)] {
            var turns = BusyPolling()
            let asked = ask(&turns, times: 17, brings: true, look: .milliseconds(2), among: connections)
            #expect(asked.reduce(0, +) == polls)
        }
    }

    @Test("Twelve turns in time after a try, and rests begin anew; eleven are not enough")
    func proved() {
        for (timely, rest) in [(11, 64), (12, 16)] {
            var turns = BusyPolling()
            #expect(ask(&turns, times: 1, brings: true, look: TurnsTests.late) == [1])
            #expect(ask(&turns, times: 16, brings: true).allSatisfy { $0 == 0 })
            #expect(ask(&turns, times: timely, brings: true).allSatisfy { $0 == 1 })
            while ask(&turns, times: 1, brings: true, look: TurnsTests.late) == [1] {}
            // The wait that ended the row of late ones counts.
            let resting = ask(&turns, times: 100, brings: true).prefix { $0 == 0 }.count + 1
            #expect(resting == rest)
        }
    }

    @Test("One late turn in five is borne, one in four is not")
    func doubt() {
        for (every, isBorne) in [(5, true), (4, false)] {
            var turns = BusyPolling()
            _ = ask(&turns, times: 17, brings: true)
            var polls = 0
            for turn in 1...400 where turns.shouldBusyPoll(among: TurnsTests.crowd) {
                _ = turns.polled(true, for: turn % every == 0 ? TurnsTests.late : TurnsTests.alone)
                polls += 1
            }
            #expect(isBorne ? polls > 370 : polls < 100)
        }
    }

    @Test("However many come too late among those that come in time, it waits at the latest after 16 answers")
    func mixed() {
        var turns = BusyPolling()
        var row = 0
        var longest = 0
        for answer in 0..<1000 {
            if turns.shouldBusyPoll(among: TurnsTests.crowd) {
                _ = turns.polled(true, for: answer % 16 == 15 ? TurnsTests.late : TurnsTests.alone)
                row += 1
                longest = max(longest, row)
            } else {
                turns.waited(for: TurnsTests.short)
                row = 0
            }
        }
        #expect(longest == BusyPolling.most)
    }

    @Test("Looks before which others ran are four at most, and none comes later than 4 ms")
    func othersRun() {
        var turns = BusyPolling()
        _ = ask(&turns, times: 8, brings: true)
        #expect(ask(&turns, times: 1, brings: false, look: .microseconds(6)) == [4])
        #expect(ask(&turns, times: 1, brings: false, look: .milliseconds(2)) == [2])
        #expect(ask(&turns, times: 1, brings: false, look: .milliseconds(30)) == [1])
    }
}
