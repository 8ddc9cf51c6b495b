import CPosix
import Glibc

/// A system call that failed for a reason that lies outside this program (errno(3)).
public struct SystemError: Error, Equatable, Sendable {
    /// The call, as in its man page.
    public let call: String
    /// The value of errno.
    public let code: Int32

    /// Our own mistakes are no errors to handle: they trap.
    public init(_ call: String, _ code: Int32 = errno) {
        precondition(code != EBADF && code != EFAULT, "\(call) was called wrongly: errno \(code)")
        self.call = call
        self.code = code
    }
}

extension SystemError: CustomStringConvertible {
    /// For people: `bind: Address already in use`.
    public var description: String { "\(call): \(text)" }

    /// `EAGAIN`, or the number where it has no name.
    public var name: String { cposix_error_name(code).map { String(cString: $0) } ?? "\(code)" }

    /// The text of errno alone.
    public var text: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            String(cString: cposix_error_text(code, buffer.baseAddress, buffer.count))
        }
    }
}

extension SystemError {
    /// bind(2): another socket has the address (EADDRINUSE).
    public var isAddressInUse: Bool { code == EADDRINUSE }
    /// Another process holds the lock of a file (EAGAIN of fcntl(2)).
    public var isHeld: Bool { self == .held }
    /// What `isHeld` asks for.
    public static let held = SystemError("fcntl", EAGAIN)
    /// A file cannot be made, because of where it would lie (open(2)).
    public var isNoPlaceForFile: Bool { call == "open" && [ENOENT, ENOTDIR, EISDIR, EROFS, ELOOP].contains(code) }
    /// The permission is missing (EACCES, EPERM).
    public var isPermissionDenied: Bool { code == EACCES || code == EPERM }
    /// connect(2) to a Unix socket: there is no such file, or nobody listens on it (ENOENT, ECONNREFUSED).
    public var isNobodyThere: Bool { code == ENOENT || code == ECONNREFUSED }
    /// connect(2) to a Unix socket whose listener has no more room (EAGAIN).
    public var isBacklogFull: Bool { call == "connect" && code == EAGAIN }
    /// The peer has thrown the connection away (ECONNRESET, or EPIPE behind it).
    public var isReset: Bool { code == ECONNRESET || code == EPIPE }
    /// write(2): nobody reads (EPIPE).
    public var isBrokenPipe: Bool { code == EPIPE }
    /// A file, or a folder on the way to it, is not there (ENOENT, ENOTDIR).
    public var isNotFound: Bool { code == ENOENT || code == ENOTDIR }
    /// A connection that ended, or a network that failed, before accept(2) returned it: as if it had never come.
    public var isConnectionGone: Bool {
        [
            ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
            ENETUNREACH, ETIMEDOUT, ECONNRESET,
        ].contains(code)
    }
    /// accept(2) found no free descriptor in this process.
    public var isOutOfDescriptors: Bool { code == EMFILE }
}
