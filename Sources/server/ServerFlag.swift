import Arguments
import LifelineServer
import Posix

typealias SettingsFlag = Flag<ServerSettings>

/// What a reload does with a value that has changed.
enum ReloadRule: Sendable {
    /// It holds for connections that are accepted from then on, or for the whole server.
    case live
    /// It stays as it was; the library keeps it, and the log names the flag.
    case restart(RestartOption)
    /// It stays as it was, and the log names the flag where the second settings differ from the first.
    case restartOfProcess(differs: @Sendable (ServerSettings, ServerSettings) -> Bool)
    /// It stands on the command line alone, which never changes.
    case none
}

/// A flag of `server`, and what becomes of it when SIGHUP reads the configuration again.
///
/// The sections take flags of this type alone, so that a new flag does not compile before it says `live`, `atRestart`
/// or `onlyAtStart`.
struct ServerFlag: Sendable {
    let flag: SettingsFlag
    let reload: ReloadRule
}

extension SettingsFlag {
    /// A reload takes it over.
    var live: ServerFlag { ServerFlag(flag: self, reload: .live) }

    /// A restart alone changes it, as the library has it.
    func atRestart(_ option: RestartOption) -> ServerFlag {
        precondition(name == option.rawValue, "\(name) is not the flag of this option")
        return ServerFlag(flag: self, reload: .restart(option))
    }

    /// A restart alone changes what stands at `path`.
    func atRestart<Value: Equatable & Sendable>(_ path: KeyPath<ServerSettings, Value> & Sendable) -> ServerFlag {
        ServerFlag(flag: self, reload: .restartOfProcess { $0[keyPath: path] != $1[keyPath: path] })
    }

    /// It is looked at when the command starts, and cannot stand in a configuration file.
    var onlyAtStart: ServerFlag { ServerFlag(flag: onlyTyped, reload: .none) }
}

/// Flags of `server` under one title.
struct ServerFlagSection: Sendable {
    let title: String
    let flags: [ServerFlag]

    init(_ title: String, _ flags: [ServerFlag]) {
        self.title = title
        self.flags = flags
    }

    /// What the command has of it.
    var shown: FlagSection<ServerSettings> { FlagSection(title, flags.map(\.flag)) }
}

extension ServerSettings {
    /// All flags, in the order of `--help`.
    static let sections: [ServerFlagSection] = [
        configurationFlags, listeningFlags, handlerFlags, programFlags, topicFlags, limitFlags, admissionFlags,
        processFlags, shutdownFlags, loggingFlags, operationFlags,
    ]

    static let flags: [ServerFlag] = sections.flatMap(\.flags)

    /// Relative paths mean what they meant in the directory `start`, where the command was typed.
    mutating func resolvePaths(in start: String) {
        for flag in ServerSettings.flags { flag.flag.resolvePath(in: &self) { absolute($0, in: start) } }
    }

    /// A path that does not begin with a slash; nil where there is none.
    var relativePath: String? {
        var copy = self
        var relative: String?
        for flag in ServerSettings.flags {
            flag.flag.resolvePath(in: &copy) { path in
                if !path.hasPrefix("/") { relative = path }
                return path
            }
        }
        return relative
    }

    /// The flags of the settings of the process that differ from those of `running`: a restart alone changes them.
    func changes(from running: ServerSettings) -> [String] {
        ServerSettings.flags.compactMap { flag in
            guard case .restartOfProcess(let differs) = flag.reload, differs(self, running) else { return nil }
            return flag.flag.name
        }
    }
}
