/// The seconds of several processes, numbered from 0, as those of one.
struct MergedSeconds {
    private struct ProcessSeconds {
        /// The number of measured seconds that it has told about.
        var measured = 0
        var isOver = false
        var connected = 0
        var failed: UInt64 = 0
    }

    /// The measured seconds that every process has told about, or never will.
    private(set) var measured: [LoadCounters.Second] = []
    private var members: [ProcessSeconds]
    /// The measured seconds behind those.
    private var pending: [LoadInterval] = []
    /// All since the last `progress`.
    private var recent = LoadInterval()
    private var stage = "connecting"

    init(count: Int) { members = Array(repeating: ProcessSeconds(), count: count) }

    /// Adds a second of process `index`.
    ///
    /// - Parameters:
    ///   - interval: What happened in it.
    ///   - index: The process.
    ///   - isMeasured: Whether it belongs to the measured time.
    ///   - stage: The stage of that process.
    ///   - failed: The number of its requests that have failed until now.
    mutating func add(_ interval: LoadInterval, of index: Int, isMeasured: Bool, stage: String, failed: UInt64) {
        recent.merge(interval)
        self.stage = stage
        members[index].connected = interval.connected
        members[index].failed = failed
        guard isMeasured else { return }
        let place = members[index].measured - measured.count
        members[index].measured += 1
        if place < pending.count { pending[place].merge(interval) } else { pending.append(interval) }
        settle()
    }

    /// Process `index` tells nothing more.
    mutating func end(of index: Int) {
        members[index].isOver = true
        members[index].connected = 0
        settle()
    }

    private mutating func settle() {
        while !pending.isEmpty, members.allSatisfy({ $0.isOver || $0.measured > measured.count }) {
            measured.append(LoadCounters.Second(pending.removeFirst()))
        }
    }

    /// The state of all processes; its second is what was added since the last call.
    mutating func progress(elapsed: Nanoseconds) -> Progress {
        recent.connected = members.reduce(0) { $0 + $1.connected }
        defer { recent = LoadInterval() }
        return Progress(
            stage: stage, elapsed: elapsed, second: LoadCounters.Second(recent),
            failed: members.reduce(0) { $0 + $1.failed })
    }
}
