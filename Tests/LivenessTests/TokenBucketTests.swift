import Basics
import RawWire
import Testing

@Suite("Token bucket: N in a second")
struct TokenBucketTests {
    @Test("A second's worth at once, then one each interval; a refused one learns when to come, and pays nothing")
    func steady() {
        var rate = TokenBucket(perSecond: 4)
        for _ in 0..<4 { #expect(waiting(for: &rate, at: at(1000)) == nil) }
        for _ in 0..<3 { #expect(waiting(for: &rate, at: at(1000)) == .milliseconds(250)) }
        #expect(waiting(for: &rate, at: at(1249)) == .milliseconds(1))
        #expect(waiting(for: &rate, at: at(1250)) == nil)
        #expect(waiting(for: &rate, at: at(1250)) == .milliseconds(250))
        for _ in 0..<4 { #expect(waiting(for: &rate, at: at(1_000_000)) == nil) }
        #expect(waiting(for: &rate, at: at(1_000_000)) == .milliseconds(250))
    }

    @Test("However they come: no stretch of L seconds has more than N + N * L, and none that waits is refused for ever")
    func random() {
        var random = Seeded(7)
        for _ in 0..<200 {
            let most = Int.random(in: 1...50, using: &random)
            var rate = TokenBucket(perSecond: most)
            var taken: [Duration] = []
            var now = Duration.zero
            for _ in 0..<400 {
                now += .microseconds(
                    Int64.random(in: 0...Int64([0, 1000, 30_000, 900_000].randomElement(using: &random)!)))
                if let wait = waiting(for: &rate, at: Instant(sinceStart: now)) {
                    #expect(wait > .zero && wait <= .seconds(1) / most)
                    if Bool.random(using: &random) {
                        // One attosecond earlier there is nothing yet.
                        var early = rate
                        #expect(
                            waiting(
                                for: &early,
                                at: Instant(
                                    sinceStart: now + wait - Duration(secondsComponent: 0, attosecondsComponent: 1)))
                                != nil)
                        now += wait
                        #expect(waiting(for: &rate, at: Instant(sinceStart: now)) == nil)
                        taken.append(now)
                    }
                } else {
                    taken.append(now)
                }
            }
            #expect(taken.count > most)
            for first in taken.indices {
                for last in [first + most, first + 2 * most, taken.count - 1] where (first..<taken.count).contains(last)
                {
                    let allowed = Double(most) * (1 + (taken[last] - taken[first]) / .seconds(1))
                    #expect(Double(last - first + 1) <= allowed + 1e-6)
                }
            }
        }
    }
}

/// Spends a token; returns how long it is until there is one where there is none.
private func waiting(for bucket: inout TokenBucket, at now: Instant) -> Duration? {
    bucket.spend(at: now) ? nil : bucket.nextToken(at: now) - now
}
