import Posix

/// Wakes the event loop of this process from its other threads.
///
/// It sends the process a signal that the loop reads as data. Signals that wait are one signal, so the loop asks each of
/// its connections what has changed.
struct LoopWaker: Sendable {
    private let loopThread: UInt
    /// The connection of `slot` in a loop with others; nil where the process has one connection.
    private let shared: (wakeups: LoopWakeups, slot: Int32)?

    /// A waker of the loop that the calling thread runs for one connection.
    init() {
        loopThread = currentThread
        shared = nil
    }

    /// A waker for the connection of `slot`, of the loop that the calling thread runs for several.
    init(for slot: Int32, in wakeups: LoopWakeups) {
        loopThread = currentThread
        shared = (wakeups, slot)
    }

    /// Whether the loop runs on the calling thread.
    var isThisThread: Bool { currentThread == loopThread }

    /// Wakes the loop. From the loop's own thread it is awake; one that serves several connections notes this one.
    func wake() {
        if let shared {
            shared.wakeups.add(shared.slot, wakes: !isThisThread)
        } else if !isThisThread {
            sendSignal(Signal.call, to: processID)
        }
    }
}
