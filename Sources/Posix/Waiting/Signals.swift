import CPosix
import Glibc

/// The signals that this program uses (signal(7)).
public enum Signal {
    /// Ctrl-C in a terminal.
    public static let interrupt = SIGINT
    /// Wakes the event loop of the same process, of a child or of the parent. SIGURG does nothing in a process that does not wait
    /// for it.
    public static let call = SIGURG
    /// Tells a process that the machine was suspended and has resumed.
    public static let resumed = SIGPWR
    /// Ends a process at once; no process can refuse it.
    public static let kill = SIGKILL
    /// Asks a process to end at once (Ctrl-\ in a terminal).
    public static let quit = SIGQUIT
    /// Asks a process to read its configuration again.
    public static let reload = SIGHUP
    /// Asks a process to end.
    public static let terminate = SIGTERM
    /// Asks a process to open its log anew.
    public static let reopen = SIGUSR1
    /// One child has ended, or several.
    public static let childEnded = SIGCHLD
    /// The limit of processor time is reached.
    public static let processorTimeOver = SIGXCPU
}

/// Signals as data: they are blocked and read from a descriptor in the poll set (signalfd(2)). No handler runs.
public struct SignalDescriptor: ~Copyable {
    private let descriptor: Descriptor
    /// The descriptor, for poll(2); borrowed.
    public var number: Int32 { descriptor.number }

    /// Blocks `signals` in this thread and in every process that it forks from now on, and opens a descriptor for them.
    /// Throws EMFILE, ENFILE and ENOMEM.
    public init(_ signals: [Int32]) throws(SystemError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        sigprocmask(SIG_BLOCK, &set, nil)
        let number = calling(.signalfd) { cposix_signalfd(&set) }
        guard number >= 0 else { throw SystemError("signalfd") }
        descriptor = Descriptor(owning: number)
    }

    /// The next pending signal and the process that sent it; nil where none is pending. Of several pending signals of
    /// one kind the kernel keeps one.
    public func next() -> (signal: Int32, sender: ProcessID)? {
        var sender: ProcessID = 0
        let signal = retryingInterrupted(.read) { cposix_read_signal(number, &sender) }
        return signal < 0 ? nil : (signal, sender)
    }
}

/// Lets `signal` reach this thread again (sigprocmask(2)).
public func unblock(_ signal: Int32) {
    var mask = SignalMask.blocked
    mask.remove(signal)
    mask.block()
}

/// The name of a signal: `SIGKILL` for 9.
public func signalName(_ signal: Int32) -> String {
    guard let name = cposix_signal_name(signal) else { return "signal \(signal)" }
    return "SIG" + String(cString: name)
}

/// Sends a signal to one process, never to a group (kill(2)). Returns false where it is gone or another user's.
@discardableResult
public func sendSignal(_ signal: Int32, to pid: ProcessID) -> Bool {
    precondition(pid > 0)
    return calling(.kill) { kill(pid, signal) } == 0
}

/// Sends a signal to a program and to its process group (kill(2)).
///
/// The program must not have been reaped: until then no other process and no other group can have its number.
public func sendSignal(_ signal: Int32, toGroupOf program: ProcessID) {
    precondition(program > 1)
    // One that has left its group for another is still sent the signal itself.
    kill(-program, signal)
    kill(program, signal)
}
