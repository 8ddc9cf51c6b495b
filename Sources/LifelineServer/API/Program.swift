import Posix

/// A program that serves connections in place of a `Handler`: any executable file, in any language.
///
///     try Server(options).run(Program(["python3", "-u", "handler.py"]))
public struct Program: Sendable {
    /// How requests and answers are told apart on its standard streams, and how many requests it serves.
    public var framing = ProgramFraming.line
    /// How long it may take to leave at the end of its input, and again when it got SIGTERM, before it is killed.
    public var grace = Program.defaultGrace
    /// The `grace` of a program of which nothing is said.
    package static let defaultGrace = Duration.seconds(2)
    let file: ProgramFile

    /// The program `command[0]`, looked for in PATH where it has no slash, with the rest as its arguments; no shell
    /// reads them.
    ///
    /// Throws where it is not there, or is not a file that may be executed.
    public init(_ command: [String], framing: ProgramFraming = .line) throws(StartError) {
        file = try Program.explained(command[0]) { () throws(SystemError) in try ProgramFile(command) }
        self.framing = framing
    }

    /// Throws where it is not there any more, or may not be executed by the user that this process is now.
    public func check() throws(StartError) {
        try Program.explained(file.path) { () throws(SystemError) in try file.check() }
    }

    private static func explained<Value>(
        _ name: String, _ find: () throws(SystemError) -> Value
    ) throws(StartError) -> Value {
        do {
            return try find()
        } catch {
            var advice = ""
            if error.isNotFound, !name.contains("/") { advice = ": it is in no folder of PATH" }
            if error.isPermissionDenied { advice = ": it must be a file that may be executed" }
            throw StartError(.noProgram, "cannot start the program '\(name)': \(error.text)\(advice)", cause: error)
        }
    }
}

/// What a program is told of its connection, by the names of UCSPI and by our own.
struct ProgramEnvironment {
    let server: ProcessID
    let connection: UInt64
    let peer: SocketAddress
    let local: SocketAddress

    /// The environment's variables that tell of another connection where the server itself was started by one.
    static let replaced = ["PROTO=", "TCP", "UNIXLOCAL", "UNIXREMOTE", "LIFELINE_"]

    /// The variable by which what a program started is known (`OrphanReaper`).
    static func mark(of server: ProcessID) -> String { "LIFELINE_SERVER=\(server)" }

    func variables(name: String?, tokenName: String?, request: UInt32?) -> [String] {
        var all = [ProgramEnvironment.mark(of: server), "LIFELINE_CONNECTION=\(connection)"]
        if let path = local.unixPath {
            all += ["PROTO=UNIX", "UNIXLOCALPATH=\(path)"]
        } else {
            all.append("PROTO=TCP")
            if let host = peer.host, let port = peer.port { all += ["TCPREMOTEIP=\(host)", "TCPREMOTEPORT=\(port)"] }
            if let host = local.host, let port = local.port { all += ["TCPLOCALIP=\(host)", "TCPLOCALPORT=\(port)"] }
        }
        if let name { all.append("LIFELINE_NAME=\(name)") }
        if let tokenName { all.append("LIFELINE_TOKEN_NAME=\(tokenName)") }
        if let request { all.append("LIFELINE_REQUEST=\(request)") }
        return all
    }
}
