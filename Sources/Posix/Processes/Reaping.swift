import CPosix
import Glibc

/// A child that has ended.
public struct Ended: Sendable {
    /// Its number, which the system may give to another process from now on.
    public let pid: ProcessID
    /// The exit status, or nil where a signal killed it.
    public let status: Int32?
    /// The signal that killed it, or nil where it exited.
    public let signal: Int32?
}

/// Reaps one child that has ended, any or the one named; nil where none waits (waitpid(2)).
public func reap(_ child: ProcessID = -1) -> Ended? {
    var status: Int32 = 0
    let pid = retryingInterrupted(.waitpid) { waitpid(child, &status, WNOHANG) }
    guard pid > 0 else { return nil }
    let signal = cposix_exit_signal(status)
    return Ended(
        pid: pid, status: signal == 0 ? cposix_exit_status(status) : nil, signal: signal == 0 ? nil : signal)
}

/// What there is to be known of this process's children without reaping any (waitid(2)).
public enum Children: Equatable, Sendable {
    /// This process has no child.
    case none
    /// It has, and all of them are alive.
    case alive
    /// This one has ended and waits to be reaped.
    case ended(ProcessID)

    /// How it is now.
    public static var now: Children {
        switch calling(.waitid, { cposix_ended_child() }) {
        case -1: .none
        case 0: .alive
        case let pid: .ended(pid)
        }
    }
}

/// From now on, a process below this one whose parent dies becomes a child of this one, not of init
/// (PR_SET_CHILD_SUBREAPER in prctl(2)). A fork does not inherit it.
public func adoptOrphans() { _ = cposix_adopt_orphans() }
