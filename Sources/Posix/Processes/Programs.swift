import CPosix
import Glibc

/// A program that runs as a child of this process, as the leader of a process group of its own, and our ends of its
/// standard streams, none of which blocks.
@frozen public struct StartedProgram: ~Copyable {
    /// Its number, and that of its group, until it is reaped.
    public let pid: ProcessID
    /// Owned: what it reads.
    public let input: Descriptor
    /// Owned: what it writes to standard output.
    public let output: Descriptor
    /// Owned: what it writes to standard error.
    public let errors: Descriptor
}

/// A program and its arguments, as they are handed to execve(2): no shell reads them.
public struct ProgramFile: Sendable {
    /// Where it lies; absolute, so that a later chdir(2) changes nothing.
    public let path: String
    private let arguments: [String]

    /// Finds `command[0]` as a shell does: a name in the folders of PATH, anything with a slash from here. `command`
    /// may not be empty.
    ///
    /// Throws `isNotFound`, or `isPermissionDenied` where it is there and is no file that may be executed.
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

    /// Throws where it is no file that may be executed now.
    public func check() throws(SystemError) { try ProgramFile.check(path) }

    private static func check(_ path: String) throws(SystemError) {
        var status = stat()
        guard calling(.stat, { stat(path, &status) }) == 0 else { throw SystemError("execve") }
        guard status.st_mode & S_IFMT == S_IFREG, access(path, X_OK) == 0 else { throw SystemError("execve", EACCES) }
    }

    /// Starts it with this process's environment, less the variables whose name begins as in `removing`, and with
    /// `adding` (`NAME=value`).
    ///
    /// It has no descriptor but its standard streams, every signal is as it is by default, and it is killed when this
    /// process dies (pipe(2), vfork(2), execve(2)). The caller has one thread, and reaps it.
    public func start(adding: [String], removing: [String]) throws(SystemError) -> StartedProgram {
        let input = try Pipe(), output = try Pipe(), errors = try Pipe()
        let ours = adding.map { strdup($0) }
        let words = arguments.map { strdup($0) }
        defer { for word in ours + words { free(word) } }
        let pid = calling(.execve) {
            cposix_start(
                path, words + [nil], inherited(without: removing) + ours + [nil], input.reading.number,
                output.writing.number, errors.writing.number)
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
            if !names.contains(where: { strncmp(variable, $0, $0.utf8.count) == 0 }) { variables.append(variable) }
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
