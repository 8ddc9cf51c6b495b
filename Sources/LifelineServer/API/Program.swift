import Posix

/// A program that serves connections in place of a `Handler`: any executable file, in any language.
///
///     try Server(options).run(Program(["python3", "-u", "handler.py"]))
public struct Program: Sendable {
    /// How the program's standard streams separate requests and answers, and how many requests one run serves.
    public var framing = ProgramFraming.line
    /// How long the program may take to exit at the end of its input, and again after SIGTERM. SIGKILL follows.
    public var grace = Program.defaultGrace
    /// The default of `grace`.
    package static let defaultGrace = Duration.seconds(2)
    let file: ProgramFile

    /// The program `command[0]` with the rest of `command` as its arguments. No shell reads them. A name without a slash is
    /// looked up in PATH.
    ///
    /// Throws where the program does not exist, or is not a file that may be executed, and where the kernel will not run
    /// it: its interpreter is missing, it is empty, or made for another processor.
    public init(_ command: [String], framing: ProgramFraming = .line) throws(StartError) {
        file = try Program.explained(command[0]) { () throws(SystemError) in try ProgramFile(command) }
        self.framing = framing
        try check()
    }

    /// Throws where the program does not exist any more, or this process's user may not execute it.
    public func check() throws(StartError) {
        try Program.explained(file.path) { () throws(SystemError) in try file.check() }
        if let obstacle = ProgramCheck.obstacle(file.path) {
            throw StartError(.noProgram, "cannot start the program '\(file.path)': it \(obstacle)")
        }
    }

    /// Why the program did not start, in a sentence for the log.
    func explanation(of error: SystemError) -> String {
        do {
            try check()
            return "\(file.path): \(error.text)"
        } catch {
            return error.description
        }
    }

    private static func explained<Value>(
        _ name: String, _ find: () throws(SystemError) -> Value
    ) throws(StartError) -> Value {
        do {
            return try find()
        } catch {
            var advice = ""
            if error.isNotFound, !name.contains("/") { advice = ": it is in no folder of PATH" }
            if error.isNotFound, let target = linkTarget(of: name) { advice = ": it is a link to '\(target)'" }
            if error.isPermissionDenied { advice = ": it must be a file that may be executed" }
            throw StartError(.noProgram, "cannot start the program '\(name)': \(error.text)\(advice)", cause: error)
        }
    }
}
