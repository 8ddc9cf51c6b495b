import Posix

/// What the parent has for each child that there may be.
struct Books {
    var slots: Scoreboard
    let children: ChildTable
    let done: CompletionBitmap

    init(_ most: Int) throws(SystemError) {
        slots = try Scoreboard(most)
        children = try ChildTable(most)
        done = try CompletionBitmap(most)
    }
}
