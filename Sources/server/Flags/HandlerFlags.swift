import Arguments
import LifelineServer

extension ServerSettings {
    static let handlerFlags = ServerFlagSection(
        "Handlers",
        [
            SettingsFlag(
                "--handler", "NAME",
                "what answers requests: echo (the same bytes back), ack (\"ok\"), count (\"This is server send "
                    + "message:N\"), chat (what one says all others hear; /who lists them)", \.namedHandler, .choice,
                unset: defaultHandler.rawValue
            ).live,
            SettingsFlag(
                "--handler-timeout", "DURATION", "fail a request that is not answered by then",
                \.options.handlerTimeout, .duration(in: .milliseconds(1)...longest), unset: "no limit"
            ).live,
        ])

    static let programFlags = ServerFlagSection(
        "Programs as handlers",
        [
            SettingsFlag.rest(
                "--exec", "COMMAND ...",
                "what answers requests: a program, with all that follows as its arguments; last of the flags"
            ) { settings, words throws(UsageError) in
                guard !words[0].isEmpty else { throw UsageError("'' is not the name of a program") }
                settings.command = words
            }.live,
            SettingsFlag(
                "--exec-per", "WHAT", "connection: a program for each; request: one for each of those", \.scope,
                .choice, unset: ProgramScope.connection.rawValue
            ).live,
            SettingsFlag(
                "--exec-framing", "FRAMING",
                "line: a request is a line, and a line its answer; length: a u32 and that many bytes, both ways; tagged: "
                    + "each line says what it is, and answers come in any order; tagged-length: the same with lengths; "
                    + "raw: standard input and output", \.framing, .choice,
                unset: "\(defaultFraming(of: .connection)); with --exec-per request \(defaultFraming(of: .request))"
            ).live,
            SettingsFlag(
                "--exec-grace", "DURATION", "from the end of input to SIGTERM, and from that to SIGKILL",
                \.programGrace, .duration(in: .zero...longest)
            ).defaulting { _ in FlagValue.describe(Program.defaultGrace) }.live,
            SettingsFlag("--shell", "COMMAND is one word, for /bin/sh -c") { $0.isForShell = true }.live,
        ])
}
