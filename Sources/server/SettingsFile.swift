import Arguments
import LifelineServer
import Posix

extension ServerSettings {
    /// A file of more bytes is no configuration.
    private static let longestFile = 1 << 20

    /// Reads `arguments` and the configuration file that they name; what was typed wins. Relative paths start in `start`,
    /// where that is not the directory of the process.
    static func read(_ arguments: [String], in start: String? = nil) throws(Failed) -> ServerSettings {
        var settings = ServerSettings()
        var given: Set<String> = []
        try parse(arguments, into: &settings, given: &given)
        if let file = settings.file {
            settings = ServerSettings()
            let bytes = try contents(file, in: start)
            do throws(UsageError) {
                try command.parse(file: bytes, named: file, given: given, into: &settings)
            } catch {
                throw Failed(.badConfiguration, error.description)
            }
            try parse(arguments, into: &settings, given: &given)
        }
        do throws(UsageError) {
            try settings.check()
        } catch {
            throw settings.failed(.usage, error.description)
        }
        if let start { settings.resolvePaths(in: start) }
        return settings
    }

    /// The error of wrong settings; where a file made them, the file is wrong.
    func failed(_ status: ExitStatus, _ text: String) -> Failed {
        guard let file, status == .usage else { return Failed(status, text) }
        return Failed(.badConfiguration, "\(file): \(text)")
    }

    /// The same for what keeps the server from starting.
    func failed(_ error: StartError) -> Failed {
        let failed = Failed(error)
        return self.failed(failed.status, failed.text)
    }

    private static func parse(
        _ arguments: [String], into settings: inout ServerSettings, given: inout Set<String>
    ) throws(Failed) {
        do throws(UsageError) {
            _ = try command.parse(arguments, into: &settings, given: &given)
        } catch {
            throw Failed(.usage, error.description)
        }
    }

    private static func contents(_ file: String, in start: String?) throws(Failed) -> [UInt8] {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try Posix.contents(ofFile: start.map { absolute(file, in: $0) } ?? file, most: longestFile)
        } catch {
            throw Failed(
                error.isPermissionDenied ? .noPermission : .noInput,
                "cannot read the configuration \(file): \(error.text) (\(error.call))")
        }
        guard bytes.count <= longestFile else {
            throw Failed(.badConfiguration, "\(file) is over \(longestFile) bytes: that is no configuration")
        }
        return bytes
    }

    /// Reads everything again at SIGHUP, for a server that started with the settings `running`.
    static func readAgain(
        _ arguments: [String], in start: String?, running: ServerSettings
    ) throws(ReloadError) -> Reloaded {
        do throws(Failed) {
            let settings = try read(arguments, in: start)
            let kept = settings.changes(from: running)
            do throws(StartError) {
                if let program = try settings.program() { return Reloaded(settings.options, alsoKept: kept, program) }
            } catch {
                throw settings.failed(error)
            }
            let kind = settings.handler
            return Reloaded(settings.options, alsoKept: kept) { BuiltIn(kind) }
        } catch {
            throw ReloadError(error.text)
        }
    }
}
