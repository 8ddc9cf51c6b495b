import Glibc
import Posix

/// Which process decides about what it inherits.
public enum StartRole: Sendable {
    /// The command `server`, and a program with the library in it.
    case server
    /// A command that connects, and ends by the signals that end others.
    case client

    /// The signals that wait for the process to read them, where they came before it could.
    var readSignals: [Int32] {
        self == .server ? [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1] : []
    }

    /// What becomes of a signal.
    ///
    /// SIGTERM is never ignored: a supervisor has no other word for the end, and kills what does not hear it.
    func rule(for signal: Int32) -> SignalRule {
        switch signal {
        case SIGHUP, SIGINT, SIGQUIT: .wish
        case SIGUSR1: self == .server ? .wish : .unused
        case SIGTSTP, SIGTTIN: .jobControl
        case SIGTERM, SIGCHLD, SIGCONT, SIGURG, SIGWINCH: .needed
        // Where there is a limit of processor time, it has its default again.
        case SIGXCPU: self == .server ? .unused : .needed
        case SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS: .needed
        // Those that the C library keeps for its threads.
        case 32, 33: .hidden
        // SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT, SIGPWR, SIGPIPE, SIGXFSZ, those of real time. SIGTTOU is
        // one: a log on a terminal must not stop a server in the background.
        default: .unused
        }
    }
}

extension FoundDisposition {
    init(_ disposition: SignalDisposition) {
        self =
            switch disposition {
            case .standard: .standard
            case .ignored: .ignored
            case .handled: .handled
            }
    }
}
