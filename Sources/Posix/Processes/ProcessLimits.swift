import CPosix
import Glibc

/// A resource that the kernel limits for a process (setrlimit(2)).
public enum ProcessLimit: CaseIterable, Sendable {
    /// Bytes of address space (RLIMIT_AS). Beyond it malloc(3) fails.
    case memory
    /// Seconds of processor time (RLIMIT_CPU). At the limit SIGXCPU kills the process.
    case processorTime
    /// Descriptors (RLIMIT_NOFILE). Beyond it open(2) fails with EMFILE.
    case files
    /// Processes and threads of the user together (RLIMIT_NPROC). Beyond it fork(2) fails with EAGAIN. It does not bind
    /// root.
    case processes
    /// Bytes of private memory (RLIMIT_DATA). Beyond it malloc(3) fails.
    case data
    /// Bytes of the stack of the first thread (RLIMIT_STACK). Beyond it SIGSEGV kills the process.
    case stack
    /// Bytes of a file that this process makes longer (RLIMIT_FSIZE). Beyond it write(2) fails with EFBIG, and SIGXFSZ kills
    /// a process that does not ignore it.
    case fileSize

    /// The limit that the kernel enforces, and the one up to which a process may raise it; nil is no limit.
    public struct Pair: Equatable, Sendable {
        /// What the kernel enforces.
        public var soft: UInt64?
        /// What `soft` may be raised to.
        public var hard: UInt64?

        /// Both limits; nil is no limit.
        public init(soft: UInt64?, hard: UInt64?) {
            self.soft = soft
            self.hard = hard
        }
    }

    /// Both limits of this process now.
    public var pair: Pair {
        var limit = rlimit()
        getrlimit(resource, &limit)
        func value(_ limit: rlim_t) -> UInt64? { limit == rlim_t.max ? nil : UInt64(limit) }
        return Pair(soft: value(limit.rlim_cur), hard: value(limit.rlim_max))
    }

    /// Sets the soft limit; the hard limit stays. Returns false where that is lower.
    @discardableResult
    public func set(soft: UInt64?) -> Bool {
        var limit = rlimit()
        getrlimit(resource, &limit)
        limit.rlim_cur = soft.map { rlim_t($0) } ?? rlim_t.max
        return setrlimit(resource, &limit) == 0
    }

    /// The number of the resource, for setrlimit(2).
    public var resource: Int32 {
        switch self {
        case .memory: Int32(RLIMIT_AS.rawValue)
        case .processorTime: Int32(RLIMIT_CPU.rawValue)
        case .files: Int32(RLIMIT_NOFILE.rawValue)
        case .processes: Int32(__RLIMIT_NPROC.rawValue)
        case .data: Int32(RLIMIT_DATA.rawValue)
        case .stack: Int32(RLIMIT_STACK.rawValue)
        case .fileSize: Int32(RLIMIT_FSIZE.rawValue)
        }
    }

    /// The name of the limit, as getrlimit(2) has it.
    public var name: String {
        switch self {
        case .memory: "RLIMIT_AS"
        case .processorTime: "RLIMIT_CPU"
        case .files: "RLIMIT_NOFILE"
        case .processes: "RLIMIT_NPROC"
        case .data: "RLIMIT_DATA"
        case .stack: "RLIMIT_STACK"
        case .fileSize: "RLIMIT_FSIZE"
        }
    }

    /// The limit of this process now (the soft limit); nil for none.
    public var current: UInt64? { pair.soft }

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

/// A soft limit that this process has changed for itself. The programs that it starts get the one that it inherited.
public struct ChangedLimit: Equatable, Sendable {
    /// Which limit.
    public let limit: ProcessLimit
    /// The soft limit that this process was started with; nil is no limit.
    public let inherited: UInt64?
    /// The soft limit that it has given itself.
    public let own: UInt64?

    /// A limit that was `inherited`, and is `own` now.
    public init(_ limit: ProcessLimit, inherited: UInt64?, own: UInt64?) {
        self.limit = limit
        self.inherited = inherited
        self.own = own
    }

    var forProgram: cposix_limit {
        cposix_limit(
            resource: limit.resource, inherited: CUnsignedLongLong(inherited ?? .max),
            own: CUnsignedLongLong(own ?? .max))
    }
}
