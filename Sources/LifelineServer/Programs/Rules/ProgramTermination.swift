import Basics

/// The end of a program in steps: the end of its input, then SIGTERM, then SIGKILL. At each step the program has the
/// grace to leave by itself.
struct ProgramTermination {
    enum Step: Equatable, Sendable {
        /// Close its standard input.
        case endInput
        /// Send SIGTERM to its process group.
        case terminate
        /// Send SIGKILL to its process group.
        case kill
        /// Stop waiting: it was killed and is not gone, so it hangs in the kernel.
        case giveUp
    }

    /// How long a killed process is waited for.
    static let patience = Duration.seconds(5)

    private enum Stage: Int { case running, inputEnded, terminated, killed, over }

    private let grace: Duration
    private var stage = Stage.running
    private(set) var deadline: Instant?

    init(grace: Duration) { self.grace = grace }

    /// Whether this side ended the program, which then is not to blame.
    private(set) var wasTerminated = false

    /// Begins the end of a program that is no longer needed: it may finish what it has read.
    mutating func endInput(at now: Instant) -> Step? {
        guard stage == .running else { return nil }
        stage = .inputEnded
        deadline = now + grace
        return .endInput
    }

    /// Gives a program whose input ends more time: it still reads, or works on what it has read.
    mutating func extend(until instant: Instant) {
        if stage == .inputEnded { deadline = instant }
    }

    /// Goes on to SIGTERM: what the program does is no longer wanted.
    mutating func terminate(at now: Instant) -> Step? {
        guard stage.rawValue < Stage.terminated.rawValue else { return nil }
        stage = .terminated
        wasTerminated = true
        deadline = now + grace
        return .terminate
    }

    /// Records that the program has exited; the processes that it left are being killed.
    mutating func exited(at now: Instant) {
        guard stage.rawValue < Stage.killed.rawValue else { return }
        stage = .killed
        deadline = now + ProgramTermination.patience
    }

    /// Records that no process of the program is left.
    mutating func collected() {
        stage = .over
        deadline = nil
    }

    mutating func resumed(at now: Instant) -> Step? {
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

/// The way a program ended.
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
