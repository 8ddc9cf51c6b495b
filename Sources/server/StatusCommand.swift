import Arguments
import Basics
import LifelineServer
import Posix

/// `server status`: whether a server runs, as an init script asks (Linux Standard Base, "Init Script Actions").
struct StatusCommand {
    /// The exit status of a server that does not run.
    private static let notRunning: Int32 = 3

    var path: String?
    var pidfile: String?
    var isJSON = false

    static let command = Command<StatusCommand>(
        "server status", summary: "Says whether a server runs.", defaults: StatusCommand(),
        flags: [
            Flag(
                "--control", "PATH", "the control socket of the server", \.path, .text,
                unset: ControlClient.defaultPath),
            Flag(
                "--pidfile", "PATH", "the file that the server has locked, instead of a control socket", \.pidfile,
                .text),
            Flag("--json", "say it as a line of JSON, as server ctl --json status does") { $0.isJSON = true },
        ],
        exits: [
            ExitMeaning(.ok, "it runs"), ExitMeaning(notRunning, "it does not run"),
            ExitMeaning(.usage, "the command line is wrong"),
            ExitMeaning(.unavailable, "the server refuses to answer"),
            ExitMeaning(.osError, "the system refused something"),
            ExitMeaning(.ioError, "standard output cannot be written"),
            ExitMeaning(.protocolError, "what answers is no server, or too slow"),
            ExitMeaning(.noPermission, "only the server's owner and root may ask"),
        ])

    /// Does what the arguments ask for, and leaves.
    static func run(_ arguments: [String]) -> Never {
        var settings = StatusCommand()
        do throws(any Error) {
            switch try command.parse(arguments, into: &settings) {
            case .help: try say(String(command.help.dropLast()))
            case .version: try say("server (Lifeline) \(lifelineVersion)")
            case .generate: throw UsageError("--generate is not a flag of server status")
            case .run: exitProcess(try settings.run())
            }
        } catch let error as Failed {
            fail(error.status, error.text)
        } catch {
            fail(.usage, "\(error)")
        }
        exitProcess(ExitStatus.ok.rawValue)
    }

    private func run() throws(Failed) -> Int32 {
        if let pidfile {
            guard let pid = holder(of: pidfile) else { return try isNot("nobody holds the lock of \(pidfile)") }
            guard path != nil else {
                try say(pid > 0 ? "running, pid \(pid)" : "running")
                return 0
            }
        }
        let status: JSONObject
        do throws(ControlError) {
            status = try ControlClient(path: path ?? ControlClient.defaultPath).ask(.status).verdict
        } catch {
            guard error.isUnattended else { fail(error.status, error.text) }
            return try isNot(error.text)
        }
        func word(_ key: String) -> String { status.words.first { $0.key == key }?.value ?? "?" }
        let words = "\(word("state")) on \(word("address")), pid \(word("pid")), \(counted(word("connections")))"
        try say(isJSON ? status.line : "running: \(words)")
        return 0
    }

    private func isNot(_ reason: String) throws(Failed) -> Int32 {
        try say("not running: \(reason)")
        return StatusCommand.notRunning
    }

    /// The process that holds the lock, whatever number the file has; nil where none does.
    private func holder(of pidfile: String) -> ProcessID? {
        do throws(SystemError) {
            return try lockHolder(ofFile: pidfile)
        } catch {
            fail(
                error.isPermissionDenied ? .noPermission : .osError,
                "cannot look at \(pidfile): \(error.text) (\(error.call))")
        }
    }
}
