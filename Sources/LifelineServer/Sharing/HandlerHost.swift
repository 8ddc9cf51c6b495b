import Posix

/// What a process has for the handler of a connection.
struct HandlerHost {
    /// Wakes the loop for this connection.
    let waker: LoopWaker
    /// The threads that all handlers of the process share; nil where the process has one connection, whose handler has a
    /// thread of its own.
    let threads: HandlerThreads?
    /// The connection's notice of a crash, which calls of its handler are blamed on; nil where the process has one connection.
    let crashNotice: CrashNotice?
    /// The process's tie to the router; nil without `ServerOptions.topics`.
    let tie: RouterTie?

    /// In a process with one connection.
    init(tie: RouterTie? = nil) {
        self.tie = tie
        waker = LoopWaker()
        threads = nil
        crashNotice = nil
    }

    /// In a process with several, for the connection of `slot`.
    init(
        for slot: Int32, in wakeups: LoopWakeups, _ threads: HandlerThreads, _ crashNotice: CrashNotice? = nil,
        tie: RouterTie? = nil
    ) {
        self.tie = tie
        waker = LoopWaker(for: slot, in: wakeups)
        self.threads = threads
        self.crashNotice = crashNotice
    }
}
