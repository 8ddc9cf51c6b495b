import Testing

@testable import Arguments

private struct Settings { var words: [String] = [] }

private let sub = Command<Settings>(
    "tool do", operands: "COMMAND", summary: "Does things.", defaults: Settings(),
    flags: [Flag("--fast", "at once") { _ in }, Flag("--to", "FILE", "where") { _, _ in }],
    verbs: [Verb("go", "go there"), Verb("turn", "WAY", "turn round", choices: ["left", "right"])],
    notes: "First.\n\nSecond:\n  set off"
) { settings, argument throws(UsageError) in settings.words.append(try argument.text()) }
private let tool = Command<Settings>(
    "tool", summary: "A tool.", defaults: Settings(), flags: [Flag("--one", "N", "the one") { _, _ in }],
    subcommands: [sub.shape])

/// The tool with a subcommand, as a package installs it: what bash, zsh and fish do with it is proved by
/// tools/dev/test-install, on what the commands generate.
@Suite("What is generated of a command")
struct GeneratedTests {
    @Test("The help of a command names its subcommands, and that of a subcommand its verbs")
    func help() {
        #expect(tool.help.hasSuffix("\n\nEach with a --help of its own:\n  tool do  Does things.\n"))
        #expect(
            sub.help.contains(
                "\n\nCommands:\n  go        go there\n  turn WAY  turn round\n\nFirst.\n\nSecond:\n"))
    }

    @Test("A subcommand in another place than the first is told where it belongs")
    func place() {
        var settings = Settings()
        let told = error { () throws(UsageError) in _ = try tool.parse(["--one", "1", "do"], into: &settings) }
        #expect(told == "do stands directly behind tool; see tool do --help")
    }

    @Test("The man page has a section for each subcommand, with verbs, flags and notes")
    func manual() {
        let expected = #"""
            .SH SUBCOMMANDS
            .SS my\-tool do \fI[flags] COMMAND\fR
            Does things.
            .PP
            Commands:
            .TP
            \fBgo\fR
            go there
            .TP
            \fBturn\fR \fIWAY\fR
            turn round
            .PP
            Flags:
            .TP
            \fB\-\-fast\fR
            at once
            .TP
            \fB\-\-to\fR \fIFILE\fR
            where
            .TP
            \fB\-\-help\fR
            print this and leave
            .TP
            \fB\-\-version\fR
            print the version and leave
            .PP
            First.
            .PP
            Second:
            .br
            set off
            """#
        #expect(tool.generated(.options, for: "my-tool").hasSuffix("\n" + expected))
        #expect(!sub.generated(.options, for: "my-tool").contains("SUBCOMMANDS"))
    }

    @Test("Tables become entries of a man page, and a command makes those alone that it has")
    func tables() {
        let command = Command<Settings>(
            "tool", summary: "A tool.", defaults: Settings(), sections: [],
            exits: [ExitMeaning(.usage, "it -is- wrong")],
            tables: [.events: { [ManualEntry("closed", "(info)", "It is over.")] }])
        #expect(command.generated(.exitStatus, for: "tool") == ".TP\n\\fB64\\fR\nit \\-is\\- wrong")
        #expect(command.generated(.events, for: "tool") == ".TP\n\\fBclosed\\fR (info)\nIt is over.")
        var settings = Settings()
        let told = error { () throws(UsageError) in
            _ = try command.parse(["--generate", "metrics"], into: &settings)
        }
        #expect(told == "'metrics' is not one of options, exit-status, events, configuration, bash, zsh, fish")
        #expect(throws: UsageError.self) { try tool.parse(["--generate", "exit-status"], into: &settings) }
    }

    @Test("A configuration file has the flags of the command alone")
    func configuration() {
        #expect(tool.generated(.configuration, for: "my-tool") == "# the one\n#one N\n")
    }

    @Test(
        "Completions of each shell have a subcommand's words, verbs, choices and flags",
        arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) throws {
        let text = tool.generated(try #require(Generated(rawValue: shell)), for: "my-tool")
        for word in ["do", "go", "turn", "left right", "fast", "to", "one", "my_tool"] {
            #expect(text.contains(word), "\(shell) lacks \(word)")
        }
    }
}
