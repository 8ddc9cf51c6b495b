import Glibc

/// A resource that the kernel limits for a process (setrlimit(2)).
public enum ProcessLimit: Sendable {
    /// Bytes of address space (RLIMIT_AS). Beyond it malloc(3) fails.
    case memory
    /// Seconds of processor time (RLIMIT_CPU). At the limit SIGXCPU kills the process.
    case processorTime
    /// Descriptors (RLIMIT_NOFILE). Beyond it open(2) fails with EMFILE.
    case files
    /// Processes and threads of the user together (RLIMIT_NPROC). Beyond it fork(2) fails with EAGAIN. It does not bind
    /// root.
    case processes

    private var resource: Int32 {
        switch self {
        case .memory: Int32(RLIMIT_AS.rawValue)
        case .processorTime: Int32(RLIMIT_CPU.rawValue)
        case .files: Int32(RLIMIT_NOFILE.rawValue)
        case .processes: Int32(__RLIMIT_NPROC.rawValue)
        }
    }

    /// The limit of this process now (the soft limit); nil for none.
    public var current: UInt64? {
        var limit = rlimit()
        getrlimit(resource, &limit)
        return limit.rlim_cur == rlim_t.max ? nil : UInt64(limit.rlim_cur)
    }

    /// Raises the soft limit of this process to its hard limit, and returns it; nil for none.
    @discardableResult
    public func raise() -> UInt64? {
        var limit = rlimit()
        getrlimit(resource, &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
        return current
    }

    /// Lowers the limit of this process to `most` for good. A lower limit stays.
    public func lower(to most: UInt64) {
        let most = rlim_t(most)
        var limit = rlimit()
        getrlimit(resource, &limit)
        // At its hard limit of processor time a process is killed without SIGXCPU, which says why.
        limit.rlim_max = min(limit.rlim_max, self == .processorTime ? most + 1 : most)
        limit.rlim_cur = min(limit.rlim_cur, most, limit.rlim_max)
        let result = setrlimit(resource, &limit)
        precondition(result == 0, "setrlimit to lower values needs no permission")
    }
}
