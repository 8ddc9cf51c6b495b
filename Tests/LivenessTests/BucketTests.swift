import Basics
import Framing
import struct RawWire.Seeded
import Testing

@testable import Liveness

@Suite("5.10 Ping bucket")
struct BucketTests {
    @Test("5.10-1 Twenty at once are taken, the next is one too many", arguments: [0.0, 12_345])
    func twenty(moment: Double) {
        var bucket = TokenBucket(heartbeat)
        for number in 1...20 {
            let taken = bucket.spend(at: at(moment))
            #expect(taken, "number \(number)")
        }
        let oneMore = bucket.spend(at: at(moment))
        #expect(!oneMore)
    }

    @Test("5.10 One comes back each ping_every / 2, not rounded, and not earlier")
    func refill() {
        // A ping_every of 33 ms, half of which is 16.5 ms.
        var bucket = TokenBucket(Heartbeat(pingEvery: .milliseconds(33), deadAfter: .milliseconds(100)))
        for _ in 1...20 { _ = bucket.spend(at: at(0)) }
        for number in 1...50 {
            let due = at(Double(number) * 16.5)
            #expect(bucket.nextToken(at: at(Double(number - 1) * 16.5)) == due)
            let early = bucket.spend(at: justBefore(due))
            let punctual = bucket.spend(at: due)
            #expect(!early && punctual, "number \(number)")
        }
    }

    @Test("5.10 It never holds more than twenty, however long nothing is taken")
    func capacity() {
        var bucket = TokenBucket(heartbeat)
        for _ in 1...20 { _ = bucket.spend(at: at(0)) }
        let taken = (1...50).count { _ in bucket.spend(at: at(10_000_000)) }
        #expect(taken == 20)
    }

    @Test("5.10 A part of the time until the next one is not lost when one is taken")
    func parts() {
        var bucket = TokenBucket(heartbeat)
        for _ in 1...20 { _ = bucket.spend(at: at(0)) }
        let first = bucket.spend(at: at(150 + 149))
        let early = bucket.spend(at: at(150 + 149.9))
        let second = bucket.spend(at: at(300))
        #expect(first && !early && second)
    }

    @Test("5.10 Random schedules: exactly what a bucket with a counter allows", arguments: Array(UInt64(0)..<20))
    func random(seed: UInt64) {
        var random = Seeded(seed)
        let capacity = [1, 12, 20].randomElement(using: &random)!
        var bucket = TokenBucket(heartbeat, capacity: capacity)
        // The model counts in 150ths: what is there, in milliseconds of refill.
        var level = capacity * 150
        var moment = 0
        for _ in 0..<1000 {
            let step = Int.random(in: 0...(Bool.random(using: &random) ? 20 : 600), using: &random)
            moment += step
            level = min(capacity * 150, level + step)
            let expected = level >= 150
            let missing = max(0, 150 - level)
            #expect(bucket.nextToken(at: at(Double(moment))) == at(Double(moment + missing)))
            let taken = bucket.spend(at: at(Double(moment)))
            #expect(taken == expected)
            if expected { level -= 150 }
        }
    }

    @Test("5.10-1 Both sides drop with TOO_MANY_PINGS at the one too many")
    func both() throws {
        var server = welcomedServer()
        var client = welcomedClient()
        for _ in 1...20 {
            try server.spendToken(for: .cancel, at: at(7))
            try client.spendToken(for: .cancel, at: at(7))
        }
        #expect(throws: Violation.flood) { try server.spendToken(for: .cancel, at: at(7)) }
        #expect(throws: Violation.flood) { try client.spendToken(for: .cancel, at: at(7)) }
        #expect(Violation.flood.code == .tooManyPings)
        try server.spendToken(for: .cancel, at: at(157))
        #expect(throws: Violation.flood) { try server.spendToken(for: .cancel, at: at(157)) }
    }

    @Test("5.10-2 A sender's own bucket is smaller")
    func sender() {
        var bucket = TokenBucket(heartbeat, capacity: 12)
        let taken = (1...20).count { _ in bucket.spend(at: at(0)) }
        #expect(taken == 12)
        #expect(bucket.nextToken(at: at(0)) == at(150))
    }
}

@Suite("5.10 What costs nothing in 1.1")
struct FreeFrameTests {
    private let bounded = Heartbeat(pingEvery: .seconds(10), deadAfter: .seconds(30), isBounded: true)

    @Test("5.10 A PING behind 1024 bytes of messages since the last PING is free; behind 1023 it costs one")
    func bulk() throws {
        for (gap, isFree) in [(1024 as UInt64, true), (1023, false)] {
            var server = welcomedServer(bounded)
            var behind: UInt64 = 0
            for _ in 0..<20 {
                behind += gap
                try server.spendToken(for: .ping(behind: behind), at: at(0))
            }
            behind += gap
            if isFree {
                try server.spendToken(for: .ping(behind: behind), at: at(0))
            } else {
                #expect(throws: Violation.self) { try server.spendToken(for: .ping(behind: behind), at: at(0)) }
            }
        }
    }

    @Test("5.10 An empty MESSAGE is free, a CANCEL and a bare PING are not")
    func others() throws {
        var client = welcomedClient([0.5], bounded)
        for _ in 0..<1000 { try client.spendToken(for: .emptyMessage, at: at(0)) }
        for _ in 0..<10 {
            try client.spendToken(for: .cancel, at: at(0))
            try client.spendToken(for: .ping(behind: 5000), at: at(0))
        }
        try client.spendToken(for: .cancel, at: at(0))
        #expect(throws: Violation.self) { try client.spendToken(for: .cancel, at: at(0)) }
        #expect(throws: Violation.self) { try client.spendToken(for: .ping(behind: 5000), at: at(0)) }
        try client.spendToken(for: .ping(behind: 7000), at: at(0))
    }

    @Test("5.10 In 1.0 all of them cost one")
    func old() throws {
        for frame in [ChargedFrame.emptyMessage, .cancel, .ping(behind: 1 << 40)] {
            var server = welcomedServer()
            for _ in 0..<20 { try server.spendToken(for: frame, at: at(0)) }
            #expect(throws: Violation.self) { try server.spendToken(for: frame, at: at(0)) }
        }
    }
}
