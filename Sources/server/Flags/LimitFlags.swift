import Arguments
import Framing
import LifelineServer

extension ServerSettings {
    private static let sizes = UInt32(1)...(1 << 30)

    static let limitFlags = ServerFlagSection(
        "Limits of a connection",
        [
            SettingsFlag(
                "--timeout", "DURATION", "drop a client that is silent for this long", \.options.timeout,
                .duration(in: .milliseconds(100)...longest)
            ).live,
            SettingsFlag(
                "--heartbeat", "DURATION", "let no client's heart beat less often than this", \.options.heartbeat,
                .duration(in: .milliseconds(Limits.leastPingEvery)...longest)
            ).live,
            SettingsFlag(
                "--handshake-timeout", "DURATION", "drop a client that has not said HELLO by then",
                \.options.handshakeTimeout, .duration(in: .milliseconds(1)...longest)
            ).live,
            SettingsFlag(
                "--max-age", "DURATION",
                "send the client of a connection this old away, at most a tenth earlier; it comes back to today's code",
                \.options.maxAge, .duration(in: .milliseconds(100)...longest), unset: "no limit"
            ).live,
            SettingsFlag(
                "--max-idle", "DURATION",
                "the same where no request and no message came or went for this long; heartbeats do not count",
                \.options.maxIdle, .duration(in: .milliseconds(100)...longest), unset: "no limit"
            ).live,
            SettingsFlag(
                "--max-frame", "BYTES", "the longest payload of one frame, \(Limits.leastMaxFrame) or more",
                \.options.maxFrame, .size(in: Limits.leastMaxFrame...sizes.upperBound)
            ).live,
            SettingsFlag(
                "--max-message", "BYTES", "the longest message; --max-queued where that alone is given, and less",
                \.options.maxMessage, .size(in: sizes)
            ).live,
            SettingsFlag(
                "--max-in-flight", "N", "unanswered requests of one connection", \.options.maxInFlight,
                .integer(in: 1...1_000_000)
            ).live,
            SettingsFlag(
                "--max-queued", "BYTES", "bytes of unanswered requests of one connection; --max-message if more",
                \.options.maxQueued, .size(in: sizes)
            ).live,
            SettingsFlag(
                "--max-memory", "BYTES", "memory of a connection's process, its address space, 32m or more",
                \.options.maxMemory, .size(in: UInt64(32 << 20)...(1 << 46)), unset: "no limit"
            ).live,
            SettingsFlag(
                "--max-cpu", "DURATION", "processor time of one connection in all its life, in whole seconds",
                \.options.maxCPU, .duration(in: .milliseconds(1)...longest), unset: "no limit"
            ).live,
            SettingsFlag(
                "--max-files", "N", "open files of a connection's process, 16 or more", \.options.maxFiles,
                .integer(in: 16...(1 << 30)), unset: "no limit"
            ).live,
        ])
}
