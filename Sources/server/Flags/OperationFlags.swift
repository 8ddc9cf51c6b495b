import Arguments
import LifelineServer

extension ServerSettings {
    static let operationFlags = ServerFlagSection(
        "Operation",
        [
            SettingsFlag(
                "--control", "PATH", "listen for server ctl and server status at PATH", \.options.control, .text,
                unset: "nowhere"
            ).path(\.options.control).atRestart(.control),
            SettingsFlag(
                "--metrics", "ADDRESS:PORT", "serve metrics for Prometheus there, at /metrics", \.options.metrics,
                .text,
                unset: "nowhere"
            ).atRestart(.metrics),
            SettingsFlag(
                "--user", "NAME", "become this user, a name or a number, once it listens; needs root", \.options.user,
                .text
            ).atRestart(.user),
            SettingsFlag(
                "--group", "NAME", "become this group, and no other", \.options.group, .text, unset: "the user's own"
            ).atRestart(.group),
            SettingsFlag("--daemon", "go to the background once it listens; needs --log") {
                $0.daemon.isDaemon = true
            }.atRestart(\.daemon.isDaemon),
            SettingsFlag(
                "--chdir", "DIR", "work in DIR", \.daemon.directory, .file,
                unset: "with --daemon \(DaemonSettings.daemonDirectory)"
            ).atRestart(\.daemon.directory),
            SettingsFlag(
                "--umask", "MODE", "permissions that new files do not get, octal", \.daemon.creationMask,
                ValueFormat(read: mask, describe: DaemonSettings.octal),
                unset: "with --daemon \(DaemonSettings.octal(DaemonSettings.daemonMask))"
            ).atRestart(\.daemon.creationMask),
            SettingsFlag(
                "--pidfile", "FILE", "hold FILE locked with the process number in it; a second server is refused",
                \.options.pidfile, .file
            ).path(\.options.pidfile).atRestart(.pidfile),
            SettingsFlag(
                "--ready-fd", "N", "write \"listening on HOST:PORT\" to descriptor N too, and close it",
                \.options.readyDescriptor, .integer(in: 3...1_000_000)
            ).atRestart(.readyDescriptor),
        ])

    @Sendable private static func mask(_ text: String) throws(UsageError) -> UInt32 {
        guard let mask = UInt32(text, radix: 8), mask <= 0o777 else {
            throw UsageError("'\(text)' is not a umask: expected octal digits from 0 to 777, such as 027")
        }
        return mask
    }
}
