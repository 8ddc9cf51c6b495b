/// What a process has for the handler of a connection.
struct HandlerHost {
    /// Wakes the loop for this connection.
    let waker: LoopWaker
    /// The threads that all handlers of the process share; nil where the process has one connection, whose handler has a
    /// thread of its own.
    let threads: HandlerThreads?

    /// In a process with one connection.
    init() {
        waker = LoopWaker()
        threads = nil
    }

    /// In a process with several, for the connection of `slot`.
    init(for slot: Int32, in wakeups: LoopWakeups, _ threads: HandlerThreads) {
        waker = LoopWaker(for: slot, in: wakeups)
        self.threads = threads
    }
}
