import Basics
import Testing

@testable import Framing
@testable import LifelineClient

/// A meter, and the outbox of a connection whose frames have 1000 bytes.
private struct Bench {
    var meter = TransferMeter()
    var outbox = Outbox()
    private(set) var lastPing: UInt64 = 0

    init() {
        outbox.setMaxFrame(1000)
        meter.isWatched = true
    }

    /// Queues a request, or a one-way message where the id is 0.
    mutating func send(_ id: UInt32, _ count: Int, at seconds: Double) {
        let message = [UInt8](repeating: 1, count: count)
        outbox.send(id == 0 ? .message : .request, id: id, message[...], cost: count)
        meter.sending(outbox, at: at(seconds))
    }

    /// The kernel accepts up to `count` bytes.
    mutating func write(_ count: Int, at seconds: Double) {
        var rest = count
        while rest > 0, !outbox.isEmpty {
            let part = min(rest, outbox.unsent.count)
            outbox.wrote(part)
            rest -= part
        }
        meter.sending(outbox, at: at(seconds))
    }

    mutating func receive(_ id: UInt32, _ count: Int, first: Bool = false, last: Bool = false, at seconds: Double) {
        meter.received(
            MessagePart(
                type: id == 0 ? .message : .response, id: id, range: 0..<count, isFirst: first, isLast: last),
            at: at(seconds))
    }

    /// PINGs follow the messages; those that a PONG with `answered` answers are proved.
    mutating func ask(answered: UInt64 = 0, at seconds: Double) {
        if answered > 0 { outbox.proved(answered, roundTrip: .milliseconds(100), at: at(seconds)) }
        while outbox.wantsPing {
            lastPing += 1
            outbox.ping(lastPing)
        }
        meter.sending(outbox, at: at(seconds))
    }

    mutating func told(at seconds: Double) -> [TransferProgress] {
        var told: [TransferProgress] = []
        while let progress = meter.next(at: at(seconds)) { told.append(progress) }
        return told
    }
}

@Suite struct TransferMeterTests {
    @Test func whatTakesLessThanASecondIsNotTold() {
        var bench = Bench()
        bench.send(1, 900, at: 0)
        #expect(bench.meter.deadline == nil, "a message of one frame sets no timer")
        bench.write(.max, at: 0.1)
        bench.send(2, 100_000, at: 1)
        #expect(bench.meter.deadline == at(2))
        bench.write(.max, at: 1.9)
        bench.receive(1, 900, first: true, last: true, at: 2)
        bench.receive(2, 900, first: true, at: 2)
        bench.receive(2, 900, last: true, at: 2.9)
        #expect(bench.meter.deadline == nil)
        #expect(bench.told(at: 9) == [])
    }

    @Test func whatIsSentIsToldAfterASecondEachSecondAndAtItsEnd() throws {
        var bench = Bench()
        bench.send(7, 100_000, at: 0)
        bench.write(25_300, at: 0.5)
        #expect(bench.told(at: 0.999) == [])
        let first = try #require(bench.told(at: 1).first)
        #expect(first.direction == .sending && first.request == 7 && first.total == 100_000 && !first.isOver)
        // 25 frames with 12 bytes of header each are gone.
        #expect(abs(first.bytes - 25_000) < 300, "\(first)")
        #expect(first.elapsed == .seconds(1) && first.rate == Double(first.bytes))
        #expect(bench.meter.deadline == at(2) && bench.told(at: 1.9) == [])
        bench.write(25_300, at: 1.5)
        // A loop that wakes late tells once, and goes on from there.
        #expect(bench.told(at: 2.5).count == 1)
        #expect(bench.meter.deadline == at(3.5))
        bench.write(.max, at: 3)
        let last = bench.told(at: 3)
        #expect(last.map(\.isOver) == [true] && last.map(\.bytes) == [100_000])
        #expect(bench.meter.deadline == nil && bench.told(at: 9) == [])
    }

    @Test func theEndIsThatOfTheKernel() throws {
        var bench = Bench()
        bench.send(1, 20_000, at: 0)
        _ = bench.told(at: 1)
        bench.write(10_000, at: 1)
        #expect(bench.outbox.unfinished == nil, "all of it is staged")
        let before = try #require(bench.told(at: 2).first)
        #expect(!before.isOver && before.bytes > 9_000 && before.bytes < 10_100)
        // What is queued behind it changes nothing.
        bench.send(2, 500, at: 2)
        bench.write(10_240, at: 2.5)
        let last = bench.told(at: 2.5)
        #expect(last.map(\.isOver) == [true] && last.map(\.bytes) == [20_000])
    }

    @Test("5.12 In 1.1 a message is where a PONG has proved it, and not where the kernel has it")
    func provedBytesCount() throws {
        var bench = Bench()
        bench.outbox.startWindow(deadAfter: 2000)
        bench.send(1, 20_000, at: 0)
        bench.ask(at: 0)
        bench.write(.max, at: 0.5)
        #expect(bench.outbox.isHeldBack && bench.lastPing > 0)
        #expect(bench.told(at: 1).map(\.bytes) == [0], "no PONG has come")
        var told: [TransferProgress] = []
        for step in 2..<60 where told.last?.isOver != true {
            bench.ask(answered: bench.lastPing, at: Double(step))
            bench.write(.max, at: Double(step))
            told += bench.told(at: Double(step))
        }
        // The first PONG proves some of it. Behind the last bytes there is no PING: that the kernel has them has to do.
        let first = try #require(told.first)
        #expect(!first.isOver && first.bytes > 1000 && first.bytes < 10_000, "\(told)")
        #expect(told.last?.isOver == true && told.last?.bytes == 20_000, "\(told)")
    }

    @Test func aResponseProvesItsRequest() throws {
        var bench = Bench()
        bench.outbox.startWindow(deadAfter: 10000)
        bench.send(1, 9_000, at: 0)
        bench.ask(at: 0)
        bench.write(.max, at: 0)
        #expect(bench.outbox.unfinished == nil && bench.lastPing > 0)
        #expect(bench.told(at: 1).map(\.bytes) == [0])
        bench.meter.answered(2, at: at(1.5))
        #expect(bench.told(at: 1.5).isEmpty)
        bench.meter.answered(1, at: at(1.5))
        #expect(bench.told(at: 1.5).map(\.bytes) == [9_000])
    }

    @Test func theRateIsThatOfTheLastFiveSeconds() throws {
        var bench = Bench()
        bench.receive(1, 600_000, first: true, at: 0)
        #expect(bench.told(at: 1).map(\.rate) == [600_000])
        #expect(bench.told(at: 2).map(\.rate) == [300_000])
        for second in 3...5 { _ = bench.told(at: Double(second)) }
        #expect(bench.told(at: 6).map(\.rate) == [0])
        bench.receive(1, 50_000, at: 6.5)
        #expect(bench.told(at: 7).map(\.rate) == [10_000])
    }

    @Test func whatComesHasNoTotalBeforeItsEnd() {
        var bench = Bench()
        bench.receive(3, 5000, first: true, at: 0)
        bench.receive(3, 5000, at: 1)
        let first = bench.told(at: 1)
        #expect(first.map(\.bytes) == [10_000] && first.map(\.total) == [nil] && first.map(\.request) == [3])
        bench.receive(3, 500, last: true, at: 1.2)
        #expect(bench.meter.deadline ?? at(9) <= at(1.2), "the end is told at once")
        let last = bench.told(at: 1.2)
        #expect(last.map(\.bytes) == [10_500] && last.map(\.total) == [10_500] && last.map(\.isOver) == [true])
    }

    @Test func aResponseThatIsGivenUpIsIncomplete() {
        var bench = Bench()
        bench.receive(3, 5000, first: true, at: 0)
        _ = bench.told(at: 1)
        bench.meter.abandoned(at: at(1.5))
        #expect(bench.told(at: 1.5).map(\.total) == [nil])
        bench.receive(4, 5000, first: true, at: 2)
        bench.meter.abandoned(at: at(2.5))
        #expect(bench.told(at: 9) == [], "it was not told of before")
    }

    @Test func aRequestThatIsCancelledIsIncomplete() throws {
        var bench = Bench()
        bench.send(5, 100_000, at: 0)
        bench.write(30_000, at: 0.5)
        _ = bench.told(at: 1)
        bench.outbox.cancel(5)
        bench.meter.cancelled(4, at: at(1.2))
        #expect(bench.told(at: 1.2) == [])
        bench.meter.cancelled(5, at: at(1.2))
        let last = try #require(bench.told(at: 1.2).first)
        #expect(last.isOver && last.bytes < 31_000 && last.total == 100_000)
        bench.write(.max, at: 2)
        #expect(bench.meter.deadline == nil)
    }

    @Test func oneWayMessagesAreToldApart() {
        var bench = Bench()
        bench.send(0, 50_000, at: 0)
        bench.send(0, 50_000, at: 0)
        bench.write(40_000, at: 0.5)
        #expect(bench.told(at: 1).map(\.request) == [nil])
        bench.write(20_000, at: 1.5)
        let ends = bench.told(at: 1.5)
        #expect(ends.map(\.isOver) == [true] && ends.map(\.bytes) == [50_000])
        // The second one began with the end of the first.
        #expect(bench.meter.deadline == at(2.5))
        bench.write(.max, at: 2.4)
        #expect(bench.told(at: 9) == [])
    }

    @Test func manyMessagesInARowAreNotOneThatTakesLong() {
        var bench = Bench()
        for step in 0..<100 {
            let now = Double(step) / 10
            bench.send(0, 20_000, at: now)
            bench.send(0, 20_000, at: now)
            bench.write(40_480, at: now + 0.05)
            #expect(bench.told(at: now + 0.05) == [])
        }
    }

    @Test func bothDirectionsAreTold() {
        var bench = Bench()
        bench.send(1, 50_000, at: 0)
        bench.receive(0, 100, first: true, at: 0.5)
        #expect(bench.meter.deadline == at(1))
        #expect(bench.told(at: 1).map(\.direction) == [.sending])
        #expect(bench.told(at: 1.5).map(\.direction) == [.receiving])
        let ends = bench.meter.end(at: at(1.7))
        #expect(ends.map(\.direction) == [.sending, .receiving] && ends.allSatisfy(\.isOver))
        #expect(bench.meter.deadline == nil)
    }
}
