import CPosix
import Glibc

/// A child that has ended and was reaped.
public struct Ended: Sendable {
    /// Its number, which the kernel may give to another process from now on.
    public let pid: ProcessID
    /// The exit status; nil where a signal killed it.
    public let status: Int32?
    /// The signal that killed it; nil where it exited.
    public let signal: Int32?
}

/// Reaps one child that has ended, the one named or any; nil where none has ended (waitpid(2), WNOHANG).
public func reap(_ child: ProcessID = -1) -> Ended? {
    var status: Int32 = 0
    let pid = retryingInterrupted(.waitpid) { waitpid(child, &status, WNOHANG) }
    guard pid > 0 else { return nil }
    let signal = cposix_exit_signal(status)
    return Ended(
        pid: pid, status: signal == 0 ? cposix_exit_status(status) : nil, signal: signal == 0 ? nil : signal)
}

/// Waits until this child has ended, and reaps it (waitpid(2)).
public func awaitEnd(of child: ProcessID) {
    var status: Int32 = 0
    _ = retryingInterrupted(.waitpid) { waitpid(child, &status, 0) }
}

/// The state of this process's children, found without reaping any (waitid(2), WNOWAIT).
public enum Children: Equatable, Sendable {
    /// This process has no child.
    case none
    /// It has children, and all of them are alive.
    case alive
    /// This child has ended and is not reaped.
    case ended(ProcessID)

    /// The state now.
    public static var now: Children {
        switch calling(.waitid, { cposix_ended_child() }) {
        case -1: .none
        case 0: .alive
        case let pid: .ended(pid)
        }
    }
}

/// Makes this process the new parent of its descendants whose own parent dies, in place of init (PR_SET_CHILD_SUBREAPER in
/// prctl(2)). A forked process does not inherit this.
public func adoptOrphans() { _ = cposix_adopt_orphans() }
