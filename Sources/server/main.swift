import Arguments
import Framing
import LifelineServer
import Posix

/// Writes on standard error what is wrong.
func complain(_ text: String) { try? StandardStream.error.write("server: \(text)\n".utf8) }

/// Writes what is wrong, and leaves.
func fail(_ status: ExitStatus, _ text: String) -> Never {
    complain(text)
    exitProcess(status.rawValue)
}

/// Writes a line on standard output.
func say(_ text: String) throws(Failed) {
    do throws(SystemError) {
        try StandardStream.output.write("\(text)\n".utf8)
    } catch {
        throw Failed(.ioError, "cannot write to standard output: \(error.text)")
    }
}

/// Serves until a signal ends it. In the daemon `daemon` leads to the command that was typed.
func serve(
    _ settings: ServerSettings, _ program: Program?, _ arguments: [String], _ daemon: Daemon?
) throws(Failed) {
    var settings = settings
    var start: String?
    do throws(SystemError) {
        if settings.daemon.newDirectory != nil { start = try currentDirectory() }
        if let start { settings.resolvePaths(in: start) }
        try settings.daemon.enter()
    } catch {
        let directory = settings.daemon.newDirectory ?? "/"
        throw Failed(
            error.isPermissionDenied ? .noPermission : .osError,
            "cannot work in \(directory): \(error.text) (\(error.call))")
    }
    let server: Server
    do throws(StartError) { server = try Server(settings.options) } catch { throw settings.failed(error) }
    // Once more, for the user that it is now: root may execute what others may not.
    do throws(StartError) { try program?.check() } catch { throw settings.failed(error) }
    try say("listening on \(server.address)")
    do throws(SystemError) {
        guard try daemon?.isReady() ?? true else { return }
    } catch {
        throw Failed(.osError, "cannot let go of the terminal: \(error.text) (\(error.call))")
    }
    let running = settings
    var file = settings.fileBytes
    let reload = { () throws(ReloadError) in
        try ServerSettings.readAgain(arguments, in: start, running: running, &file)
    }
    let kind = settings.handler
    do throws(StartError) {
        if let program { return try server.run(reload: reload, program) }
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
            } else {
                try Capacity(of: settings.options) { BuiltIn(settings.handler) }
            }
    } catch {
        throw Failed(error)
    }
    try say(capacity.report)
    if !capacity.isEnough { exitProcess(ExitStatus.osError.rawValue) }
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
    // Before anything is opened: a socket with the number of standard error would be written to.
    Descriptor.openMissingStandardDescriptors()
    ignoreBrokenPipes()
    var daemon: Daemon?
    do throws(SystemError) {
        if settings.daemon.isDaemon { daemon = try Daemon.start() }
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
