import Arguments
import Basics
import Framing
import Inheritance
import LifelineServer
import Posix

// Before anything else: a signal or a descriptor that was inherited may be in the way of it.
ProcessStart.begin(.server, in: "server")

/// Whether the command was started without a standard output that can be written to.
func isOutputClosed() -> Bool { ProcessStart.current.replacedStreams.contains(StandardStream.output.rawValue) }

/// Writes on standard error what is wrong.
func complain(_ text: String) { try? StandardStream.error.write("server: \(text)\n".utf8) }

/// Writes what is wrong, and leaves.
func fail(_ status: ExitStatus, _ text: String) -> Never {
    complain(text)
    exitProcess(status.rawValue)
}

/// Writes a line on standard output.
func say(_ text: String) throws(Failed) {
    guard !isOutputClosed() else { throw Failed(.ioError, "cannot write to standard output: it is closed") }
    do throws(SystemError) {
        try StandardStream.output.write("\(text)\n".utf8)
    } catch {
        throw Failed(.ioError, "cannot write to standard output: \(error.text)")
    }
}

/// The directory that relative paths start from; nil where the process stays in it. Where it was removed and no path is
/// relative, any will do.
func startDirectory(_ settings: ServerSettings) throws(Failed) -> String? {
    guard let directory = settings.daemon.newDirectory else { return nil }
    do throws(SystemError) {
        return try currentDirectory()
    } catch {
        guard error.isNotFound else { throw cannotWork(in: directory, error) }
        guard let path = settings.relativePath else { return "/" }
        throw Failed(
            .osError,
            "the directory that the server was started in is gone, and '\(path)' starts from there: give the whole path"
        )
    }
}

private func cannotWork(in directory: String, _ error: SystemError) -> Failed {
    Failed(
        error.isPermissionDenied ? .noPermission : .osError,
        "cannot work in \(directory): \(error.text) (\(error.call))")
}

/// Says where the server listens. Returns false where the command that was typed, and waits for the daemon, was ended.
func mayServe(
    _ settings: ServerSettings, at addresses: [SocketAddress], _ program: Program?, _ daemon: Daemon?
) throws(Failed) -> Bool {
    // Once more, for the user that it is now: root may execute what others may not.
    do throws(StartError) { try program?.check() } catch { throw settings.failed(error) }
    // A server that nobody reads serves all the same.
    if !isOutputClosed() { try say(addresses.map { "listening on \($0)" }.joined(separator: "\n")) }
    do throws(SystemError) {
        return try daemon?.isReady() ?? true
    } catch {
        throw Failed(.osError, "cannot let go of the terminal: \(error.text) (\(error.call))")
    }
}

/// Serves until a signal ends it. In the daemon `daemon` leads to the command that was typed.
func serve(
    _ settings: ServerSettings, _ program: Program?, _ arguments: [String], _ daemon: Daemon?
) throws(Failed) {
    var settings = settings
    let start = try startDirectory(settings)
    if let start { settings.resolvePaths(in: start) }
    do throws(SystemError) { try settings.daemon.enter() } catch {
        throw cannotWork(in: settings.daemon.newDirectory ?? "/", error)
    }
    let server: Server
    do throws(StartError) { server = try Server(settings.options) } catch { throw settings.failed(error) }
    do throws(Failed) {
        guard try mayServe(settings, at: server.addresses, program, daemon) else { return server.abandon() }
    } catch {
        server.abandon()
        throw error
    }
    let running = settings
    var file = settings.fileBytes
    let reload = { () throws(ReloadError) in
        try ServerSettings.readAgain(arguments, in: start, running: running, &file)
    }
    let kind = settings.handler
    do throws(StartError) {
        if let program { return try server.run(reload: reload, program) }
        if kind == .chat { return try server.run(reload: reload) { ChatHandler() } }
        try server.run(reload: reload) { BuiltIn(kind) }
    } catch {
        throw settings.failed(error)
    }
}

/// Writes what the system's limits mean for the settings.
func check(_ settings: ServerSettings) throws(Failed) {
    let capacity: Capacity
    do throws(StartError) {
        capacity =
            if let program = try settings.program() {
                try Capacity(of: settings.options, program)
            } else if settings.handler == .chat {
                try Capacity(of: settings.options) { ChatHandler() }
            } else {
                try Capacity(of: settings.options) { BuiltIn(settings.handler) }
            }
    } catch {
        throw Failed(error)
    }
    try say(capacity.report)
    if !capacity.isEnough { exitProcess(ExitStatus.osError.rawValue) }
    if let refusal = ProcessStart.current.refusal { throw Failed(.osError, refusal) }
}

func run(_ settings: ServerSettings, _ arguments: [String]) {
    let program: Program?
    do throws(StartError) {
        try settings.options.checkReadyDescriptor()
        try settings.options.checkLogDescriptor()
        program = try settings.program()
    } catch {
        let failed = settings.failed(error)
        fail(failed.status, failed.text)
    }
    var daemon: Daemon?
    do throws(SystemError) {
        if settings.daemon.isDaemon {
            ProcessStart.becomeDaemon()
            daemon = try Daemon.start()
        }
    } catch {
        fail(.osError, "cannot go to the background: \(error.text) (\(error.call))")
    }
    do throws(Failed) {
        try serve(settings, program, arguments, daemon)
    } catch {
        daemon?.fail(error.status, error.text)
        fail(error.status, error.text)
    }
}

let arguments: [String]
do throws(UsageError) { arguments = try Argument.ownTexts() } catch { fail(.usage, error.description) }
switch arguments.first {
case "ctl": Ctl.run(Array(arguments.dropFirst()))
case "status": StatusCommand.run(Array(arguments.dropFirst()))
default: break
}

var settings = ServerSettings()
do {
    switch try ServerSettings.command.parse(arguments, into: &settings) {
    case .help: try say(ServerSettings.command.help)
    case .version: try say("server (Lifeline) \(lifelineVersion)")
    case .generate(.haproxy): try say(HAProxyConfiguration(ServerSettings.read(arguments)).text)
    case .generate(let what): try say(ServerSettings.command.generated(what, for: "lifeline-server"))
    case .run:
        settings = try ServerSettings.read(arguments)
        if settings.checks { try check(settings) } else { run(settings, arguments) }
    }
} catch let error as Failed {
    fail(error.status, error.text)
} catch {
    fail(.usage, "\(error)")
}
exitProcess(ExitStatus.ok.rawValue)
