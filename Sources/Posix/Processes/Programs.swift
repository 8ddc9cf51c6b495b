import CPosix
import Glibc

/// A program that was started as a child of this process, and this process's ends of its standard streams.
///
/// The program leads a process group of its own. The ends are non-blocking.
@frozen public struct StartedProgram: ~Copyable {
    /// The number of the program and of its process group, valid until it is reaped.
    public let pid: ProcessID
    /// Its standard input, to write to. Owned.
    public let input: Descriptor
    /// Its standard output, to read. Owned.
    public let output: Descriptor
    /// Its standard error, to read. Owned.
    public let errors: Descriptor
}

/// What can be seen of a program, with all that it has started, and its standard input.
public enum InputWait: Sendable {
    /// It has read all that was written, and is blocked until more comes.
    case waits
    /// It does something else.
    case busy
    /// The kernel does not tell: /proc is not there, or is closed to this process.
    case unknown
}

/// Looks whether a program waits for its standard input (proc(5)).
public struct InputWatch: ~Copyable, Sendable {
    private let program: ProcessID
    /// The process of the thread that waited last, and a descriptor of that thread's calls, or -1. Owned.
    private var waiter: (process: Int32, calls: Int32) = (0, -1)

    /// Watches `program`, which is a child of this process and not reaped.
    public init(_ program: ProcessID) { self.program = program }

    deinit { if waiter.calls >= 0 { close(waiter.calls) } }

    /// Looks now; `input` is this process's end of the pipe. Looks at the thread alone that waited last, where there is one
    /// and the look is not `thorough`.
    public mutating func look(at input: borrowing Descriptor, thorough: Bool) -> InputWait {
        let number = input.number
        let result = withUnsafeMutableBytes(of: &waiter) {
            cposix_waits_for_input(
                program, number, $0.baseAddress!.assumingMemoryBound(to: Int32.self), thorough ? 1 : 0)
        }
        return result > 0 ? .waits : result == 0 ? .busy : .unknown
    }
}

extension Descriptor {
    /// How many bytes of what was written to this end of a pipe were not read yet (FIONREAD in pipe(7)).
    public var unreadBytes: Int { Int(cposix_unread(number)) }
    /// Whether the other end of a pipe is open in a process, so that bytes can be written (POLLERR in poll(2)).
    public var hasReader: Bool {
        var entry = pollfd(fd: number, events: 0, revents: 0)
        return Glibc.poll(&entry, 1, 0) <= 0 || entry.revents & Int16(POLLERR) == 0
    }
}

/// The path of a program and its arguments, for execve(2). No shell reads them.
public struct ProgramFile: Sendable {
    /// The absolute path, which a later chdir(2) does not change.
    public let path: String
    private let arguments: [String]

    /// Finds `command[0]` as a shell does: a name in the folders of PATH, a path with a slash from the current directory.
    /// `command` has at least one word.
    ///
    /// Throws `isNotFound` where there is no such file, and `isPermissionDenied` where it cannot be executed.
    public init(_ command: [String]) throws(SystemError) {
        arguments = command
        path = try ProgramFile.find(command[0])
    }

    private static func find(_ name: String) throws(SystemError) -> String {
        var folders = [""]
        if !name.contains("/") {
            let path = getenv("PATH").map { String(cString: $0) } ?? "/bin:/usr/bin"
            folders = path.split(separator: ":", omittingEmptySubsequences: false).map { $0.isEmpty ? "./" : "\($0)/" }
        }
        var trouble = SystemError("execve", ENOENT)
        for folder in folders {
            let path = folder + name
            do {
                try check(path)
                return path.hasPrefix("/") ? path : try currentDirectory() + "/" + path
            } catch {
                if !error.isNotFound { trouble = error }
            }
        }
        throw trouble
    }

    /// Throws where the file cannot be executed now.
    public func check() throws(SystemError) { try ProgramFile.check(path) }

    private static func check(_ path: String) throws(SystemError) {
        var status = stat()
        guard calling(.stat, { stat(path, &status) }) == 0 else { throw SystemError("execve") }
        guard status.st_mode & S_IFMT == S_IFREG, access(path, X_OK) == 0 else { throw SystemError("execve", EACCES) }
    }

    /// Starts the program with the environment of this process, without the variables of the names in `removing`, and with
    /// `adding` (`NAME=value`) (pipe(2), vfork(2), execve(2)).
    ///
    /// The program has no descriptor but its standard streams, default signal handling, and the limits that this process
    /// had before it changed them, as `limits` say. The kernel kills it when this process dies. No other thread of the
    /// caller changes its environment, and the caller's thread lives longer than the program and reaps it. A text without `#!` runs in /bin/sh, as in execvp(3).
    public func start(
        adding: [String], removing: [String], limits: [ChangedLimit] = []
    ) throws(SystemError) -> StartedProgram {
        let input = try Pipe(), output = try Pipe(), errors = try Pipe()
        let ours = adding.map { strdup($0) }
        let words = arguments.map { strdup($0) }
        let shell = [strdup("/bin/sh"), strdup(path)]
        defer { for word in ours + words + shell { free(word) } }
        let changed = limits.map(\.forProgram)
        let pid = calling(.execve) {
            cposix_start(
                path, words + [nil], shell + words.dropFirst() + [nil], inherited(without: removing) + ours + [nil],
                input.reading.number, output.writing.number, errors.writing.number, changed, changed.count)
        }
        guard pid > 0 else { throw SystemError("execve") }
        return StartedProgram(
            pid: pid, input: input.writing.unblocked(), output: output.reading.unblocked(),
            errors: errors.reading.unblocked())
    }

    private func inherited(without names: [String]) -> [UnsafeMutablePointer<CChar>?] {
        var variables: [UnsafeMutablePointer<CChar>?] = []
        var next = environ
        while let variable = next.pointee {
            let isReplaced = names.contains { name in
                let length = name.utf8.count
                return strncmp(variable, name, length) == 0 && variable[length] == CChar(UInt8(ascii: "="))
            }
            if !isReplaced { variables.append(variable) }
            next += 1
        }
        return variables
    }
}

extension Descriptor {
    fileprivate consuming func unblocked() -> Descriptor {
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
        return self
    }
}
