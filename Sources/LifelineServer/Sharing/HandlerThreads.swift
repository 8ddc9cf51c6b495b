import Basics
import Posix
import Synchronization

/// The threads of a shared process on which handlers run that do not answer at once.
///
/// A handler with a job waits in one queue with all others, and goes behind them after each call. A thread takes the first,
/// and the one that was idle last is woken first, so that those that are not needed end. A thread that finds more handlers
/// than itself wakes the next: so one at a time is on its way, and calls that take no time do not wake all.
final class HandlerThreads: Sendable {
    /// Where a handler is.
    enum HandlerPlace {
        /// It has no job.
        case nowhere
        /// It waits for a thread.
        case queued
        /// A thread calls it.
        case called
        /// A thread calls it, its connection is over, and others do not count with that thread.
        case lost
    }

    /// How long a thread waits for a job before it ends.
    static let idleTime = Duration.seconds(10)
    /// How long after the system has refused a thread it is asked again.
    private static let pause = Duration.milliseconds(100)

    /// A thread without a handler. True once it was woken.
    private typealias IdleThread = ConditionLock<Bool>

    private struct State {
        var handlers = Queue<PooledHandlerRunner>()
        /// The one that was idle last comes last.
        var idle: [IdleThread] = []
        /// How many threads there are, without those that are lost.
        var count = 0
        var lost = 0
        /// Whether a thread was woken or started that has not looked here yet.
        var isWaking = false
        /// Until when the system is not asked for a thread.
        var pausedUntil: Instant?
    }

    /// What the caller does without the lock.
    private enum Step {
        case nothing
        case wake(IdleThread)
        case start
    }

    /// What a thread does next.
    private enum Turn {
        case call(PooledHandlerRunner)
        case idle
        case end
    }

    /// How many there are at most.
    let most: Int
    private let idleTime: Duration
    private let state = ConditionLock(State())
    private let short = Atomic(false)

    /// None at first, and at most `most`. One ends when it has had nothing to do for `idleTime`.
    init(most: Int, idleTime: Duration = HandlerThreads.idleTime) {
        self.most = most
        self.idleTime = idleTime
    }

    /// How many threads are lost: their handlers' connections are over, and the handlers have not returned. There are up to
    /// `most` beside the others.
    var lostThreads: Int { state.withLock { $0.lost } }

    /// How many threads there are, without those that are lost.
    var count: Int { state.withLock { $0.count } }

    /// Whether handlers wait, and no thread is idle.
    var areShort: Bool { short.load(ordering: .relaxed) }

    /// Whether this handler waits for a thread.
    func isWaiting(_ runner: PooledHandlerRunner) -> Bool { state.withLock { _ in runner.place == .queued } }

    // MARK: The loop's side

    /// Has a thread call the handler, which has a job and is not here yet.
    func call(_ runner: PooledHandlerRunner) {
        let step = state.withLock { state in
            runner.place = .queued
            state.handlers.append(runner)
            return self.step(&state)
        }
        carryOut(step, isLoop: true)
    }

    /// The handler's connection is over. Where a thread still calls the handler that is lost, and this returns how many are,
    /// with this one. More than `most` are none: this one counts as before.
    func abandon(_ runner: PooledHandlerRunner) -> Int? {
        let (lost, step): (Int?, Step) = state.withLock { state in
            guard runner.place == .called else { return (nil, .nothing) }
            guard state.lost < most else { return (state.lost + 1, .nothing) }
            runner.place = .lost
            state.lost += 1
            state.count -= 1
            return (state.lost, self.step(&state))
        }
        carryOut(step, isLoop: true)
        return lost
    }

    // MARK: Waking

    /// What brings the first of the queue a thread.
    private func step(_ state: inout State) -> Step {
        short.store(!state.handlers.isEmpty && state.idle.isEmpty, ordering: .relaxed)
        guard !state.handlers.isEmpty, !state.isWaking else { return .nothing }
        if let thread = state.idle.popLast() {
            state.isWaking = true
            return .wake(thread)
        }
        if state.count < most, state.count == 0 || !isPaused(&state) {
            state.isWaking = true
            state.count += 1
            return .start
        }
        return .nothing
    }

    private func isPaused(_ state: inout State) -> Bool {
        guard let until = state.pausedUntil else { return false }
        if until <= .now { state.pausedUntil = nil }
        return state.pausedUntil != nil
    }

    private func carryOut(_ step: Step, isLoop: Bool) {
        switch step {
        case .nothing: break
        case .wake(let thread):
            thread.withLock { $0 = true }
            thread.notify()
        case .start:
            do throws(SystemError) {
                try startThread(named: "handler") { [self] in withCrashStack(work) }
            } catch {
                for runner in refused(isLoop: isLoop) { runner.strand(error) }
            }
        }
    }

    /// The system has no thread to give: returns the handlers that no other thread will call. The loop alone takes them back;
    /// a thread that has asked for another calls them itself.
    private func refused(isLoop: Bool) -> [PooledHandlerRunner] {
        state.withLock { state in
            state.isWaking = false
            state.count -= 1
            guard state.count == 0, isLoop else {
                state.pausedUntil = .now + HandlerThreads.pause
                return []
            }
            let stranded = state.handlers.remove { _ in true }
            for runner in stranded { runner.place = .nowhere }
            return stranded
        }
    }

    // MARK: A thread

    private func work() {
        let thread = IdleThread(false)
        var wasWoken = true
        var last: PooledHandlerRunner?
        while true {
            switch next(thread, wasWoken: wasWoken, after: last) {
            case .call(let runner):
                wasWoken = false
                runner.callHandler()
                last = runner
            case .idle:
                last = nil
                guard waitForWork(thread) else { return }
                wasWoken = true
            case .end: return
            }
        }
    }

    private func next(
        _ thread: IdleThread, wasWoken: Bool, after last: PooledHandlerRunner?
    ) -> Turn {
        let (turn, step): (Turn, Step) = state.withLock { state in
            if wasWoken { state.isWaking = false }
            if let last { takeBack(last, &state) }
            // One that was lost is found again, and another was started in its place.
            guard state.count <= most else {
                state.count -= 1
                return (.end, self.step(&state))
            }
            guard let runner = state.handlers.first else {
                state.idle.append(thread)
                return (.idle, self.step(&state))
            }
            state.handlers.removeFirst()
            runner.place = .called
            return (.call(runner), self.step(&state))
        }
        carryOut(step, isLoop: false)
        return turn
    }

    private func takeBack(_ runner: PooledHandlerRunner, _ state: inout State) {
        // Asked with the lock: from the answer on the loop may have the handler called again, by another thread.
        let hasMore = runner.keepsThread()
        if runner.place == .lost {
            state.lost -= 1
            state.count += 1
        }
        runner.place = hasMore ? .queued : .nowhere
        if hasMore { state.handlers.append(runner) }
    }

    /// Waits until it is woken; false where it is to end.
    private func waitForWork(_ thread: IdleThread) -> Bool {
        if thread.wait(until: .now + idleTime, { $0 ? true : nil }) == nil {
            let isOver = state.withLock { state in
                guard let index = state.idle.firstIndex(where: { $0 === thread }) else { return false }
                state.idle.remove(at: index)
                state.count -= 1
                return true
            }
            if isOver { return false }
        }
        // Where the time was over just as it was woken, the mark may still come.
        _ = thread.wait { isWoken -> Void? in
            guard isWoken else { return nil }
            isWoken = false
            return ()
        }
        return true
    }
}
