import Basics
import Testing

@testable import LifelineServer

@Suite("How many shared processes there are, and which gets a connection")
struct ProcessSizingTests {
    private func at(_ milliseconds: Int) -> Instant {
        Instant(sinceStart: .seconds(1000) + .milliseconds(milliseconds))
    }
    private func sizing(_ most: Int, _ ahead: PoolSize? = nil, maxAge: Duration? = nil) -> ProcessSizing {
        ProcessSizing(most: most, ahead: ahead, maxAge: maxAge)
    }

    @Test(
        "As many get connections as are three quarters full with all of them, and as many as were forked ahead at least"
    )
    func wanted() {
        let alone = sizing(100)
        #expect([0, 1, 75, 76, 150, 151, 100_000].map(alone.wanted) == [1, 1, 1, 2, 2, 3, 1334])
        #expect([0, 1, 225, 226].map(sizing(100, PoolSize(3)).wanted) == [3, 3, 3, 4])
        #expect([1, 2, 3, 4].map(sizing(2).wanted) == [1, 2, 2, 3])
    }

    @Test("Without a pool none is forked ahead; with one the least at once, and one where a quarter of one is left")
    func missing() {
        var alone = sizing(100)
        #expect(missing(&alone, 0, 0, at(0)) == 0)
        #expect(missing(&alone, 1, 100, at(0)) == 0)
        var pool = sizing(100, PoolSize(least: 2, most: 4))
        #expect(missing(&pool, 0, 0, at(0)) == 2)
        #expect(missing(&pool, 1, 90, at(0)) == 1)
        #expect(missing(&pool, 2, 174, at(0)) == 0)
        #expect(missing(&pool, 2, 175, at(0)) == 1)
        #expect(
            missing(&pool, 4, 400, at(0)) == 0, "those beyond the most wait for their clients"
        )
    }

    @Test("The next one forked ahead waits after a failure, twice as long each time, until one has served")
    func pauses() {
        var pool = sizing(10, PoolSize(2))
        var now = at(0)
        for pause in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            pool.pause.failed(at: now)
            pool.pause.failed(at: now)
            let due = now + .milliseconds(pause)
            #expect(pool.pause.until == due)
            #expect(missing(&pool, 0, 0, due + .nanoseconds(-1)) == 0)
            #expect(missing(&pool, 0, 0, due) == 2 && pool.pause.until == nil)
            now = due
        }
        pool.pause.served()
        pool.pause.failed(at: now)
        #expect(pool.pause.until == now + .milliseconds(100))
    }

    @Test("Of two with the same connections the idler one has more room; a full loop counts as a full process")
    func score() {
        let sizing = sizing(1000)
        #expect(sizing.score(connections: 10, load: 0) < sizing.score(connections: 10, load: 1))
        #expect(sizing.score(connections: 999, load: 0) < sizing.score(connections: 0, load: 1000))
        #expect(sizing.score(connections: 0, load: 0) < sizing.score(connections: 1, load: 0))
    }

    @Test("One leaves when it was empty for 10 s and others are enough, and at its greatest age less up to a tenth")
    func leaving() {
        let alone = sizing(10), pool = sizing(10, PoolSize(2))
        #expect(!alone.isSurplus(emptySince: at(0), processes: 1, at: at(9_999)))
        #expect(alone.isSurplus(emptySince: at(0), processes: 1, at: at(10_000)))
        #expect(!pool.isSurplus(emptySince: at(0), processes: 2, at: at(10_000)))
        #expect(pool.isSurplus(emptySince: at(0), processes: 3, at: at(10_000)))
        #expect(alone.leavesAt(startedAt: at(0), random: 0.5) == nil)
        let aging = sizing(10, maxAge: .seconds(100))
        #expect(aging.leavesAt(startedAt: at(0), random: 0) == at(100_000))
        #expect(aging.leavesAt(startedAt: at(0), random: 0.5) == at(95_000))
    }

    private func missing(
        _ sizing: inout ProcessSizing, _ processes: Int, _ connections: Int, _ now: Instant
    ) -> Int {
        sizing.missing(processes: processes, connections: connections, at: now)
    }

    // MARK: Delivery

    private func takes(_ watch: inout DeliveryWatch, _ taken: UInt32, _ now: Instant) -> Bool {
        watch.takes(taken, at: now)
    }

    @Test("A process that has taken nothing for a second, though something is there, gets no connection until it does")
    func stuck() {
        var watch = DeliveryWatch(at: at(0))
        #expect(takes(&watch, 0, at(100_000)), "there was nothing to take")
        watch.sent(3, taken: 0, at: at(100_000))
        #expect(takes(&watch, 0, at(100_999)))
        #expect(!takes(&watch, 0, at(101_000)))
        #expect(takes(&watch, 1, at(102_000)), "it goes on")
        #expect(takes(&watch, 1, at(102_999)) && !takes(&watch, 1, at(103_000)))
        #expect(takes(&watch, 3, at(200_000)) && takes(&watch, 3, at(300_000)))
    }

    @Test("A stream of connections to a process that takes them is no sign of one that is stuck")
    func stream() {
        var watch = DeliveryWatch(at: at(0))
        for second in 0..<100 {
            watch.sent(10, taken: UInt32(second * 10), at: at(second * 900))
            #expect(takes(&watch, UInt32(second * 10 + 1), at(second * 900 + 800)))
        }
    }

    @Test("The count of those taken goes round, and a full channel is a pause")
    func roundAndFull() {
        var watch = DeliveryWatch(at: at(0))
        watch.clogged(at: at(0))
        #expect(!takes(&watch, 0, at(99)) && takes(&watch, 0, at(100)))
        watch.clogged(at: at(100))
        watch.sent(1, taken: 0, at: at(101))
        #expect(takes(&watch, 0, at(102)), "there was room again")
        var old = DeliveryWatch(at: at(0))
        old.sent(Int(UInt32.max), taken: 0, at: at(0))
        #expect(takes(&old, .max, at(5000)))
        old.sent(2, taken: .max, at: at(5000))
        #expect(takes(&old, 1, at(9000)))
    }
}
