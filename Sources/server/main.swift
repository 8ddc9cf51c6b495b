import Arguments
import Framing
import LifelineServer
import Posix

/// Says on standard error what is wrong.
func complain(_ text: String) { try? StandardStream.error.write("server: \(text)\n".utf8) }

/// Says what is wrong, and leaves.
func fail(_ status: ExitStatus, _ text: String) -> Never {
    complain(text)
    exitProcess(status.rawValue)
}

/// Says what was asked for, on standard output.
func say(_ text: String) throws(Failed) {
    do throws(SystemError) {
        try StandardStream.output.write("\(text)\n".utf8)
    } catch {
        throw Failed(.ioError, "cannot write to standard output: \(error.text)")
    }
}

/// What the command leaves with.
struct Failed: Error {
    let status: ExitStatus
    let text: String

    init(_ status: ExitStatus, _ text: String) {
        self.status = status
        self.text = text
    }

    init(_ error: StartError) {
        text = error.description
        status =
            switch (error.kind, error.cause) {
            case (_, let cause?) where cause.isAddressInUse || cause.isHeld: .unavailable
            case (.noProgram, let cause?) where cause.isNotFound: .unavailable
            case (_, let cause?) where cause.isPermissionDenied: .noPermission
            case (.badOptions, _): .usage
            case (.noFile, _): .noInput
            case (.badFile, _): .badConfiguration
            case (.noUser, _): .noUser
            case (_, let cause?) where cause.isNoPlaceForFile: .cannotCreate
            default: .osError
            }
    }
}

/// Serves until it is told to end. In the daemon `daemon` is the way to whoever typed the command.
func serve(_ settings: Settings, _ program: Program?, _ daemon: Daemon?) throws(Failed) {
    var settings = settings
    do throws(SystemError) {
        try settings.enterDirectory()
    } catch {
        let directory = settings.service.directory ?? "/"
        throw Failed(
            error.isPermissionDenied ? .noPermission : .osError,
            "cannot work in \(directory): \(error.text) (\(error.call))")
    }
    let server: Server
    do throws(StartError) { server = try Server(settings.options) } catch { throw Failed(error) }
    // Once more, for who it is now: --user may not execute what root may.
    do throws(StartError) { try program?.check() } catch { throw Failed(error) }
    try say("listening on \(server.address)")
    do throws(SystemError) {
        guard try daemon?.isReady() ?? true else { return }
    } catch {
        throw Failed(.osError, "cannot let go of the terminal: \(error.text) (\(error.call))")
    }
    if let program { return server.run(program) }
    let kind = settings.handler
    server.run { BuiltIn(kind) }
}

/// Says what the system's limits mean for the settings.
func check(_ settings: Settings) throws(Failed) {
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

func run(_ settings: Settings) {
    let program: Program?
    do throws(StartError) {
        try settings.options.checkReadyDescriptor()
        program = try settings.program()
    } catch {
        let failed = Failed(error)
        fail(failed.status, failed.text)
    }
    // Before anything is opened: a socket with the number of standard error would be written to.
    Descriptor.openMissingStandardDescriptors()
    ignoreBrokenPipes()
    var daemon: Daemon?
    do throws(SystemError) {
        if settings.service.isDaemon { daemon = try Daemon.start() }
    } catch {
        fail(.osError, "cannot go to the background: \(error.text) (\(error.call))")
    }
    do throws(Failed) {
        try serve(settings, program, daemon)
    } catch {
        daemon?.fail(error.status, error.text)
        fail(error.status, error.text)
    }
}

switch CommandLine.arguments.dropFirst().first {
case "ctl": Ctl.run(Array(CommandLine.arguments.dropFirst(2)))
case "status": StatusCommand.run(Array(CommandLine.arguments.dropFirst(2)))
default: break
}

var settings = Settings()
do {
    switch try Settings.command.parse(Array(CommandLine.arguments.dropFirst()), into: &settings) {
    case .help: try say(Settings.command.help)
    case .version: try say("server (Lifeline) \(lifelineVersion)")
    case .run:
        try settings.check()
        if settings.checks { try check(settings) } else { run(settings) }
    }
} catch let error as Failed {
    fail(error.status, error.text)
} catch {
    fail(.usage, "\(error)")
}
exitProcess(ExitStatus.ok.rawValue)
