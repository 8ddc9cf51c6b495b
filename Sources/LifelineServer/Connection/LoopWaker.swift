import Posix

/// Wakes the event loop of this process from its other threads.
///
/// It sends the process a signal that the loop reads as data. Signals that wait are one signal, so the loop asks each of
/// its connections what has changed.
struct LoopWaker: Sendable {
    private let loopThread: UInt
    /// Where the connections of a loop with several are noted; nil where the process has one connection. It is no pair with
    /// the slot: the runtime would have to make the type of such an optional in each child anew.
    private let wakeups: LoopWakeups?
    private let slot: Int32

    /// A waker of the loop that the calling thread runs for one connection.
    init() {
        loopThread = currentThread
        wakeups = nil
        slot = 0
    }

    /// A waker for the connection of `slot`, of the loop that the calling thread runs for several.
    init(for slot: Int32, in wakeups: LoopWakeups) {
        loopThread = currentThread
        self.wakeups = wakeups
        self.slot = slot
    }

    /// Whether the loop runs on the calling thread.
    var isThisThread: Bool { currentThread == loopThread }

    /// Wakes the loop. From the loop's own thread it is awake; one that serves several connections notes this one.
    func wake() {
        if let wakeups {
            wakeups.add(slot, wakes: !isThisThread)
        } else if !isThisThread {
            sendSignal(Signal.call, to: processID)
        }
    }
}
