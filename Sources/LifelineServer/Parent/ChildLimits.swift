import Basics
import Inheritance
import Posix

/// What a child may take of the system at most, as flags say; nil is no limit (setrlimit(2)).
struct ChildLimits {
    private let memory: UInt64?
    private let processorTime: Duration?
    private let files: UInt64?
    /// Whether the parent reads SIGXCPU for a limit of its own, which binds the child too.
    private let hasInheritedTime = ProcessStart.current.hasProcessorTimeLimit

    init(_ options: ServerOptions) {
        memory = options.maxMemory
        processorTime = options.maxCPU
        files = options.maxFiles
    }

    /// In a child: lowers its limits.
    func apply() {
        if hasInheritedTime { unblock(Signal.processorTimeOver) }
        if let memory { ProcessLimit.memory.lower(to: memory) }
        if let processorTime {
            SignalDisposition.set(Signal.processorTimeOver, isIgnored: false)
            ProcessLimit.processorTime.lower(to: UInt64((processorTime / .seconds(1)).rounded(.up)))
        }
        if let files { ProcessLimit.files.lower(to: files) }
    }

    /// The limit that a child has died of, by the name of its flag; nil where it was none.
    func limit(thatEnded child: Ended, _ slot: Scoreboard.Slot) -> String? {
        if child.signal == Signal.processorTimeOver, processorTime != nil { return "max-cpu" }
        // The allocation that failed is not in it, and is the greater part as a rule: an array grows by doubling.
        if let memory, slot.crashSize >= memory / 3 { return "max-memory" }
        return nil
    }
}
