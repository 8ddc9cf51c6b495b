import Arguments
import Basics
import LifelineServer
import Posix

extension ServerSettings {
    /// A file of more bytes is no configuration.
    private static let longestFile = 1 << 20
    /// How long a FIFO in the file's place may take to its end, at the start. It cannot be read again.
    private static let patience = Duration.seconds(2)

    /// Reads `arguments` and the configuration file that they name; what was typed wins. Relative paths start in `start`,
    /// where that is not the directory of the process.
    ///
    /// At a reload `earlier` is what the file held before: one that is empty or cut off since then is half written.
    static func read(
        _ arguments: [String], in start: String? = nil, earlier: [UInt8]? = nil
    ) throws(Failed) -> ServerSettings {
        var settings = ServerSettings()
        var given: Set<String> = []
        try parse(arguments, into: &settings, given: &given)
        if let file = settings.file {
            settings = ServerSettings()
            let bytes = try contents(file, in: start, isAgain: earlier != nil)
            if let earlier { try checkWhole(bytes, of: file, earlier: earlier) }
            do throws(UsageError) {
                try command.parse(file: bytes, named: file, given: given, into: &settings)
            } catch {
                throw Failed(.badConfiguration, error.description)
            }
            try parse(arguments, into: &settings, given: &given)
            settings.fileBytes = bytes
        }
        if settings.needsTopics { settings.options.topics = true }
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

    private static func contents(_ file: String, in start: String?, isAgain: Bool) throws(Failed) -> [UInt8] {
        let path = start.map { absolute(file, in: $0) } ?? file
        do throws(FileReadError) {
            return try Posix.contents(ofTextFile: path, most: longestFile, patience: isAgain ? nil : patience)
        } catch .tooLong(let most) {
            throw Failed(.badConfiguration, "\(file) is over \(most) bytes: that is no configuration")
        } catch {
            throw Failed(
                error.cause?.isPermissionDenied ?? false ? .noPermission : .noInput,
                "cannot read the configuration \(file): \(error.text)")
        }
    }

    /// Throws where a file that was whole is half written now.
    private static func checkWhole(_ bytes: [UInt8], of file: String, earlier: [UInt8]) throws(Failed) {
        func isBlank(_ bytes: [UInt8]) -> Bool { (try? TextFile(bytes))?.isBlank ?? false }
        if isBlank(bytes), !isBlank(earlier) {
            throw Failed(
                .badConfiguration, "\(file) is empty: is it being written? A comment is enough for no settings")
        }
        if TextFile.isCutOff(bytes, of: earlier) {
            throw Failed(.badConfiguration, "\(file) is cut off within a line: is it being written?")
        }
    }

    /// Reads everything again at SIGHUP, for a server that started with the settings `running`, and whose file held
    /// `bytes` when it was read last. Puts there what it holds now.
    static func readAgain(
        _ arguments: [String], in start: String?, running: ServerSettings, _ bytes: inout [UInt8]
    ) throws(ReloadError) -> Reloaded {
        do throws(Failed) {
            let settings = try read(arguments, in: start, earlier: bytes)
            bytes = settings.fileBytes
            var reloaded = try settings.reloaded(from: running)
            reloaded.removed = settings.removedRules
            return reloaded
        } catch {
            throw ReloadError(error.text)
        }
    }

    private func reloaded(from running: ServerSettings) throws(Failed) -> Reloaded {
        guard !needsTopics || running.options.topics else {
            throw failed(
                .usage, "--handler chat needs topics, and the server was started without --topics: start it anew")
        }
        let kept = changes(from: running)
        do throws(StartError) {
            if let program = try program() { return Reloaded(options, alsoKept: kept, program) }
        } catch {
            throw failed(error)
        }
        let kind = handler
        if kind == .chat { return Reloaded(options, alsoKept: kept) { ChatHandler() } }
        return Reloaded(options, alsoKept: kept) { BuiltIn(kind) }
    }
}
