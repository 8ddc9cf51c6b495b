import Posix
import RawWire
import Synchronization

/// The result of one case.
struct CaseOutcome: Sendable {
    let id: String
    let requirement: String
    let level: Level
    let sentence: String
    let verdict: CaseVerdict
}

/// Runs cases, up to `jobs` at a time, and reports each one at its end.
///
/// A failure never ends the suite: a refused connection, a crash or a hang counts as a failure of its case.
struct Runner<B: TestBench>: Sendable {
    let cases: [Case<B>]
    let jobs: Int
    /// Creates the bench of a case.
    let bench: @Sendable () throws -> B
    /// Checks after a case that the implementation still works; throws where it does not.
    let probe: @Sendable (B) throws -> Void
    let progress: @Sendable (CaseOutcome) -> Void

    private final class State: Sendable {
        let next = Mutex(0)
        let outcomes: Mutex<[CaseOutcome?]>
        let running: Mutex<Int>
        let allDone: Descriptor

        init(cases: Int, jobs: Int) throws(SystemError) {
            outcomes = Mutex(Array(repeating: nil, count: cases))
            running = Mutex(jobs)
            allDone = try .event()
        }
    }

    func run() throws -> [CaseOutcome] {
        let state = try State(cases: cases.count, jobs: jobs)
        for _ in 1..<max(1, jobs) { try startThread(named: "cases") { work(state) } }
        work(state)
        var entries = [PollEntry(state.allDone.number)]
        try poll(&entries, until: nil)
        return state.outcomes.withLock { $0.compactMap { $0 } }
    }

    private func work(_ state: State) {
        while let index = state.next.withLock({ next -> Int? in
            guard next < cases.count else { return nil }
            defer { next += 1 }
            return next
        }) {
            let outcome = run(cases[index])
            state.outcomes.withLock { $0[index] = outcome }
            progress(outcome)
        }
        let isLast = state.running.withLock { running in
            running -= 1
            return running == 0
        }
        if isLast { state.allDone.wakeUp() }
    }

    private func run(_ tried: Case<B>) -> CaseOutcome {
        let start = SuspendingClock.now
        let bench: B
        do {
            bench = try self.bench()
        } catch {
            var verdict = CaseVerdict()
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

    private func outcome(of tried: Case<B>, _ verdict: CaseVerdict) -> CaseOutcome {
        CaseOutcome(
            id: tried.id, requirement: tried.requirement, level: tried.level, sentence: tried.sentence,
            verdict: verdict)
    }
}
