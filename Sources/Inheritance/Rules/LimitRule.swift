/// What a process needs of one limit of the system (setrlimit(2)).
public struct LimitRule: Equatable, Sendable {
    /// Below this the process cannot do its work.
    public let least: UInt64
    /// From this on a limit is left as it is.
    public let enough: UInt64
    /// What a lower limit is raised to, as far as that is allowed.
    public let wanted: UInt64

    /// A need of at least `least`; what is below `enough` is raised to `wanted`.
    public init(least: UInt64, enough: UInt64? = nil, wanted: UInt64? = nil) {
        self.least = least
        self.enough = enough ?? least
        self.wanted = wanted ?? enough ?? least
    }

    /// What becomes of a limit.
    public enum Verdict: Equatable, Sendable {
        case keep
        /// The soft limit is set to this.
        case set(UInt64)
        /// Even the hard limit is too low.
        case tooLow(UInt64)
    }

    /// Decides on a soft and a hard limit; nil is no limit.
    public func decide(soft: UInt64?, hard: UInt64?) -> Verdict {
        if let hard, hard < least { return .tooLow(hard) }
        guard let soft, soft < enough else { return .keep }
        let most = min(wanted, hard ?? .max)
        return most > soft ? .set(most) : .keep
    }
}

/// What a process that lives for long does about a limit of its processor time (RLIMIT_CPU in getrlimit(2)).
///
/// At the soft limit it gets SIGXCPU, and ends in order. At the hard limit the kernel kills it, without the signal where
/// the two are equal.
public enum ProcessorTimeRule {
    /// Below this many seconds a server would be killed before it has ended its connections.
    public static let least: UInt64 = 5

    /// Decides on a soft and a hard limit in seconds; nil is no limit.
    public static func decide(soft: UInt64?, hard: UInt64?) -> LimitRule.Verdict {
        guard let soft else { return .keep }
        if soft < least { return .tooLow(soft) }
        return soft == hard ? .set(soft - 1) : .keep
    }
}

/// The stacks of threads, which the C library makes as large as the limit of the first thread's (pthread_create(3)).
public enum StackRule {
    /// Where the limit is larger, no process could have a few of them.
    static let most: UInt64 = 1 << 30
    /// Below this a thread cannot do its work.
    static let least: UInt64 = 1 << 20
    static let usual: UInt64 = 8 << 20
    /// Several threads and all else have to fit into the memory of a process.
    static let share: UInt64 = 16

    /// The size that threads get; nil where the C library's choice is right. `soft` is the limit now, and `memory` that of
    /// the address space; nil is none.
    public static func threadStack(soft: UInt64?, memory: UInt64?) -> UInt64? {
        let stack = soft.map { $0 < least || $0 > most ? usual : $0 }
        guard let memory else { return stack }
        return max(least, min(stack ?? usual, memory / share))
    }
}
