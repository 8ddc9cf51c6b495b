import Posix

/// What the parent orders its children, in memory that they can only read: none of them can order another.
struct ChildCommands: Sendable {
    /// What a parent wants of a child that it sends a SIGTERM.
    enum Order: Equatable, Sendable {
        /// To send its client away, which may come back after so many milliseconds, and to go on until it has gone.
        case sendAway(retryAfter: UInt32)
        /// To end its connection.
        case end
        /// To end it at once, because an operator says so.
        case kick
    }

    /// One child's.
    struct Own {
        fileprivate let board: ReadOnlySharedMemory
        fileprivate let index: Int

        /// What the parent wants. Looked at when SIGTERM has come; nil where the signal is somebody else's.
        var order: Order? {
            switch board[index] {
            case ChildCommands.sendAway: .sendAway(retryAfter: board[index + 1])
            case ChildCommands.end: .end
            case ChildCommands.kick: .kick
            default: nil
            }
        }
    }

    private static let sendAway: UInt32 = 1
    private static let end: UInt32 = 2
    private static let kick: UInt32 = 3

    /// The level, then two numbers for each slot: its order, and a time to come back.
    private let board: ReadOnlySharedMemory

    /// Of a server that may have so many children at a time.
    init(most: Int, level: LogLevel) throws(SystemError) {
        board = try ReadOnlySharedMemory(1 + 2 * most)
        logLevel = level
    }

    /// What is logged, by the parent and by every child.
    var logLevel: LogLevel {
        get {
            let all = LogLevel.allCases
            return all[min(Int(board[0]), all.count - 1)]
        }
        nonmutating set { board[0] = UInt32(LogLevel.allCases.firstIndex(of: newValue)!) }
    }

    /// The orders of the child in a slot.
    subscript(slot: Int) -> Own { Own(board: board, index: 1 + 2 * slot) }

    /// The slot is a new child's.
    func clear(_ slot: Int) {
        let index = self[slot].index
        if board[index] != 0 { board[index] = 0 }
    }

    /// What the child in a slot shall do when it gets the next SIGTERM; who is kicked stays it.
    func give(_ order: Order, to slot: Int) {
        let index = self[slot].index
        guard board[index] != ChildCommands.kick else { return }
        switch order {
        case .sendAway(let retryAfter):
            board[index + 1] = retryAfter
            board[index] = ChildCommands.sendAway
        case .end: board[index] = ChildCommands.end
        case .kick: board[index] = ChildCommands.kick
        }
    }
}
