import Posix

/// Looks, before a program is needed, whether the kernel will run it: so that the server does not start with a program
/// that fails every client.
enum ProgramCheck {
    /// Interpreters that are scripts themselves: the kernel follows this many (execve(2)).
    private static let mostInterpreters = 4

    /// What keeps the kernel from running the file at `path`, in words behind its name; nil where nothing is known.
    ///
    /// The file exists and may be executed. One that may not be read is not looked into.
    static func obstacle(_ path: String, depth: Int = 0) -> String? {
        guard let head = try? contents(ofFile: path, most: ProgramFormat.headSize - 1) else { return nil }
        switch ProgramFormat(head) {
        case .unusable(let why): return why
        case .shellText: return missing("/bin/sh", as: "interpreter")
        case .machineCode(let kind, let loader):
            if let own, !own.runs(kind), !runsForeignCode { return "is for another kind of processor" }
            return loader.flatMap { missing($0, as: "loader") }
        case .script(let interpreter, let argument):
            if let missing = missing(interpreter, as: "interpreter") { return missing }
            if let name = ProgramFormat.lookedUp(by: interpreter, argument), (try? ProgramFile([name])) == nil {
                return "needs '\(name)', which \(interpreter) does not find in PATH"
            }
            guard depth < mostInterpreters else { return "has an interpreter that is a script, again and again" }
            return obstacle(interpreter, depth: depth + 1).map { "has the interpreter \(interpreter), which \($0)" }
        }
    }

    private static func missing(_ path: String, as what: String) -> String? {
        do throws(SystemError) {
            // A relative path is looked for from where the program is started.
            _ = try ProgramFile([path.contains("/") ? path : "./" + path])
            return nil
        } catch {
            return "needs the \(what) '\(path)': \(error.text)"
        }
    }

    /// The processor that this program was made for.
    private static var own: ProgramFormat.ProcessorKind? {
        guard let head = try? contents(ofFile: "/proc/self/exe", most: ProgramFormat.headSize - 1),
            case .machineCode(let kind, _) = ProgramFormat(head)
        else { return nil }
        return kind
    }

    /// Whether the kernel has interpreters for code of other processors, or for other formats (binfmt_misc).
    private static var runsForeignCode: Bool {
        fileNames(in: "/proc/sys/fs/binfmt_misc").contains { $0 != "register" && $0 != "status" }
    }
}
