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
        /// The process has more than one thread, so it cannot fork.
        case hasThreads
    }

    /// The kind of the error.
    public let kind: Kind
    /// A sentence for a person.
    public let description: String
    /// The error of the system behind it, where there is one.
    public let cause: SystemError?

    /// Throws where this process has more than one thread: a lock that another holds at a fork is held in the child for
    /// ever.
    static func checkThreads() throws(StartError) {
        let threads = threadCount()
        guard threads > 1 else { return }
        throw StartError(
            .hasThreads,
            "this process has \(threads) threads, and a server forks only from a process with one: call it from a main "
                + "function without async, before anything uses Task, Dispatch or a thread")
    }

    /// The status of sysexits.h that a program leaves with where it cannot serve: 64 for wrong options, 66 and 78 for the
    /// token file, 67 for a user, 69 for an address in use, a pidfile that is held or a program, 73 for a file, 77 for a
    /// permission, 71 for the system. The command `server` leaves with the same.
    public var exitStatus: Int32 {
        if let cause {
            if cause.isAddressInUse || cause.isHeld || kind == .noProgram && cause.isNotFound { return 69 }
            if cause.isPermissionDenied { return 77 }
        }
        switch kind {
        case .noProgram where cause == nil: return 69
        case .badOptions: return 64
        case .noFile: return 66
        case .badFile: return 78
        case .noUser: return 67
        case .noProgram, .cannotListen, .cannotOpen, .refused, .cannotBecome, .hasThreads:
            return cause?.isNoPlaceForFile ?? false ? 73 : 71
        }
    }

    init(_ kind: Kind, _ description: String, cause: SystemError? = nil) {
        self.kind = kind
        self.description = description
        self.cause = cause
    }
}
