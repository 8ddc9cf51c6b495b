import Arguments
import LifelineServer

extension ServerSettings {
    /// Where syslogd listens.
    private static let syslogSocket = "/dev/log"
    private static let syslogPrefix = "syslog:"

    static let loggingFlags = ServerFlagSection(
        "Logging",
        [
            SettingsFlag(
                "--log", "FILE", "append the log to FILE, or send it to syslog (or syslog:SOCKET)", \.options.log,
                ValueFormat(
                    read: destination, describe: { $0 == .standardError ? "standard error" : "\($0)" })
            ).path { settings, resolve in
                switch settings.options.log {
                case .file(let path): settings.options.log = .file(resolve(path))
                case .syslog(let path): settings.options.log = .syslog(resolve(path))
                case .standardError: break
                }
            }.atRestart(.log),
            SettingsFlag(
                "--log-level", "LEVEL", "error, warning, info or debug", \.options.logLevel, .choice
            ).live,
            SettingsFlag("--log-format", "FORMAT", "text or json, a line an event", \.options.logFormat, .choice).live,
            SettingsFlag(
                "--log-flood", "N", "warnings of one reason in 5 s before they are summed up, 0 logs each",
                \.options.logFlood, .integer(in: 0...1_000_000)
            ).live,
        ])

    @Sendable private static func destination(_ text: String) throws(UsageError) -> LogDestination {
        if text == "syslog" { return .syslog(syslogSocket) }
        guard !text.isEmpty, text != syslogPrefix else {
            throw UsageError("'\(text)' is not the path of a file, nor syslog or syslog:SOCKET")
        }
        return text.hasPrefix(syslogPrefix) ? .syslog(String(text.dropFirst(syslogPrefix.count))) : .file(text)
    }
}
