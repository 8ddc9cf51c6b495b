import Posix

/// Commands from the parent to its children, and the log level, in shared memory that children map read-only: no child
/// can command another.
struct ChildCommands: Sendable {
    /// What the parent wants of a child that it sends a SIGTERM.
    enum ChildCommand: Equatable, Sendable {
        /// To send its client away, which may return after `retryAfter` milliseconds, and to go on until it has gone.
        case sendAway(retryAfter: UInt32)
        /// To end its connection.
        case end
        /// To end it at once, because an operator says so.
        case kick
    }

    /// Where one child finds its command.
    struct Inbox {
        fileprivate let memory: ReadOnlySharedMemory
        fileprivate let index: Int

        /// Read when SIGTERM has come; nil where the signal is not the parent's.
        var command: ChildCommand? {
            switch memory[index] {
            case ChildCommands.sendAway: .sendAway(retryAfter: memory[index + 1])
            case ChildCommands.end: .end
            case ChildCommands.kick: .kick
            default: nil
            }
        }
    }

    private static let sendAway: UInt32 = 1
    private static let end: UInt32 = 2
    private static let kick: UInt32 = 3

    /// The level, then two numbers for each slot: its command, and the retry_after that belongs to it.
    private let memory: ReadOnlySharedMemory

    /// Maps memory for `slots` children (mmap(2)).
    init(slots: Int, level: LogLevel) throws(SystemError) {
        memory = try ReadOnlySharedMemory(1 + 2 * slots)
        logLevel = level
    }

    /// What is logged, by the parent and by every child.
    var logLevel: LogLevel {
        get {
            let all = LogLevel.allCases
            return all[min(Int(memory[0]), all.count - 1)]
        }
        nonmutating set { memory[0] = UInt32(LogLevel.allCases.firstIndex(of: newValue)!) }
    }

    /// The inbox of the child in a slot.
    subscript(slot: Int) -> Inbox { Inbox(memory: memory, index: 1 + 2 * slot) }

    /// Empties the inbox of a slot that a new connection gets.
    func clear(_ slot: Int) {
        let index = self[slot].index
        if memory[index] != 0 { memory[index] = 0 }
    }

    /// Puts a command in the inbox of a slot, for the next SIGTERM. A kick stays: no command takes its place.
    func post(_ command: ChildCommand, to slot: Int) {
        let index = self[slot].index
        guard memory[index] != ChildCommands.kick else { return }
        switch command {
        case .sendAway(let retryAfter):
            memory[index + 1] = retryAfter
            memory[index] = ChildCommands.sendAway
        case .end: memory[index] = ChildCommands.end
        case .kick: memory[index] = ChildCommands.kick
        }
    }
}
