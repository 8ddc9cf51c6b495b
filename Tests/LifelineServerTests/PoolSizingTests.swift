import Basics
import Testing

@testable import LifelineServer

@Suite("How many children wait")
struct PoolTests {
    private func pool(_ least: Int, _ most: Int) -> PoolSizing {
        PoolSizing(PoolSize(least: least, most: most), at: at(0))
    }

    @Test("At first as many as the least")
    func start() {
        var pool = pool(4, 32)
        #expect(pool.missing(waiting: 0, all: 0, at: at(0)) == 4)
        #expect(pool.missing(waiting: 3, all: 3, at: at(0)) == 1)
        #expect(pool.missing(waiting: 4, all: 4, at: at(0)) == 0)
        #expect(pool.missing(waiting: 9, all: 9, at: at(0)) == 0)
    }

    @Test("Twice as many after each turn in which none was left, up to the most")
    func grows() {
        var pool = pool(3, 20)
        for expected in [6, 12, 20, 20] {
            for _ in 0..<5 { pool.dequeued(waiting: 0, ranOut: true) }
            #expect(pool.missing(waiting: 0, all: 0, at: at(0)) == expected)
            #expect(pool.missing(waiting: 0, all: 0, at: at(0)) == expected, "doubled once")
            #expect(pool.wanted == expected)
        }
    }

    @Test("The last one that waited being taken is no reason for more")
    func lastOne() {
        var pool = pool(2, 8)
        pool.dequeued(waiting: 0)
        #expect(pool.missing(waiting: 0, all: 2, at: at(0)) == 2 && pool.wanted == 2)
    }

    @Test("Those that serve and may come back count for the most")
    func bound() {
        var pool = pool(4, 8)
        #expect(pool.missing(waiting: 0, all: 6, at: at(0)) == 2)
        #expect(pool.missing(waiting: 0, all: 8, at: at(0)) == 0)
        #expect(pool.missing(waiting: 0, all: 9, at: at(0)) == 0)
    }

    @Test("Every ten seconds half of those leave that nobody needed, down to the least")
    func shrinks() {
        var pool = pool(2, 64)
        for _ in 0..<5 {
            pool.dequeued(waiting: 0, ranOut: true)
            _ = pool.missing(waiting: 0, all: 0, at: at(0))
        }
        #expect(pool.wanted == 64)
        #expect(pool.surplus(waiting: 64, at: at(9_999)) == 0)
        // At one moment of these ten seconds none was left.
        #expect(pool.surplus(waiting: 64, at: at(10_000)) == 0)
        var waiting = 64
        var moment = 10_000.0
        for expected in [32, 16, 8, 4, 2, 0] {
            #expect(pool.surplus(waiting: waiting, at: at(moment + 9_999)) == 0)
            moment += 10_000
            let leaving = pool.surplus(waiting: waiting, at: at(moment))
            #expect(leaving == expected)
            waiting -= leaving
            #expect(pool.wanted == waiting && pool.missing(waiting: waiting, all: waiting, at: at(moment)) == 0)
        }
        #expect(waiting == 2)
    }

    @Test("Those that were needed at one moment stay")
    func needed() {
        var pool = pool(2, 64)
        for _ in 0..<3 {
            pool.dequeued(waiting: 0, ranOut: true)
            _ = pool.missing(waiting: 0, all: 0, at: at(0))
        }
        _ = pool.surplus(waiting: 16, at: at(10_000))
        pool.dequeued(waiting: 4)
        #expect(pool.surplus(waiting: 16, at: at(20_000)) == 2)
        #expect(pool.wanted == 14)
    }

    @Test("Children that die at once are forked again after 100 ms, 200 ms, and so on up to ten seconds")
    func failures() {
        var pool = pool(2, 8)
        var now = 0.0
        for length in [100.0, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            pool.pause.failed(at: at(now))
            // One that died with it changes nothing.
            pool.pause.failed(at: at(now))
            #expect(pool.pause.until == at(now + length))
            #expect(pool.missing(waiting: 0, all: 0, at: at(now + length - 0.001)) == 0)
            #expect(pool.missing(waiting: 0, all: 0, at: at(now + length)) == 2)
            #expect(pool.pause.until == nil)
            now += length
        }
        pool.pause.served()
        pool.pause.failed(at: at(now))
        #expect(pool.pause.until == at(now + 100))
    }

    @Test("A number alone is the least, and eight times as many the most")
    func size() {
        #expect(PoolSize(4) == PoolSize(least: 4, most: 32))
        #expect(PoolSize(4).description == "4:32")
    }

    @Test("Reuse needs a handler that says that it may be, and no limit of processor time")
    func reuse() throws {
        struct Lonely: Handler { func respond(to request: Request) -> Response { Response(request.bytes) } }
        struct Reusable: Handler {
            static let mayBeReused = true
            func respond(to request: Request) -> Response { Response(request.bytes) }
        }
        var options = ServerOptions()
        let lonely = HandlerFactory { Lonely() }.againstReuse
        #expect(lonely == .handler && HandlerFactory { Reusable() }.againstReuse == nil)
        func refusal(_ obstacle: ReuseObstacle?) -> String? {
            do { try options.checkPool(against: obstacle) } catch { return error.description }
            return nil
        }
        #expect(refusal(lonely) == nil)
        options.poolReuse = 2
        // A library ignores it without a pool; a command line does not.
        #expect(refusal(nil) == nil)
        #expect(throws: StartError.self) { try options.checkPool(servesProgram: false) }
        options.pool = PoolSize(2)
        #expect(refusal(nil) == nil)
        #expect(refusal(lonely)?.contains("--pool-reuse 2 is not possible: the handler") == true)
        #expect(throws: StartError.self) { try options.checkPool(servesProgram: true) }
        options.maxCPU = .seconds(1)
        #expect(refusal(nil)?.hasPrefix("--pool-reuse and --max-cpu exclude each other") == true)
        options.poolReuse = 1
        #expect(refusal(lonely) == nil && refusal(.program) == nil)
    }

    @Test("A mark is removed once, by slot or with all")
    func marks() throws {
        var bitmap = try SlotBitmap(200)
        func all() -> [Int] {
            var slots: [Int] = []
            bitmap.removeAll(below: 200) { slots.append($0) }
            return slots
        }
        #expect(all() == [])
        for slot in [199, 0, 63, 64, 5] { bitmap.mark(slot) }
        #expect(bitmap.remove(63))
        #expect(!bitmap.remove(63))
        #expect(all() == [0, 5, 64, 199])
        #expect(all() == [] && !bitmap.remove(0))
        bitmap.mark(0)
        #expect(all() == [0])
    }

    @Test("A mark beyond the last slot is passed over: a child that has gone wild may set any bit")
    func wildMarks() throws {
        var bitmap = try SlotBitmap(3)
        for slot in [1, 3, 60] { bitmap.mark(slot) }
        var slots: [Int] = []
        bitmap.removeAll(below: 3) { slots.append($0) }
        #expect(slots == [1])
    }
}
