import Arguments
import LifelineServer

extension ServerSettings {
    static let configurationFlags = ServerFlagSection(
        "Configuration",
        [
            SettingsFlag(
                "--config", "FILE",
                "read flags from FILE, a line each, name value; flags that are typed win; read again at SIGHUP",
                \.file, .file
            ).onlyAtStart,
            SettingsFlag(
                "--check",
                "do not serve: print which limit of this system stops this configuration first, and at how many "
                    + "connections; run it as and where the server will run"
            ) { $0.checks = true }.onlyAtStart,
        ])
}
