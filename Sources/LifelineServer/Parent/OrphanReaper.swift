import Basics
import Posix

/// Kills what the program of a dead child has left behind, and the parent has inherited (PR_SET_CHILD_SUBREAPER in
/// prctl(2)): no program outlives its connection.
///
/// Only descendants of this process are ever inherited. Where it had children before it served, or is the init of a
/// container, some of them may be strangers. There only those are killed whose environment says that they are ours.
final class OrphanReaper {
    /// A process that was killed and is not gone by then hangs in the kernel; it is not waited for any longer.
    private static let patience = Duration.seconds(5)

    private let mayBeStrangers: Bool
    private let mark = ProgramEnvironment.mark(of: processID)
    private var mayExist = false
    private var killed: Set<ProcessID> = []
    /// Until when those that were killed are waited for; nil where there are none.
    private(set) var deadline: Instant?

    init() {
        mayBeStrangers = processID == 1 || Children.now != .none
        adoptOrphans()
    }

    /// A child has ended, or an orphan. What it has left behind is inherited by now.
    func reaped(_ ended: Ended) {
        mayExist = true
        killed.remove(ended.pid)
        if killed.isEmpty { deadline = nil }
    }

    /// Kills what was inherited since a child ended last.
    func kill(allBut isChild: (ProcessID) -> Bool, at now: Instant) {
        if let deadline, deadline <= now {
            killed = []
            self.deadline = nil
        }
        guard mayExist else { return }
        mayExist = false
        for pid in childProcesses() where !isChild(pid) && !killed.contains(pid) {
            guard !mayBeStrangers || wasStarted(pid, with: mark) else { continue }
            sendSignal(Signal.kill, to: pid)
            killed.insert(pid)
            deadline = now + OrphanReaper.patience
        }
    }
}
