import Arguments
import Framing
import LifelineServer
import Posix

/// Says on standard error what is wrong, and leaves.
func fail(_ status: ExitStatus, _ text: String) -> Never {
    try? StandardStream.error.write("server: \(text)\n".utf8)
    exitProcess(status.rawValue)
}

func say(_ text: String) {
    do throws(SystemError) {
        try StandardStream.output.write("\(text)\n".utf8)
    } catch {
        fail(.ioError, "cannot write to standard output: \(error.text)")
    }
}

func start(_ settings: Settings) throws(StartError) {
    let server = try Server(settings.options)
    say("listening on \(server.address)")
    let kind = settings.handler
    server.run { BuiltIn(kind) }
}

switch CommandLine.arguments.dropFirst().first {
case "ctl": Ctl.run(Array(CommandLine.arguments.dropFirst(2)))
case "status": StatusCommand.run(Array(CommandLine.arguments.dropFirst(2)))
default: break
}

var settings = Settings()
do throws(UsageError) {
    switch try Settings.command.parse(Array(CommandLine.arguments.dropFirst()), into: &settings) {
    case .help: say(Settings.command.help)
    case .version: say("server (Lifeline) \(lifelineVersion)")
    case .run:
        try settings.check()
        do throws(StartError) {
            try start(settings)
        } catch {
            let status: ExitStatus =
                switch (error.kind, error.cause) {
                case (_, let cause?) where cause.isPermissionDenied: .noPermission
                case (.badOptions, _): .usage
                case (.noFile, _): .noInput
                case (.badFile, _): .badConfiguration
                case (.noUser, _): .noUser
                case (.cannotBecome, _): .osError
                case (.cannotListen, let cause): cause?.isAddressInUse ?? false ? .unavailable : .osError
                }
            fail(status, error.description)
        }
    }
} catch {
    fail(.usage, error.description)
}
exitProcess(ExitStatus.ok.rawValue)
