import Arguments
import LifelineServer

extension ServerSettings {
    private static let unixPrefix = "unix:"

    static let listeningFlags = ServerFlagSection(
        "Listening",
        [
            SettingsFlag(
                "--host", "ADDRESS",
                "where to listen: a numeric IPv4 or IPv6 address, :: for all of both, or unix:/path", \.options.host,
                .text
            ).path { settings, resolve in
                let host = settings.options.host
                guard host.hasPrefix(unixPrefix), host != unixPrefix else { return }
                settings.options.host = unixPrefix + resolve(String(host.dropFirst(unixPrefix.count)))
            }.atRestart(.host),
            SettingsFlag(
                "--port", "PORT", "0 lets the system choose", \.options.port, .integer(in: 0...UInt16.max)
            ).atRestart(.port),
            SettingsFlag(
                "--backlog", "N", "connections that may wait to be accepted", \.options.backlog,
                .integer(in: 1...Int32.max)
            ).atRestart(.backlog),
        ])
}
