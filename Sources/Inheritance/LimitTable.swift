import Posix

extension StartRole {
    /// What the process needs of each limit.
    var limits: [(ProcessLimit, LimitRule)] {
        [
            (.files, LimitRule(least: self == .server ? 32 : 16, enough: 1024)),
            (.memory, LimitRule(least: leastMemory)),
            (.data, LimitRule(least: leastMemory)),
            (.stack, LimitRule(least: 256 << 10, enough: 1 << 20, wanted: 8 << 20)),
        ]
    }

    /// Bytes of address space, or of private memory.
    private var leastMemory: UInt64 { self == .server ? 32 << 20 : 64 << 20 }
}

extension ProcessLimit {
    /// The command of a shell that changes it.
    var command: String {
        switch self {
        case .memory: "ulimit -v"
        case .processorTime: "ulimit -t"
        case .files: "ulimit -n"
        case .processes: "ulimit -u"
        case .data: "ulimit -d"
        case .stack: "ulimit -s"
        case .fileSize: "ulimit -f"
        }
    }
}
