import CPosix
import Glibc

/// Which of the two processes runs after a fork.
public enum Forked: Sendable {
    case parent(child: ProcessID)
    case child
}

/// fork(2), of a process with one thread.
///
/// A second thread might hold a lock (malloc's, the runtime's) that the child would wait for in vain, so with one this
/// traps: it is a mistake in the program, and later it would be a hang that nobody can explain.
public func forkProcess() throws(SystemError) -> Forked {
    let pid = calling(.fork) {
        // The C library knows, without a call, of a process that has never had another.
        let threads = cposix_never_had_threads() == 1 ? 1 : threadCount()
        precondition(
            threads == 1,
            "fork with \(threads) threads: no async, Task or Dispatch may run in the parent of connections")
        // Not fork(2) of the C library, which locks and unlocks what other threads might hold: here are none, and each
        // lock is a page that parent and child no longer share.
        return cposix_fork()
    }
    guard pid >= 0 else { throw SystemError("fork") }
    return pid == 0 ? .child : .parent(child: pid)
}

/// The threads of this process: each is a folder in /proc/self/task, beside `.` and `..` (proc(5)).
private func threadCount() -> Int {
    var status = stat()
    // Without /proc the rule cannot be checked.
    guard calling(.stat, { stat("/proc/self/task", &status) }) == 0 else { return 1 }
    return Int(status.st_nlink) - 2
}
