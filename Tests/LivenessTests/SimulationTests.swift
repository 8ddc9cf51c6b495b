import Basics
import Framing
import struct RawWire.Seeded
import Testing

@testable import Liveness

/// What is true of a peer, kept apart from the code that judges it.
private struct Truth {
    let deadAfter: Duration
    var heard = at(0)
    var frame: (begun: Instant, length: UInt32)?
    var stuck: Instant?
    var unproven: Instant?

    /// When each reason to drop comes to be.
    var due: [(Code, Instant)] {
        var due: [(Code, Instant)] = [(.silent, heard + deadAfter)]
        if let frame { due.append((.frameTimeout, frame.begun + deadAfter + .milliseconds(frame.length))) }
        if let stuck { due.append((.slowReader, stuck + deadAfter)) }
        if let unproven { due.append((.noRoundTrip, unproven + deadAfter)) }
        return due
    }

    /// The number of the frame that came last.
    private(set) var frames: UInt64 = 1

    /// What the loop tells of `what`: a frame's length, or how writing went.
    mutating func take(_ what: Happening, _ random: inout Seeded, at now: Instant) -> Report? {
        switch what {
        case .nothing, .heard, .proof:
            return nil
        case .frameBegins:
            let length = Bool.random(using: &random) ? 0 : UInt32.random(in: 0...5000, using: &random)
            if frame == nil { frames += 1 }
            frame = (frame?.begun ?? now, length)
            return .frame(length)
        case .frameEnds:
            frame = nil
            return .frame(nil)
        case .kernelTakes:
            if stuck != nil { stuck = now }
            return .wrote(any: true, waiting: stuck != nil)
        case .kernelIsFull:
            stuck = stuck ?? now
            return .wrote(any: false, waiting: true)
        case .kernelIsEmpty:
            stuck = nil
            return .wrote(any: true, waiting: false)
        }
    }

    mutating func grant(at now: Instant) {
        heard = now
        frame?.begun = now
        if stuck != nil { stuck = now }
        unproven = nil
    }
}

/// One thing that may happen at a wake-up.
private enum Happening: CaseIterable {
    case nothing, heard, frameBegins, frameEnds, kernelTakes, kernelIsFull, kernelIsEmpty, proof
}

private enum Report {
    case frame(UInt32?)
    case wrote(any: Bool, waiting: Bool)
}

private struct Schedule {
    var random: Seeded
    let beat: Heartbeat
    let allowance: Duration
    private let isLate: Bool

    init(seed: UInt64) {
        random = Seeded(seed)
        let dead = Int.random(in: 100...40_000, using: &random)
        let ping = Int.random(in: 20...dead / 2, using: &random)
        beat = Heartbeat(pingEvery: .milliseconds(ping), deadAfter: .milliseconds(dead))
        allowance = .milliseconds(dead) / 10 + .milliseconds(50)
        isLate = seed % 3 == 0
    }

    /// The next wake-up: something happens, or the deadline is there, a little late or much.
    mutating func wake(after now: Instant, deadline: Instant?) -> (now: Instant, what: Happening) {
        let step = beat.deadAfter * Double.random(in: 0.001...0.8, using: &random)
        guard let deadline, deadline < now + step else {
            return (now + step, Happening.allCases.randomElement(using: &random)!)
        }
        let jitter = allowance * Double.random(in: 0...(isLate ? 3 : 0.9), using: &random)
        return (deadline + (Bool.random(using: &random) ? .zero : jitter), .nothing)
    }
}

@Suite("5 Random schedules")
struct SimulationTests {
    @Test(
        "A client is never dropped early, always in time, and a server that found nothing to do sleeps",
        arguments: Array(UInt64(0)..<10))
    func server(block: UInt64) throws {
        var drops: Set<Code> = []
        for seed in (block * 200)..<(block * 200 + 200) {
            var schedule = Schedule(seed: seed)
            var truth = Truth(deadAfter: schedule.beat.deadAfter)
            var server = welcomedServer(schedule.beat)
            var now = at(0)
            var pingAt: Instant? = now + truth.deadAfter / 2
            for _ in 0..<60 {
                let deadline = try #require(server.deadline)
                let wake = schedule.wake(after: now, deadline: deadline)
                now = wake.now
                server.resumed(at: now)
                let wasLate = now - deadline > schedule.allowance
                if wasLate {
                    truth.grant(at: now)
                    pingAt = now
                }
                if wake.what != .nothing, wake.what != .kernelTakes {
                    server.heard(at: now)
                    truth.heard = now
                    pingAt = now + truth.deadAfter / 2
                    if wasLate { pingAt = now }
                }
                switch truth.take(wake.what, &schedule.random, at: now) {
                case .frame(let length): server.frame(truth.frames, unfinishedLength: length, at: now)
                case .wrote(let any, let waiting): server.wrote(any: any, waiting: waiting, at: now)
                case nil: break
                }
                let verdict = server.verdict(at: now)
                let reasons = truth.due.filter { $0.1 <= now }.map(\.0)
                if case .drop(let violation) = verdict {
                    #expect(reasons.contains(violation.code), "seed \(seed)")
                    drops.insert(violation.code)
                    break
                }
                try #require(reasons.isEmpty, "seed \(seed): \(reasons) at \(now)")
                let pings = pingAt.map { $0 <= now } ?? false
                var sent = false
                if case .ping = verdict { sent = true }
                try #require(sent == pings, "seed \(seed)")
                if pings { pingAt = nil }
                try #require(server.verdict(at: now) == .fine, "seed \(seed)")
                try #require(server.deadline.map { $0 > now } ?? true, "seed \(seed): it would spin")
            }
        }
        #expect(drops == [.silent, .frameTimeout, .slowReader], "the schedules have met every reason")
    }

    @Test(
        "A server is never dropped early, always in time, and its client pings as often as it must",
        arguments: Array(UInt64(0)..<10))
    func client(block: UInt64) throws {
        var drops: Set<Code> = []
        for seed in (block * 200)..<(block * 200 + 200) {
            var schedule = Schedule(seed: seed)
            var truth = Truth(deadAfter: schedule.beat.deadAfter)
            let numbers = Chosen((0..<300).map { _ in Double.random(in: 0..<1, using: &schedule.random) })
            var client = ClientHeartbeat(connectedAt: at(0), handshakeTimeout: .seconds(10)) { numbers.next() }
            client.welcomed(schedule.beat, at: at(0))
            let ping = schedule.beat.pingEvery
            var now = at(0)
            var beatFrom: Instant?
            var toldLate = false
            for _ in 0..<80 {
                let deadline = try #require(client.deadline)
                let wake = schedule.wake(after: now, deadline: deadline)
                now = wake.now
                client.resumed(at: now)
                let wasLate = now - deadline > schedule.allowance
                if wasLate {
                    truth.grant(at: now)
                    toldLate = false
                }
                if wake.what != .nothing, wake.what != .kernelTakes {
                    client.heard(at: now)
                    truth.heard = now
                }
                if wake.what == .proof {
                    client.responded(at: now)
                    if beatFrom != nil {
                        truth.unproven = nil
                        toldLate = false
                        beatFrom = now
                    }
                }
                switch truth.take(wake.what, &schedule.random, at: now) {
                case .frame(let length): client.frame(truth.frames, unfinishedLength: length, at: now)
                case .wrote(let any, let waiting): client.wrote(any: any, waiting: waiting, at: now)
                case nil: break
                }
                let reasons = truth.due.filter { $0.1 <= now }.map(\.0)
                var verdict = client.verdict(at: now)
                if case .drop(let violation) = verdict {
                    #expect(reasons.contains(violation.code), "seed \(seed)")
                    drops.insert(violation.code)
                    break
                }
                try #require(reasons.isEmpty, "seed \(seed): \(reasons) at \(now)")
                let isLateBeat = !toldLate && (truth.unproven.map { $0 + truth.deadAfter / 2 <= now } ?? false)
                try #require((verdict == .beatLate) == isLateBeat, "seed \(seed)")
                if isLateBeat {
                    toldLate = true
                    verdict = client.verdict(at: now)
                }
                if case .ping(let nonce) = verdict {
                    client.pingLeft(nonce, at: now)
                    if let beatFrom, !wasLate { try #require(now - beatFrom >= ping * 0.8, "seed \(seed): too early") }
                    beatFrom = now
                    if truth.unproven == nil { truth.unproven = now }
                } else {
                    try #require(!wasLate, "seed \(seed): own lateness is answered with a PING")
                    try #require(now - (beatFrom ?? at(0)) < ping, "seed \(seed): no PING for too long")
                }
                try #require(client.verdict(at: now) == .fine, "seed \(seed)")
                try #require(client.deadline.map { $0 > now } ?? true, "seed \(seed): it would spin")
            }
        }
        #expect(drops == [.silent, .frameTimeout, .slowReader, .noRoundTrip], "the schedules have met every reason")
    }
}
