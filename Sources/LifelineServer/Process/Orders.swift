import Posix

/// What the parent orders its children, in memory that they can only read: none of them can order another.
struct Orders: Sendable {
    /// One child's.
    struct Own {
        fileprivate let board: Board
        fileprivate let index: Int

        /// Whether an operator ends the connection. Looked at when SIGTERM has come.
        var isKicked: Bool { board[index] != 0 }
    }

    private let board: Board

    /// Of a server that may have so many children at a time.
    init(most: Int, level: LogLevel) throws(SystemError) {
        board = try Board(1 + most)
        logLevel = level
    }

    /// What is logged, by the parent and by every child.
    var logLevel: LogLevel {
        get {
            let all = LogLevel.allCases
            return all[min(Int(board[0]), all.count - 1)]
        }
        nonmutating set { board[0] = UInt8(LogLevel.allCases.firstIndex(of: newValue)!) }
    }

    /// The orders of the child in a slot.
    subscript(slot: Int) -> Own { Own(board: board, index: 1 + slot) }

    /// The slot is a new child's.
    func clear(_ slot: Int) { if board[1 + slot] != 0 { board[1 + slot] = 0 } }

    /// The child ends its connection when it gets SIGTERM.
    func kick(_ slot: Int) { board[1 + slot] = 1 }
}
