import Synchronization
import RawWire

/// A number that tasks count up together.
final class Counter: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    func add() { count.add(1, ordering: .sequentiallyConsistent) }

    /// Waits until it has come to `goal`.
    func wait(for goal: Int) async {
        let deadline = SuspendingClock.now + RawPeer.patience
        while value < goal, SuspendingClock.now < deadline { try? await Task.sleep(for: .milliseconds(2)) }
    }
}
