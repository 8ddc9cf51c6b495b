import Arguments
import LifelineServer

extension ServerSettings {
    static let topicFlags = ServerFlagSection(
        "Topics",
        [
            SettingsFlag(
                "--topics",
                "let connections reach one another: by topics, by name and by token. A process beside the others passes "
                    + "their messages on. --handler chat has it by itself"
            ) { $0.options.topics = true }.atRestart(.topics),
            SettingsFlag(
                "--publish-socket", "PATH",
                "listen at PATH for back-ends, which publish, send and ask in the protocol itself; needs --topics. This "
                    + "user and its group may connect",
                \.options.publishSocket, .text, unset: "nowhere"
            ).path(\.options.publishSocket).atRestart(.publishSocket),
            SettingsFlag(
                "--max-topics", "N", "the most topics that a connection subscribes to", \.options.maxTopics,
                .integer(in: 1...1_000_000)
            ).live,
        ])
}
