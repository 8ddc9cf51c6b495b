import Synchronization

/// The messages on their way from the callers of `send` to the I/O thread.
///
/// While the lane is open, a message is on its way when it is here: the caller knows its number, and neither waits nor wakes a
/// thread that is awake. The I/O thread opens the lane with what the session allows. It shuts the lane, and takes what is
/// here, before anything that may end the connection in order, so that no message is left behind.
final class MessageLane: Sendable {
    fileprivate struct State {
        /// Nil where the lane is shut.
        var allowance: MessageAllowance?
        var messages: [[UInt8]] = []
        var bytes = 0
        /// The number of the last message.
        var lastNumber = 0
        /// Whether the I/O thread looks here before it sleeps.
        var isAttended = false
    }

    private let state = Mutex(State())

    /// Adds `message` and returns its number, and whether the I/O thread has to be woken; nil where the session has to decide.
    func add(_ message: [UInt8]) -> (number: Int, wakes: Bool)? {
        state.withLock { state in
            guard let number = state.allowance?.take(message.count) else { return nil }
            state.messages.append(message)
            state.bytes += message.count
            state.lastNumber = number
            let wakes = !state.isAttended
            state.isAttended = true
            return (number, wakes)
        }
    }

    /// The number of the last message that was added.
    var lastNumber: Int { state.withLock { $0.lastNumber } }

    // MARK: The I/O thread

    /// Exchanges the messages for `spare`, an empty array.
    func take(into spare: inout [[UInt8]]) {
        state.withLock { state in
            state.isAttended = true
            state.takeMessages(into: &spare)
        }
    }

    /// The same, and no message is added until `open`.
    func shut(into spare: inout [[UInt8]]) {
        state.withLock { state in
            state.allowance = nil
            state.takeMessages(into: &spare)
        }
    }

    /// Opens the lane to what `allowance` has room for, less what is here.
    ///
    /// With `sleeps` the next message wakes the thread. Returns whether messages are here already, so that it must not sleep.
    func open(_ allowance: MessageAllowance, sleeps: Bool) -> Bool {
        state.withLock { state in
            state.allowance = allowance
            state.allowance?.count(state.messages.count, bytes: state.bytes)
            state.isAttended = !sleeps || !state.messages.isEmpty
            return !state.messages.isEmpty
        }
    }
}

extension MessageLane.State {
    fileprivate mutating func takeMessages(into spare: inout [[UInt8]]) {
        swap(&messages, &spare)
        bytes = 0
    }
}
