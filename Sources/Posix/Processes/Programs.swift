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
    /// had before it changed them, as `limits` say. The kernel kills it when this process dies. The caller has one thread,
    /// and reaps the program.
    public func start(
        adding: [String], removing: [String], limits: [ChangedLimit] = []
    ) throws(SystemError) -> StartedProgram {
        let input = try Pipe(), output = try Pipe(), errors = try Pipe()
        let ours = adding.map { strdup($0) }
        let words = arguments.map { strdup($0) }
        defer { for word in ours + words { free(word) } }
        let changed = limits.map(\.forProgram)
        let pid = calling(.execve) {
            cposix_start(
                path, words + [nil], inherited(without: removing) + ours + [nil], input.reading.number,
                output.writing.number, errors.writing.number, changed, changed.count)
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
