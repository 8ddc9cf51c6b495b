import LifelineClient
import Posix
import Synchronization

/// Puts what is printed behind the events that came before it: events, replies, messages and requests of the server are
/// printed by tasks and threads of their own.
final class EventOrder: Sendable {
    private struct State {
        /// The number of events that are printed, or need not be.
        var shown = 0
        var waiting: [(event: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = ConditionLock(State())
    private let connection = Mutex<LongConnection?>(nil)

    /// Begins to count the events of `connection`.
    func follow(_ connection: LongConnection) { self.connection.withLock { $0 = connection } }

    /// The number of the last event that has come. A connection that is not followed yet has at least its first to tell.
    private var last: Int { connection.withLock { $0?.publishedEvents } ?? 1 }

    /// Another event is printed.
    func shown() {
        let ready = state.withLock { state in
            state.shown += 1
            let shown = state.shown
            defer { state.waiting.removeAll { $0.event <= shown } }
            return state.waiting.filter { $0.event <= shown }
        }
        state.notify()
        for waiter in ready { waiter.continuation.resume() }
    }

    /// Waits, in a task, until the events that have come are printed.
    func follows() async {
        let last = last
        await withCheckedContinuation { continuation in
            let isShown = state.withLock { state in
                if state.shown < last { state.waiting.append((last, continuation)) }
                return state.shown >= last
            }
            if isShown { continuation.resume() }
        }
    }

    /// Waits for the same in a thread that may block.
    func followsInThread() {
        let last = last
        _ = state.wait { $0.shown >= last ? true : nil }
    }
}
