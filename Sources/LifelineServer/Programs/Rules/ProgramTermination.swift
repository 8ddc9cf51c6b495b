import Basics

/// How a program is ended: the end of its input, then TERM, then KILL, each when it had the grace to leave by itself.
struct ProgramTermination {
    enum Step: Equatable, Sendable {
        /// Its input ends.
        case endInput
        /// SIGTERM to its process group.
        case terminate
        /// SIGKILL to its process group.
        case kill
        /// It was killed and is not gone: it hangs in the kernel, and nobody can help it.
        case giveUp
    }

    /// A killed process is waited for so long.
    static let patience = Duration.seconds(5)

    private enum Stage: Int { case running, inputEnded, terminated, killed, over }

    private let grace: Duration
    private var stage = Stage.running
    private(set) var deadline: Instant?

    init(grace: Duration) { self.grace = grace }

    /// Whether the program was told to end, so that its end is our doing.
    private(set) var wasTerminated = false

    /// The program is no longer needed: it may finish what it has read.
    mutating func endInput(at now: Instant) -> Step? {
        guard stage == .running else { return nil }
        stage = .inputEnded
        deadline = now + grace
        return .endInput
    }

    /// What the program does is no longer wanted.
    mutating func terminate(at now: Instant) -> Step? {
        guard stage.rawValue < Stage.terminated.rawValue else { return nil }
        stage = .terminated
        wasTerminated = true
        deadline = now + grace
        return .terminate
    }

    /// The program has exited, and what is left of it is being killed.
    mutating func exited(at now: Instant) {
        guard stage.rawValue < Stage.killed.rawValue else { return }
        stage = .killed
        deadline = now + ProgramTermination.patience
    }

    /// Nothing is left that could be killed.
    mutating func collected() {
        stage = .over
        deadline = nil
    }

    mutating func woke(at now: Instant) -> Step? {
        guard let deadline, deadline <= now else { return nil }
        switch stage {
        case .inputEnded: return terminate(at: now)
        case .terminated:
            stage = .killed
            self.deadline = now + ProgramTermination.patience
            return .kill
        case .killed:
            stage = .over
            self.deadline = nil
            return .giveUp
        case .running, .over: return nil
        }
    }
}

/// How a program ended.
enum ProgramExit: Equatable, CustomStringConvertible {
    case status(Int32)
    /// By its name.
    case signal(String)
    /// It was killed and is still there.
    case hung

    var description: String {
        switch self {
        case .status(let status): "exited with status \(status)"
        case .signal(let signal): "was killed by \(signal)"
        case .hung: "cannot be killed"
        }
    }
}
