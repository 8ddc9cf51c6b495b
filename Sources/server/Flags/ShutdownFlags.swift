import Arguments
import LifelineServer

extension ServerSettings {
    static let shutdownFlags = ServerFlagSection(
        "Shutdown",
        [
            SettingsFlag(
                "--drain", "DURATION",
                "the time over which a shutdown sends its clients away, each with a time of its own to come back",
                \.options.drain, .duration(in: .zero...longest)
            ).live,
            SettingsFlag(
                "--grace", "DURATION", "the time that it waits after that before it kills what is left",
                \.options.grace, .duration(in: .zero...longest)
            ).live,
        ])
}
