import Glibc

/// What a process can be limited in (setrlimit(2)).
public enum ProcessLimit: Sendable {
    /// Bytes of address space (RLIMIT_AS): what goes over it is not given, malloc(3) fails.
    case memory
    /// Seconds of processor time (RLIMIT_CPU): SIGXCPU kills at the limit.
    case processorTime
    /// Descriptors (RLIMIT_NOFILE): open(2) fails with EMFILE.
    case files
    /// Processes and threads of the user, all together, which binds everybody but root (RLIMIT_NPROC): fork(2) fails
    /// with EAGAIN.
    case processes

    private var resource: Int32 {
        switch self {
        case .memory: Int32(RLIMIT_AS.rawValue)
        case .processorTime: Int32(RLIMIT_CPU.rawValue)
        case .files: Int32(RLIMIT_NOFILE.rawValue)
        case .processes: Int32(__RLIMIT_NPROC.rawValue)
        }
    }

    /// What binds this process now; nil for no limit.
    public var current: UInt64? {
        var limit = rlimit()
        getrlimit(resource, &limit)
        return limit.rlim_cur == rlim_t.max ? nil : UInt64(limit.rlim_cur)
    }

    /// Lifts what binds this process to the most that it may have (the hard limit), and returns that; nil for no limit.
    @discardableResult
    public func raise() -> UInt64? {
        var limit = rlimit()
        getrlimit(resource, &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
        return current
    }

    /// Sets the limit of this process to `most`, for ever; one that is lower already stays.
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
