import Testing

@testable import Arguments

private struct Settings: Equatable {
    var port: UInt16 = 1
    var name = ""
    var quiet = false
    var operands: [String] = []
}

private let flags: [Flag<Settings>] = [
    Flag("--port", "PORT", "where to listen") { settings, text throws(UsageError) in
        settings.port = try FlagValue.integer(text, in: 0...UInt16.max)
    },
    Flag("--name", "NAME", "a name") { settings, text throws(UsageError) in settings.name = text },
    Flag("--quiet", "say nothing") { $0.quiet = true },
]
private let plain = Command<Settings>("tool", summary: "Does it.", defaults: Settings(), flags: flags)
private let withOperands = Command<Settings>(
    "tool", operands: "FILE...", summary: "Does it.", defaults: Settings(), flags: flags, notes: "A note."
) { settings, argument throws(UsageError) in settings.operands.append(try argument.text()) }

/// The settings that `arguments` make; they have to be right.
private func settings(_ command: Command<Settings>, _ arguments: [String]) throws -> Settings {
    var settings = Settings()
    #expect(try command.parse(arguments, into: &settings) == .run)
    return settings
}

@Suite("The command line")
struct CommandTests {
    @Test("A value stands behind its flag or behind =, and may hold = itself, or be empty")
    func values() throws {
        #expect(try settings(plain, []) == Settings())
        #expect(try settings(plain, ["--port", "80"]) == Settings(port: 80))
        #expect(try settings(plain, ["--port=80", "--name=a=b"]) == Settings(port: 80, name: "a=b"))
        #expect(try settings(plain, ["--name", "--quiet", "--quiet"]) == Settings(name: "--quiet", quiet: true))
        #expect(try settings(plain, ["--name="]).name == "")
        #expect(try settings(plain, ["--port", "1", "--port", "2"]).port == 2, "the last one counts")
    }

    @Test(
        "What was typed wrongly is told, with what to do",
        arguments: [
            (["--port"], "--port needs a value: --port PORT"),
            (["--port", "x"], "--port: 'x' is not a whole number from 0 to 65535"),
            (["--port="], "--port: '' is not a whole number from 0 to 65535"),
            (["--quiet=1"], "--quiet takes no value"),
            (["--quiet="], "--quiet takes no value"),
            (["--pork", "1"], "--pork is not a flag of tool (did you mean --port?); see tool --help"),
            (["--prot=1"], "--prot is not a flag of tool (did you mean --port?); see tool --help"),
            (["--halp"], "--halp is not a flag of tool (did you mean --help?); see tool --help"),
            (["--quite"], "--quite is not a flag of tool (did you mean --quiet?); see tool --help"),
            (["--nam"], "--nam is not a flag of tool (did you mean --name?); see tool --help"),
            (["--something"], "--something is not a flag of tool; see tool --help"),
            (["-p"], "-p is not a flag of tool; see tool --help"),
            (["file"], "'file' is not expected: tool takes flags alone; see tool --help"),
            (["-"], "'-' is not expected: tool takes flags alone; see tool --help"),
            (["--", "--port"], "'--port' is not expected: tool takes flags alone; see tool --help"),
        ])
    func errors(arguments: [String], message: String) {
        var settings = Settings()
        let told = error { () throws(UsageError) in _ = try plain.parse(arguments, into: &settings) }
        #expect(told == message)
    }

    @Test("Operands may stand anywhere; behind -- everything is one")
    func operands() throws {
        #expect(
            try settings(withOperands, ["a", "--port", "2", "-", "b"]) == Settings(port: 2, operands: ["a", "-", "b"]))
        #expect(
            try settings(withOperands, ["--quiet", "--", "--port", "--help", "--"])
                == Settings(quiet: true, operands: ["--port", "--help", "--"]))
        #expect(try settings(plain, ["--"]) == Settings())
    }

    @Test(
        "An argument that is not UTF-8 is an error with the bytes that were typed, or the same bytes as an operand",
        arguments: [["--name", "*"], ["--name=*"], ["--*"], ["--run", "a", "*"], ["--generate", "*"], ["-*"]])
    func bytes(_ texts: [String]) throws {
        let command = Command<Settings>(
            "tool", summary: "Does it.", defaults: Settings(),
            flags: flags + [.rest("--run", "COMMAND ...", "a program") { _, _ throws(UsageError) in }]
        ) { settings, argument throws(UsageError) in settings.operands.append("\(argument.bytes)") }
        let arguments = texts.map { text in
            Argument(text.utf8.flatMap { $0 == UInt8(ascii: "*") ? [0x63, 0xE9] : [$0] })
        }
        var settings = Settings()
        var given: Set<String> = []
        let told = error { () throws(UsageError) in _ = try command.parse(arguments, into: &settings, given: &given) }
        let typed = texts.last!.replacing("*", with: "c\\xe9")
        #expect(told == "'\(typed)' is not UTF-8, which every argument is here")
        _ = try command.parse([Argument("--"), arguments.last!], into: &settings, given: &given)
        #expect(settings.operands == ["\(arguments.last!.bytes)"])
    }

    @Test("A flag for the rest of the line takes all that is behind it, flags or not, and needs a word at least")
    func rest() throws {
        let command = Command<Settings>(
            "tool", summary: "Does it.", defaults: Settings(),
            flags: flags + [
                .rest("--run", "COMMAND ...", "run it") { settings, words throws(UsageError) in
                    guard words[0] != "bad" else { throw UsageError("'bad' is bad") }
                    settings.operands = words
                }
            ])
        #expect(
            try settings(command, ["--port", "2", "--run", "a", "--port", "3", "--help", "--"])
                == Settings(port: 2, operands: ["a", "--port", "3", "--help", "--"]))
        #expect(try settings(command, ["--run=a b", "c"]) == Settings(operands: ["a b", "c"]))
        for (arguments, message) in [
            (["--run"], "--run needs a value: --run COMMAND ..."), (["--run", "bad", "x"], "--run: 'bad' is bad"),
        ] {
            var settings = Settings()
            #expect(error { () throws(UsageError) in _ = try command.parse(arguments, into: &settings) } == message)
        }
    }

    @Test("--help and --version come first where they stand first")
    func helpAndVersion() throws {
        for (arguments, request) in [
            (["--help"], CommandAction.help), (["-h"], .help), (["--version"], .version),
            (["--quiet", "--help", "--nonsense"], .help), (["--version", "--help"], .version),
        ] {
            var settings = Settings()
            #expect(try plain.parse(arguments, into: &settings) == request)
        }
        var settings = Settings()
        #expect(
            error { () throws(UsageError) in _ = try plain.parse(["--nonsense", "--help"], into: &settings) } != nil)
    }

    @Test("The help has every flag, its value and its text, in columns")
    func help() {
        let expected = """
            Does it.

            Usage: tool [flags]

              --port PORT  where to listen
              --name NAME  a name
              --quiet      say nothing
              --help       print this and leave
              --version    print the version and leave

            """
        #expect(plain.help == expected)
        #expect(withOperands.help == expected.replacing("[flags]", with: "[flags] FILE...") + "\nA note.\n")
    }

    @Test("Sections have titles and one column; a default is read from the settings; no line is wider than 80")
    func sections() {
        let long = Array(repeating: "word", count: 20).joined(separator: " ")
        let command = Command<Settings>(
            "tool", summary: "Does it.", defaults: Settings(port: 80),
            sections: [
                FlagSection("One", [Flag("--port", "PORT", "where", \.port, .integer(in: 1...9))]),
                FlagSection(
                    "Two",
                    [
                        Flag("--name", "NAME", long, \.name, .text),
                        Flag("--other-name", "A:VERY:LONG:VALUE", "another", \.name, .text).defaulting { _ in "none" },
                    ]),
            ], notes: "\(long)\n\(long)\n\n  set off\nback", exits: [ExitMeaning(.ok, "done"), ExitMeaning(3, long)])
        let words = { (count: Int) in Array(repeating: "word", count: count).joined(separator: " ") }
        #expect(
            command.help == """
                Does it.

                Usage: tool [flags]

                One:
                  --port PORT  where (80)

                Two:
                  --name NAME  \(words(13))
                               \(words(7)) ()
                  --other-name A:VERY:LONG:VALUE
                               another (none)

                Help:
                  --help       print this and leave
                  --version    print the version and leave

                \(words(16))
                \(words(16))
                \(words(8))

                  set off
                back

                Exit status:
                  0  done
                  3  \(words(15))
                     \(words(5))

                """)
    }

    @Test("A value goes where its flag says; what is wrong with it is told")
    func places() throws {
        enum Taste: String, CaseIterable { case sweet, sour }
        struct Meal {
            var taste = Taste.sweet
            var size: UInt32 = 16384
            var time: Duration?
        }
        let command = Command<Meal>(
            "meal", summary: "Eats.", defaults: Meal(),
            flags: [
                Flag("--taste", "TASTE", "how", \.taste, .choice),
                Flag("--size", "BYTES", "much", \.size, .size(in: 1 ... .max)),
                Flag("--time", "DURATION", "when", \.time, .duration(in: .zero ... .seconds(9)), unset: "now"),
            ])
        var meal = Meal()
        _ = try command.parse(["--taste", "sour", "--size", "2m", "--time", "500ms"], into: &meal)
        #expect(meal.taste == .sour && meal.size == 2 << 20 && meal.time == .milliseconds(500))
        for text in ["how (sweet)", "much (16k)", "when (now)"] { #expect(command.help.contains(text)) }
        let told = error { () throws(UsageError) in _ = try command.parse(["--taste", "bitter"], into: &meal) }
        #expect(told == "--taste: 'bitter' is not one of sweet, sour")
    }

    @Test("A path of a flag is resolved where it is declared, and nothing else is")
    func paths() {
        let flag = Flag<Settings>("--name", "FILE", "a file", \.name, .text)
            .path { settings, resolve in settings.name = resolve(settings.name) }
        var settings = Settings(name: "a")
        flag.resolvePath(in: &settings) { "/" + $0 }
        #expect(settings.name == "/a" && flag.isPath)
        flags[1].resolvePath(in: &settings) { "/" + $0 }
        #expect(settings.name == "/a" && !flags[1].isPath)
    }

    @Test("Exit statuses are those of sysexits")
    func statuses() {
        #expect(ExitStatus.usage.rawValue == 64 && ExitStatus.unavailable.rawValue == 69)
        #expect(ExitStatus.osError.rawValue == 71 && ExitStatus.ioError.rawValue == 74)
        #expect(ExitStatus.noPermission.rawValue == 77 && ExitStatus.ok.rawValue == 0)
    }
}
