import Basics
import Glibc
import Testing

@testable import LifelineServer

@Suite("A flood of one reason is summed up")
final class FloodTests {
    /// Two processes see the same memory; here they are two values.
    private let memory = calloc(LogRateLimiter.buckets, MemoryLayout<LogRateLimiter.Bucket>.stride)!
    private let one: LogRateLimiter
    private let other: LogRateLimiter

    init() {
        let places = memory.bindMemory(to: LogRateLimiter.Bucket.self, capacity: LogRateLimiter.buckets)
        one = LogRateLimiter(in: places)
        other = LogRateLimiter(in: places)
    }

    deinit { free(memory) }

    private func kind(_ reason: String) -> FloodKey {
        FloodKey(level: .warning, event: .closed, reason: reason)
    }

    private func passed(_ flood: LogRateLimiter, _ reason: String, _ times: Int, most: UInt64 = 3, at moment: Double)
        -> Int
    {
        (0..<times).count { _ in flood.happened(kind(reason), most: most, at: at(moment)).mayPass }
    }

    @Test("So many lines go through in five seconds, whichever process writes them; then as many again")
    func window() {
        #expect(passed(one, "a", 2, at: 1000) == 2)
        #expect(passed(other, "a", 5, at: 3000) == 1)
        #expect(passed(one, "a", 1, at: 5999) == 0)
        #expect(passed(other, "a", 5, at: 6000) == 3)
    }

    @Test("One kind does not cost another its lines")
    func kinds() {
        #expect(passed(one, "a", 100, at: 1000) == 3)
        #expect(passed(one, "b", 2, at: 1000) == 2)
        for kind in [
            FloodKey(level: .info, event: .closed, reason: "a"),
            FloodKey(level: .warning, event: .refused, reason: "a"),
        ] {
            #expect(one.happened(kind, most: 3, at: at(1000)).mayPass)
        }
    }

    @Test("The sum is told once, when the five seconds are over, and not where nothing was kept back")
    func sums() {
        _ = passed(one, "SILENT", 815, at: 1000)
        _ = passed(one, "quiet", 3, at: 1000)
        #expect(one.sums(at: at(5999)).isEmpty)
        #expect(other.sums(at: at(6000)) == [LogRateLimiter.Suppressed(kind: kind("SILENT"), count: 812)])
        #expect(one.sums(at: at(6000)).isEmpty && other.sums(at: at(90_000)).isEmpty)
    }

    @Test("Where nobody asks for sums, the first line of the next five seconds brings it along, once")
    func before() {
        _ = passed(one, "a", 10, at: 1000)
        #expect(other.happened(kind("a"), most: 3, at: at(7000)).before == 7)
        #expect(one.happened(kind("a"), most: 3, at: at(7000)).before == 0)
        #expect(one.sums(at: at(20_000)).isEmpty)
    }

    @Test("At the end all sums are told, though their five seconds go on")
    func all() {
        _ = passed(one, "a", 5, at: 1000)
        #expect(one.sums(at: at(1001)).isEmpty)
        #expect(one.sums(at: at(1001), all: true) == [LogRateLimiter.Suppressed(kind: kind("a"), count: 2)])
    }

    @Test("A process whose clock was read a moment earlier does not end the window of another")
    func earlierClock() {
        #expect(passed(one, "a", 3, at: 1000) == 3)
        #expect(passed(other, "a", 1, at: 998) == 0)
    }

    @Test("Kinds without number share the last place, and are counted there")
    func full() {
        for number in 0..<LogRateLimiter.buckets * 3 { _ = passed(one, "kind \(number)", 4, at: 1000) }
        let sums = one.sums(at: at(6000))
        #expect(sums.count == LogRateLimiter.buckets)
        #expect(sums.contains { $0.kind == FloodKey(level: .warning, event: nil, reason: "") })
        // Three of each kind that found a place went through, and three of all the others.
        let suppressed = sums.map(\.count).reduce(0, +)
        #expect(suppressed == UInt64(LogRateLimiter.buckets * 3 * 4 - LogRateLimiter.buckets * 3))
    }

    @Test("A reason that is too long is cut off, and is one kind still")
    func longName() {
        let name = String(repeating: "x", count: 200)
        #expect(passed(one, name, 4, at: 1000) == 3)
        let cut = kind(String(repeating: "x", count: 64))
        #expect(one.sums(at: at(6000)) == [LogRateLimiter.Suppressed(kind: cut, count: 1)])
    }
}
