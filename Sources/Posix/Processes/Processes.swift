import CPosix
import Glibc

/// The number of a process.
public typealias ProcessID = pid_t

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
    // The C library knows, without a call, of a process that has never had another.
    let threads = cposix_never_had_threads() == 1 ? 1 : threadCount()
    precondition(
        threads == 1,
        "fork with \(threads) threads: no async, Task or Dispatch may run in the parent of connections")
    // Not fork(2) of the C library, which locks and unlocks what other threads might hold: here are none, and each lock
    // is a page that parent and child no longer share.
    let pid = cposix_fork()
    guard pid >= 0 else { throw SystemError("fork") }
    return pid == 0 ? .child : .parent(child: pid)
}

/// The threads of this process: each is a folder in /proc/self/task, beside `.` and `..` (proc(5)).
private func threadCount() -> Int {
    var status = stat()
    guard stat("/proc/self/task", &status) == 0 else { return 1 }  // Without /proc the rule cannot be checked.
    return Int(status.st_nlink) - 2
}

/// The pages of the program's data that it has only read: a fork copies the page table's entry of each that is there, and
/// a child's end takes it back.
///
/// It is made before privileges are given up, for a process that has done so may not ask for its own pages any more
/// (PR_SET_DUMPABLE in prctl(2)). Where the system does not tell, and under a sanitizer, of which a thread may write
/// meanwhile, nothing is forgotten.
public struct CleanData: ~Copyable {
    private let map: Descriptor?

    /// Those of this process (open(2), /proc/pid/pagemap in proc(5)).
    public init() {
        let number = isSanitized ? -1 : retryingInterrupted { open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) }
        map = number < 0 ? nil : Descriptor(owning: number)
    }

    /// Of no use in a child, which closes it; nil where there is none.
    public var number: Int32? {
        switch map {
        case .some(let map): map.number
        case nil: nil
        }
    }

    /// Lets go of them.
    public func forget() { if let number { cposix_forget_clean_data(number) } }
}

/// Puts the program's code on huge pages, so that children that are forked from now on share it without a page fault;
/// where the system does not give them it stays where it is. Before any thread is started.
public func moveCodeToHugePages() { cposix_move_code_to_huge_pages() }

/// What is allocated from now on, here and in children that are forked, lies together: the holes between what was
/// allocated before are filled up, at the price of as much memory of this process (at most 1 MiB).
public func fillHeap() { cposix_fill_heap() }

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
    let pid = retryingInterrupted { waitpid(child, &status, WNOHANG) }
    guard pid > 0 else { return nil }
    let signal = cposix_exit_signal(status)
    return Ended(
        pid: pid, status: signal == 0 ? cposix_exit_status(status) : nil, signal: signal == 0 ? nil : signal)
}

/// kill(2) of one process, never of a group; false where it is gone.
@discardableResult
public func sendSignal(_ signal: Int32, to pid: ProcessID) -> Bool {
    precondition(pid > 0)
    return kill(pid, signal) == 0
}

/// Ends the process at once: no buffers are flushed a second time, no handlers run (_exit(2)).
public func exitProcess(_ status: Int32) -> Never { _exit(status) }

/// Whether AddressSanitizer or ThreadSanitizer is built in, under which every fork and exit of a process is slow.
package let isSanitized = cposix_is_sanitized() != 0

/// Lets others have a turn that wait for a processor (sched_yield(2)).
public func yieldProcessor() { sched_yield() }

/// Gives the calling thread the lowest priority, for the rest of its life: a thread without privileges cannot take that
/// back (setpriority(2), nice 19).
public func lowerPriority() { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19) }

/// getpid(2).
public var processID: ProcessID { getpid() }
