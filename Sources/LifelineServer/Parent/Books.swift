import Posix

/// What the parent has for each child that there may be.
struct Books {
    var slots: Slots
    let children: ChildTable
    let done: DoneMarks

    init(_ most: Int) throws(SystemError) {
        slots = try Slots(most)
        children = try ChildTable(most)
        done = try DoneMarks(most)
    }
}
