import Arguments
import LifelineServer

extension ServerSettings {
    static let processFlags = ServerFlagSection(
        "Processes",
        [
            SettingsFlag(
                "--pool", "N|MIN:MAX",
                "processes forked ahead, which wait for connections: MIN, and up to MAX while many come; N is N:8N",
                \.options.pool, ValueFormat(read: pool, describe: \.description), unset: "none"
            ).atRestart(.pool),
            SettingsFlag(
                "--pool-reuse", "K",
                "connections that a process of the pool serves, one after another, where the handler allows it",
                \.options.poolReuse, .integer(in: 1...1_000_000_000)
            ).atRestart(.poolReuse),
            SettingsFlag(
                "--connections-per-process", "K",
                "connections that a process serves at a time, in one event loop, where the handler allows it",
                \.options.connectionsPerProcess, .integer(in: 1...1_000_000)
            ).atRestart(.connectionsPerProcess),
            SettingsFlag(
                "--handler-threads", "N",
                "the most threads for handlers that block, in a process with several connections",
                \.options.handlerThreads, .integer(in: 1...10_000)
            ).live,
            SettingsFlag(
                "--no-titles",
                "do not say peer and state in the titles of processes: 4 KiB less for each connection"
            ) { $0.options.showsTitles = false }.live,
        ])

    @Sendable private static func pool(_ text: String) throws(UsageError) -> PoolSize {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { try? FlagValue.integer(String($0), in: 1...100_000) }
        switch (numbers.count == parts.count, numbers.count) {
        case (true, 1): return PoolSize(numbers[0])
        case (true, 2) where numbers[0] <= numbers[1]: return PoolSize(least: numbers[0], most: numbers[1])
        default:
            throw UsageError(
                "'\(text)' is neither a number like 4 nor MIN:MAX like 4:32, with a MAX that is not below MIN")
        }
    }
}
