import Posix
import RawWire
import Synchronization

/// What one case came to.
struct Outcome: Sendable {
    let id: String
    let requirement: String
    let level: Level
    let sentence: String
    let verdict: Verdict
}

/// Runs cases, several at a time if asked, and tells of each as it ends.
///
/// Whatever a case meets is its verdict, never the suite's end: a refused dial, a crash and a hang are failures of the
/// case in which they were seen.
struct Runner<B: TestBench>: Sendable {
    let cases: [Case<B>]
    let jobs: Int
    /// A bench for one case.
    let bench: @Sendable () throws -> B
    /// Whether the implementation still works after a case; throws where it does not.
    let probe: @Sendable (B) throws -> Void
    let progress: @Sendable (Outcome) -> Void

    private final class Shared: Sendable {
        let next = Mutex(0)
        let outcomes: Mutex<[Outcome?]>
        let running: Mutex<Int>
        let allDone: Descriptor

        init(cases: Int, jobs: Int) throws(SystemError) {
            outcomes = Mutex(Array(repeating: nil, count: cases))
            running = Mutex(jobs)
            allDone = try .event()
        }
    }

    func run() throws -> [Outcome] {
        let shared = try Shared(cases: cases.count, jobs: jobs)
        for _ in 1..<max(1, jobs) { try startThread(named: "cases") { work(shared) } }
        work(shared)
        var entries = [PollEntry(shared.allDone.number)]
        try poll(&entries, until: nil)
        return shared.outcomes.withLock { $0.compactMap { $0 } }
    }

    private func work(_ shared: Shared) {
        while let index = shared.next.withLock({ next -> Int? in
            guard next < cases.count else { return nil }
            defer { next += 1 }
            return next
        }) {
            let outcome = run(cases[index])
            shared.outcomes.withLock { $0[index] = outcome }
            progress(outcome)
        }
        let isLast = shared.running.withLock { running in
            running -= 1
            return running == 0
        }
        if isLast { shared.allDone.wakeUp() }
    }

    private func run(_ tried: Case<B>) -> Outcome {
        let start = SuspendingClock.now
        let bench: B
        do {
            bench = try self.bench()
        } catch {
            var verdict = Verdict()
            verdict.behaviour = .wrong("\(error)")
            return outcome(of: tried, verdict)
        }
        do {
            try tried.run(bench)
        } catch let skip as Skip {
            bench.skip(skip.reason)
        } catch {
            bench.fail("\(error)")
        }
        do {
            try probe(bench)
        } catch {
            bench.fail("afterwards nothing works any more: \(error)")
        }
        var verdict = bench.finished()
        verdict.took = start.age
        return outcome(of: tried, verdict)
    }

    private func outcome(of tried: Case<B>, _ verdict: Verdict) -> Outcome {
        Outcome(
            id: tried.id, requirement: tried.requirement, level: tried.level, sentence: tried.sentence,
            verdict: verdict)
    }
}
