import Arguments
import LifelineServer

extension ServerSettings {
    private static let unixPrefix = ListenAddress.unixPrefix

    /// --host or --port is one address, beside those of --listen.
    @Sendable private static func nameHost(_ settings: inout ServerSettings) {
        settings.namesHost = true
        settings.options.listensAtHost = true
    }

    static let listeningFlags = ServerFlagSection(
        "Listening",
        [
            SettingsFlag(
                "--host", "ADDRESS",
                "where to listen: an IPv4 or IPv6 address, localhost, * or :: for all of both, or unix:/path",
                \.options.host,
                .text
            ).path { settings, resolve in
                let host = settings.options.host
                guard host.hasPrefix(unixPrefix), host != unixPrefix else { return }
                settings.options.host = unixPrefix + resolve(String(host.dropFirst(unixPrefix.count)))
            }.also(nameHost).atRestart(.host),
            SettingsFlag(
                "--port", "PORT", "0 lets the system choose", \.options.port, .integer(in: 0...UInt16.max)
            ).also(nameHost).atRestart(.port),
            SettingsFlag(
                "--listen", "ADDRESS:PORT",
                "listen here, or at unix:/path, in place of --host and --port; give it again for each address. Where "
                    + "--host or --port is given too, that is one address more. With ,proxy-from=RANGE behind it, once or "
                    + "several times, it has proxies of its own; with ,direct it takes no header of a proxy"
            ) { settings, text throws(UsageError) in
                do throws(StartError) {
                    settings.options.listen.append(try ListenAddress(text))
                    if !settings.namesHost { settings.options.listensAtHost = false }
                } catch {
                    throw UsageError(error.description)
                }
            }.repeated.path { settings, resolve in
                settings.options.listen = settings.options.listen.map { address in
                    guard address.host.hasPrefix(unixPrefix) else { return address }
                    return ListenAddress(
                        host: unixPrefix + resolve(String(address.host.dropFirst(unixPrefix.count))), port: 0,
                        proxies: address.proxies)
                }
            }.atRestart(.listen),
            SettingsFlag(
                "--proxy-from", "RANGE|unix",
                "take connections of proxies of these addresses alone, each with a header of the PROXY protocol, version 1 or "
                    + "2, that names the client; unix for those that come to Unix sockets. May be given several times"
            ) { settings, text throws(UsageError) in
                do throws(AddressRangeError) {
                    settings.options.proxyFrom.append(try ProxySource(text))
                } catch {
                    throw UsageError("\(error.description); for Unix sockets: unix")
                }
            }.repeated.removing(.proxyFrom) { $0.proxyFrom = [] }.live,
            SettingsFlag(
                "--backlog", "N", "connections that may wait to be accepted", \.options.backlog,
                .integer(in: 1...Int32.max)
            ).atRestart(.backlog),
        ])
}
