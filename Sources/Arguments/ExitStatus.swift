import Basics

/// The exit statuses of the commands (sysexits.h(3head)).
public enum ExitStatus: Int32, Sendable {
    case ok = 0
    /// The command was typed wrongly.
    case usage = 64
    /// An input file cannot be read.
    case noInput = 66
    /// A user is not known.
    case noUser = 67
    /// A host name is not known.
    case noHost = 68
    /// A service is not there.
    case unavailable = 69
    /// An error inside the program.
    case software = 70
    /// The system refused a resource.
    case osError = 71
    /// A file cannot be made.
    case cannotCreate = 73
    /// Reading or writing failed.
    case ioError = 74
    /// Trying again later may help.
    case tryLater = 75
    /// The peer broke the protocol.
    case protocolError = 76
    /// The permission is missing.
    case noPermission = 77
    /// A configuration file is wrong.
    case badConfiguration = 78
}

/// An exit status of a command and what it means, for `--help` and the man page.
public struct ExitMeaning: Sendable {
    /// What the process leaves with.
    public let status: Int32
    /// When it leaves so, as words behind the number.
    public let meaning: String

    /// A status of sysexits.h.
    public init(_ status: ExitStatus, _ meaning: String) { self.init(status.rawValue, meaning) }

    /// Any status.
    public init(_ status: Int32, _ meaning: String) {
        self.status = status
        self.meaning = meaning
    }
}

/// A command that was typed wrongly: what was wrong, what is expected, and what to do.
public struct UsageError: Error, Equatable, CustomStringConvertible, Sendable {
    /// What was wrong, what is expected, and what to do.
    public let description: String

    /// An error with this text, which goes behind the name of the command. What is not printable is escaped: it may be what
    /// was typed.
    public init(_ description: String) { self.description = description.printable }
}
