import Posix

/// Why a server cannot start: what was tried, what the system said, and what to do.
public struct StartError: Error, CustomStringConvertible, Sendable {
    /// The kind of an error, for an exit status.
    public enum Kind: Sendable {
        /// An option cannot mean anything: `host` is not an address, or `user` is root.
        case badOptions
        /// The system does not let the server listen.
        case cannotListen
        /// The log or the pidfile cannot be made, or another server holds the pidfile.
        case cannotOpen
        /// The system refuses something else.
        case refused
        /// The token file cannot be read.
        case noFile
        /// The token file has a line that is none of a token file.
        case badFile
        /// The program is not there, or cannot be executed.
        case noProgram
        /// There is no such user or group.
        case noUser
        /// The system does not let the server become that user.
        case cannotBecome
    }

    /// The kind of the error.
    public let kind: Kind
    /// A sentence for a person.
    public let description: String
    /// The error of the system behind it, where there is one.
    public let cause: SystemError?

    init(_ kind: Kind, _ description: String, cause: SystemError? = nil) {
        self.kind = kind
        self.description = description
        self.cause = cause
    }
}
