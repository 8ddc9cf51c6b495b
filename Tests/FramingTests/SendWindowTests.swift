import Basics
import Testing

@testable import Framing

/// A path that carries `rate` bytes in a second behind a first-in, first-out queue, and adds `trip` to each round trip.
private struct Path {
    let rate: Double
    var trip: Double
    var window = SendWindow()
    private(set) var now = 0.0
    /// When the queue will be empty.
    private var emptyAt = 0.0
    /// The PINGs on their way: nonce, when it left, when its PONG comes.
    private var pings: [(nonce: UInt64, left: Double, back: Double)] = []
    private var nonce: UInt64 = 0
    private(set) var trips: [Double] = []
    private(set) var sent = 0
    private(set) var pinged = 0
    private(set) var mostUnproved = 0
    private var proved = 0
    private var marks: [UInt64: Int] = [:]

    init(rate: Double, trip: Double, deadAfter: Duration) {
        self.rate = rate
        self.trip = trip
        window.start(deadAfter: UInt32(deadAfter / .milliseconds(1)))
    }

    private mutating func carry(_ bytes: Int) {
        emptyAt = max(emptyAt, now) + Double(bytes) / rate
        sent += bytes
    }

    private mutating func ping() {
        while window.wantsProbe {
            nonce += 1
            pinged += 1
            carry(20)
            window.probe(nonce)
            marks[nonce] = sent
            pings.append((nonce, now, emptyAt + trip))
        }
    }

    /// Sends bulk for some seconds, as fast as the window lets it.
    mutating func fill(for seconds: Double) {
        let end = now + seconds
        while now < end {
            while window.isOpen {
                let chunk = min(16384, max(512, window.limit / 4))
                window.stage(chunk)
                carry(chunk)
                ping()
            }
            window.holdBack()
            mostUnproved = max(mostUnproved, sent - proved)
            guard let first = pings.first else { break }
            pings.removeFirst()
            now = max(now, first.back)
            trips.append(now - first.left)
            proved = marks[first.nonce] ?? 0
            window.prove(
                first.nonce, roundTrip: .seconds(now - first.left), at: Instant(sinceStart: .seconds(now)))
            ping()
        }
    }

    /// Sends one message each `interval`, and answers each PING after the path's round trip.
    mutating func trickle(_ count: Int, of bytes: Int, each interval: Double) {
        for _ in 0..<count {
            now += interval
            window.stage(bytes)
            carry(bytes)
            ping()
            for ping in pings {
                window.prove(ping.nonce, roundTrip: .seconds(trip), at: Instant(sinceStart: .seconds(now + trip)))
            }
            pings = []
        }
    }
}

@Suite("5.12 The send window")
struct SendWindowTests {
    @Test(
        "5.12-3 The first window is a byte for each millisecond of dead_after, from 2048 to 16384",
        arguments: [
            (100, 2048), (2000, 2048), (5000, 5000), (16_384, 16_384), (30_000, 16_384), (4_294_967_295, 16_384),
        ])
    func first(milliseconds: UInt32, limit: Int) {
        var window = SendWindow()
        #expect(window.limit == .max && window.isOpen && !window.wantsProbe)
        window.start(deadAfter: milliseconds)
        #expect(window.limit == limit)
    }

    @Test("5.12-1 It is closed from W unproved bytes on, and opened by the PONG of a PING behind them")
    func closed() {
        var window = SendWindow()
        window.start(deadAfter: 2000)
        window.stage(2047)
        #expect(window.isOpen && window.wantsProbe)
        window.probe(1)
        #expect(!window.wantsProbe)
        window.stage(1)
        #expect(!window.isOpen)
        window.prove(1, roundTrip: .milliseconds(1), at: .start)
        #expect(window.isOpen)
    }

    @Test(
        "5.12-4 Bulk keeps the round trip below a quarter of dead_after, and the path busy",
        arguments: [
            (4000, 0.05, 5), (4000, 0.05, 30), (16_000, 0.05, 2), (16_000, 0.05, 5), (32_000, 0.2, 5),
            (32_000, 0.6, 30),
            (125_000, 0.1, 2), (1_250_000, 0.05, 2), (12_500_000, 0.01, 2), (12_500_000, 0.001, 30),
        ])
    func bulk(rate: Double, trip: Double, deadAfter: Int) {
        var path = Path(rate: rate, trip: trip, deadAfter: .seconds(deadAfter))
        path.fill(for: Double(deadAfter) * 4)
        let begun = (path.now, path.sent)
        let settled = path.trips.count
        path.fill(for: Double(deadAfter) * 4)
        let trips = path.trips[settled...]
        #expect(trips.max() ?? .infinity < Double(deadAfter) / 4)
        #expect(path.trips.max() ?? .infinity < Double(deadAfter), "nor does the start kill anybody")
        #expect(Double(path.sent - begun.1) / (path.now - begun.0) > 0.9 * rate)
    }

    @Test(
        "5.12-4 A path longer than the target is filled all the same",
        arguments: [
            (32_000, 1.0, 5), (125_000, 0.6, 2), (1_250_000, 1.0, 5),
        ])
    func longPath(rate: Double, trip: Double, deadAfter: Int) {
        var path = Path(rate: rate, trip: trip, deadAfter: .seconds(deadAfter))
        path.fill(for: 30)
        let begun = (path.now, path.sent)
        let settled = path.trips.count
        path.fill(for: 30)
        #expect(path.trips[settled...].max() ?? .infinity < Double(deadAfter) / 2 + 0.1)
        #expect(Double(path.sent - begun.1) / (path.now - begun.0) > 0.8 * rate)
    }

    @Test("A path that becomes longer by itself is not taken for a queue for ever")
    func longer() {
        var path = Path(rate: 125_000, trip: 0.05, deadAfter: .seconds(5))
        path.fill(for: 10)
        path.trip = 1.5
        path.fill(for: 60)
        let begun = (path.now, path.sent)
        path.fill(for: 30)
        #expect(Double(path.sent - begun.1) / (path.now - begun.0) > 0.5 * 125_000)
    }

    @Test("A connection with little to send grows no window, and sends a PING for each half of it")
    func little() {
        var path = Path(rate: 32_000, trip: 0.05, deadAfter: .seconds(30))
        path.trickle(1000, of: 100, each: 1)
        #expect(path.window.limit == 16_384)
        #expect(path.pinged <= 1000 * 100 / 8192 + 1)
    }

    @Test(
        "Messages that come one at a time open it as well, where the path carries each at once",
        arguments: [8204, 16_408])
    func oneAtATime(bytes: Int) {
        var path = Path(rate: 1e9, trip: 0.0001, deadAfter: .seconds(30))
        path.trickle(1000, of: bytes, each: 0.0003)
        let pinged = path.pinged
        path.trickle(1000, of: bytes, each: 0.0003)
        #expect(path.pinged - pinged <= (1000 * bytes) >> 20 + 1)
    }

    @Test("Messages that come rarely show nothing of the rate, however fast each PING is answered")
    func rarely() {
        var path = Path(rate: 32_000, trip: 0.01, deadAfter: .seconds(30))
        path.trickle(20, of: 16_408, each: 3.1)
        #expect(path.pinged == 20)
        #expect(path.window.limit == 16_384)
    }

    @Test("On a fast path PINGs become rare: one for each megabyte")
    func rare() {
        var path = Path(rate: 1e9, trip: 0.0001, deadAfter: .seconds(30))
        path.fill(for: 0.1)
        let pinged = path.pinged
        let sent = path.sent
        path.fill(for: 1)
        #expect(path.pinged - pinged <= (path.sent - sent) >> 20 + 1)
        #expect(Double(path.sent - sent) > 0.95e9)
    }

    @Test("A PING and its PONG may be withdrawn from under: what was not sent is not counted")
    func withdrawn() {
        var window = SendWindow()
        window.start(deadAfter: 2000)
        window.stage(1500)
        window.probe(1)
        window.withdraw(1500, before: 1)
        #expect(window.staged == 0 && window.isOpen && !window.wantsProbe)
        window.prove(1, roundTrip: .milliseconds(5), at: .start)
        window.stage(1000)
        #expect(window.isOpen && !window.wantsProbe)
        window.stage(1000)
        #expect(window.wantsProbe)
    }

    @Test("After stop it bounds nothing, and wants nothing")
    func stopped() {
        var window = SendWindow()
        window.start(deadAfter: 2000)
        window.stage(100_000)
        window.stop()
        #expect(window.isOpen && !window.wantsProbe)
        window.prove(1, roundTrip: .seconds(1), at: .start)
        window.stage(1 << 30)
        #expect(window.isOpen && !window.wantsProbe && window.limit == .max)
    }
}

extension Instant {
    fileprivate static let start = Instant(sinceStart: .zero)
}
