import Basics
import Posix

// What the process does beside its connections.
extension SharedProcess {
    /// Does what is due beside the connections.
    func keepHouse() {
        if housekeeping.isCalled, housekeeping.takeCall(at: now) { readInboxes() }
        if housekeeping.hasFreeMemory, housekeeping.takeRelease(at: now) { releaseFreeMemory() }
        if count != housekeeping.titledCount { updateTitle() }
        guard load.isDue(at: now) else { return }
        load.update(at: now)
        context.board.load = load.figure
        if threads.lostThreads > 0 || housekeeping.takeMeasurement(at: now) && hasGrownTooBig {
            context.board.isLeaving = true
        }
    }

    /// Whether more than three quarters of the address space that it may have (`--max-memory`) are used.
    private var hasGrownTooBig: Bool {
        guard let most = ProcessLimit.memory.current, let size = SystemFigures.addressSpace else { return false }
        return size > most / 4 * 3
    }

    /// Shows operators how many connections there are.
    func updateTitle() {
        housekeeping.titledCount = count
        guard let title = context.title else { return }
        guard count > 0 else { return title.set("lifeline: waiting") }
        TextBuffer.with { text in
            var text = text
            text.put("lifeline: ")
            text.put(decimal: UInt64(count))
            text.put(count == 1 ? " connection" : " connections")
            text.withBytes { title.set($0) }
        }
    }
}
