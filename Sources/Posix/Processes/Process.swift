import CPosix
import Glibc

/// The number of a process.
public typealias ProcessID = pid_t

/// The number of this process (getpid(2)).
public var processID: ProcessID { getpid() }

/// Ends this process at once (_exit(2)). No buffer is flushed a second time, and no exit handler runs.
public func exitProcess(_ status: Int32) -> Never { _exit(status) }

/// Lets other processes run first that wait for a processor (sched_yield(2)).
///
/// Without it a request in a busy poll takes 7 to 40 % more processor time (tools/dev/cost --mode long).
public func yieldProcessor() { sched_yield() }

/// Gives this thread the lowest priority for the rest of its life: without privileges it cannot raise it (setpriority(2),
/// nice 19).
public func lowerPriority() { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19) }

/// Whether AddressSanitizer or ThreadSanitizer is built in. Forks and exits are slow then.
package let isSanitized = cposix_is_sanitized() != 0
