import Basics
import Framing
import Liveness

/// One-way messages that wait because an empty one has to (Protocol.md, 5.10-2).
///
/// An empty message costs its receiver a token, and a receiver without one drops its sender. So an empty message waits here
/// until the sender's own bucket pays for it. The messages behind it wait too: one-way messages keep their order.
final class HeldMessages {
    /// The client's other tokens are for PINGs, and for frames that arrive closer together than they were sent.
    private static let capacity = 12

    /// Nil where empty messages are free.
    @exclusivity(unchecked) private var bucket: TokenBucket?
    @exclusivity(unchecked) private var waiting = Queue<ArraySlice<UInt8>>()
    /// What those that wait cost.
    @exclusivity(unchecked) private(set) var cost = 0

    /// Charges empty messages from now on; the client's bucket is full.
    func charge(_ heartbeat: Heartbeat) {
        bucket = TokenBucket(heartbeat, capacity: HeldMessages.capacity)
    }

    /// Whether no message waits.
    @inline(__always) var isEmpty: Bool { waiting.isEmpty }

    /// When the first message that waits can go; nil where none waits.
    @inline(__always) var deadline: Instant? {
        waiting.isEmpty ? nil : bucket?.nextToken(at: Instant(sinceStart: .zero))
    }

    /// Returns whether `message` may go at once, and keeps it where not.
    func admits(_ message: ArraySlice<UInt8>, at now: Instant) -> Bool {
        if waiting.isEmpty, isPaid(message, at: now) { return true }
        waiting.append(message)
        cost += Credit.cost(of: message.count)
        return false
    }

    /// Takes out the next message that may go at `now`.
    func next(at now: Instant) -> ArraySlice<UInt8>? {
        guard let message = waiting.first, isPaid(message, at: now) else { return nil }
        waiting.removeFirst()
        cost -= Credit.cost(of: message.count)
        return message
    }

    /// Takes out all messages, because the connection ends: those that cost nothing, and how many others there were.
    func removeAll() -> (free: [ArraySlice<UInt8>], unpaid: Int) {
        let free = waiting.remove { !$0.isEmpty }
        defer { (waiting, cost) = (Queue(), 0) }
        return (free, waiting.count)
    }

    private func isPaid(_ message: ArraySlice<UInt8>, at now: Instant) -> Bool {
        guard message.isEmpty, bucket != nil else { return true }
        return bucket!.spend(at: now)
    }
}
