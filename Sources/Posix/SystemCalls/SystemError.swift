import CPosix
import Glibc

/// A system call that failed for a reason outside this program (errno(3)).
public struct SystemError: Error, Equatable, Sendable {
    /// The call, by the name of its man page.
    public let call: String
    /// The value of errno.
    public let code: Int32

    /// An error of `call`. Traps for EBADF and EFAULT, which are mistakes of this program.
    public init(_ call: String, _ code: Int32 = errno) {
        precondition(code != EBADF && code != EFAULT, "\(call) was called wrongly: errno \(code)")
        self.call = call
        self.code = code
    }
}

extension SystemError {
    /// EAGAIN of fork(2).
    public static let tooManyProcesses = SystemError("fork", EAGAIN)
}

extension SystemError: CustomStringConvertible {
    /// A text for people: `bind: Address already in use`.
    public var description: String { "\(call): \(text)" }

    /// The name of errno, such as `EAGAIN`; its number where it has no name.
    public var name: String { cposix_error_name(code).map { String(cString: $0) } ?? "\(code)" }

    /// The text of errno without the call.
    public var text: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            String(cString: cposix_error_text(code, buffer.baseAddress, buffer.count))
        }
    }
}

extension SystemError {
    /// bind(2): another socket has the address (EADDRINUSE).
    public var isAddressInUse: Bool { code == EADDRINUSE }
    /// The error of a descriptor that may not be written to.
    public static let notWritable = SystemError("open", EACCES)
    /// Another process holds the lock of a file (EAGAIN of fcntl(2)).
    public var isHeld: Bool { self == .held }
    /// The error of `isHeld`.
    public static let held = SystemError("fcntl", EAGAIN)
    /// A file cannot be made at its path (open(2)).
    public var isNoPlaceForFile: Bool { call == "open" && [ENOENT, ENOTDIR, EISDIR, EROFS, ELOOP].contains(code) }
    /// A permission is missing (EACCES, EPERM).
    public var isPermissionDenied: Bool { code == EACCES || code == EPERM }
    /// connect(2) to a Unix socket found no file, or no listener (ENOENT, ECONNREFUSED).
    public var isNobodyThere: Bool { code == ENOENT || code == ECONNREFUSED }
    /// connect(2) to a Unix socket found the backlog of its listener full (EAGAIN).
    public var isBacklogFull: Bool { call == "connect" && code == EAGAIN }
    /// The peer has reset the connection (ECONNRESET, or EPIPE after it).
    public var isReset: Bool { code == ECONNRESET || code == EPIPE }
    /// write(2) to a pipe that has no reader (EPIPE).
    public var isBrokenPipe: Bool { code == EPIPE }
    /// A file, or a folder of its path, does not exist (ENOENT, ENOTDIR).
    public var isNotFound: Bool { code == ENOENT || code == ENOTDIR }
    /// The connection ended, or its network failed, before accept(2) returned it. The next accept(2) may succeed.
    public var isConnectionGone: Bool {
        [
            ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
            ENETUNREACH, ETIMEDOUT, ECONNRESET,
        ].contains(code)
    }
    /// accept(2) found no free descriptor in this process (EMFILE).
    public var isOutOfDescriptors: Bool { code == EMFILE }
}
