import CPosix
import Glibc

/// The process in which `forkProcess` returns.
public enum Forked: Sendable {
    case parent(child: ProcessID)
    case child
}

/// Forks this process, which must have one thread (fork(2)). Throws EAGAIN and ENOMEM.
///
/// A second thread might hold a lock (malloc's, the runtime's) for which the child would wait for ever. So a second thread
/// traps here: it is a mistake in the program, and the hang would have no visible cause.
public func forkProcess() throws(SystemError) -> Forked {
    let pid = calling(.fork) {
        let threads = threadCount()
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

/// The number of this process's threads: each is a folder in /proc/self/task, beside `.` and `..` (proc(5)).
///
/// 1 where /proc is not there: then the rule of one thread cannot be checked.
public func threadCount() -> Int {
    // The C library knows, without a call, of a process that has never had another.
    if cposix_never_had_threads() == 1 { return 1 }
    var status = stat()
    guard calling(.stat, { stat("/proc/self/task", &status) }) == 0 else { return 1 }
    return Int(status.st_nlink) - 2
}
