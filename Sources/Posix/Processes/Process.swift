import CPosix
import Glibc

/// The number of a process.
public typealias ProcessID = pid_t

/// getpid(2).
public var processID: ProcessID { getpid() }

/// Ends the process at once: no buffers are flushed a second time, no handlers run (_exit(2)).
public func exitProcess(_ status: Int32) -> Never { _exit(status) }

/// Lets others have a turn that wait for a processor (sched_yield(2)).
public func yieldProcessor() { sched_yield() }

/// Lets whoever wants a processor go before this thread, for the rest of its life: a thread without privileges cannot take
/// that back (setpriority(2)).
public func standBack() { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19) }

/// Whether AddressSanitizer or ThreadSanitizer is built in, under which every fork and exit of a process is slow.
package let isSanitized = cposix_is_sanitized() != 0
