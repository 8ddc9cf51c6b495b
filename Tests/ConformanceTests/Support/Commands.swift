import Glibc
import RawWire

extension Spawned {
    /// The directory of the commands that were built along with the tests.
    static let products: String = {
        for path in [ProcessFiles.link("/proc/self/exe"), CommandLine.arguments.first] {
            guard let path, let slash = path.lastIndex(of: "/") else { continue }
            if access("\(path[..<slash])/server", X_OK) == 0 { return String(path[..<slash]) }
        }
        fatalError("the command 'server' does not lie next to \(CommandLine.arguments[0]): swift build makes it")
    }()

    /// Starts `command`: a path, or the name of a command that was built.
    ///
    /// `prefix` is a command that becomes this one, such as one that changes the user first.
    convenience init(
        _ command: String, _ arguments: [String], prefix: [String] = [], input: Stream = .null,
        output: Stream = .pipe, errors: Stream = .pipe
    ) throws {
        let path = command.contains("/") ? command : "\(Spawned.products)/\(command)"
        try self.init(prefix + [path] + arguments, input: input, output: output, errors: errors)
    }

    /// A prefix that takes the privileges of root away, which limits and permissions do not bind; empty for others.
    static let unprivileged = unprivileged(54321)

    /// The same as a user of its own, for a test that limits how many processes its user may have: those of other tests
    /// would count (RLIMIT_NPROC in getrlimit(2)).
    static func unprivileged(_ user: Int) -> [String] {
        geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups"] : []
    }

    /// Whether a command can be started so: where root's files are closed to others it cannot be.
    static let mayDropPrivileges: Bool = {
        let server = try? Spawned("server", ["--version"], prefix: unprivileged)
        return (try? server?.wait()) == .status(0)
    }()

    /// Sets a soft limit of a running process, like `--nofile=16:` (prlimit(1)); `prefix` is that of the process.
    static func limit(_ pid: pid_t, _ limit: String, prefix: [String] = []) throws {
        let prlimit = try Spawned("/usr/bin/prlimit", ["--pid", "\(pid)", limit], prefix: prefix)
        let exit = try prlimit.wait()
        guard exit == .status(0) else { throw Unexpected("prlimit \(limit): \(prlimit.errors.textSoFar)") }
    }
}
