import Basics
import Testing

@testable import Arguments

private struct Settings: Equatable {
    var port: UInt16 = 1
    var name = ""
    var quiet = false
    var ranges: [String] = []
    var file = ""
}

private let tool = Command<Settings>(
    "tool", summary: "Does it.", defaults: Settings(),
    flags: [
        Flag("--port", "PORT", "where") { settings, text throws(UsageError) in
            settings.port = try FlagValue.integer(text, in: 0...UInt16.max)
        },
        Flag("--name", "NAME", "a name") { $0.name = $1 },
        Flag("--quiet", "say nothing") { $0.quiet = true },
        Flag("--range", "RANGE", "several") { $0.ranges.append($1) }.repeated,
        .rest("--exec", "COMMAND ...", "a program") { settings, words throws(UsageError) in settings.ranges = words },
        Flag("--config", "FILE", "this file") { $0.file = $1 }.onlyTyped,
    ])

private func read(_ text: String, given: Set<String> = [], from start: Settings = Settings()) throws -> Settings {
    var settings = start
    try tool.parse(file: Array(text.utf8), named: "f", given: given, into: &settings)
    return settings
}

@Suite("The configuration file")
struct ConfigurationFileTests {
    @Test(
        "A line is a name and a value, with or without = between them, blanks and a comment around them",
        arguments: [
            "port 80", "port=80", "port = 80", "port =80", "  port\t80  ", "port 80 # why", "port 80\r",
            "# a\n\nport 80",
            "port 80\n", "\t# b\nport 80", "port 80\r\n", "port 80 \t\r\n", "# a\rport 80\r", "port \"80\"",
            "port '80' # so",
            "\u{FEFF}port 80", "\u{FEFF}# a\r\nport=80\r\n\r\n", "# a\n\u{FEFF}port 80", "port 80\u{A0}",
        ])
    func forms(_ text: String) throws {
        #expect(try read(text) == Settings(port: 80))
    }

    @Test("A value may hold blanks, = and #, but not behind a blank")
    func values() throws {
        #expect(try read("name a b=c#d  #e").name == "a b=c#d")
        #expect(try read("name = =").name == "=")
        #expect(try read("") == Settings() && read("\n# nothing\n") == Settings())
    }

    @Test(
        "# within quotes begins no comment, and an apostrophe within a value is no quote",
        arguments: [
            ("name '#1'", "#1"), ("name \"a # b\" # c", "a # b"), ("name = 'a # b'", "a # b"),
            ("name it's # c", "it's"),
            ("name a 'b # c'", "a 'b"), ("name 'it\"s'", "it\"s"), ("name ''", ""),
        ])
    func quotes(_ text: String, _ name: String) throws {
        #expect(try read(text).name == name)
    }

    @Test("A flag without a value stands alone, or with yes or no")
    func switches() throws {
        #expect(try read("quiet").quiet && read("quiet yes").quiet && read("quiet = yes # so").quiet)
        #expect(try !read("quiet no").quiet && !read("port 1").quiet)
    }

    @Test("Only what may be given several times may stand there twice")
    func repeated() throws {
        #expect(try read("range a\nrange b").ranges == ["a", "b"])
    }

    @Test("A command is taken apart at its blanks, but for those in quotes")
    func commands() throws {
        #expect(try read("exec /bin/a  b c=d").ranges == ["/bin/a", "b", "c=d"])
        #expect(try read("exec = sh -c 'a \"b\"' \"it's\" x'y z'").ranges == ["sh", "-c", "a \"b\"", "it's", "xy z"])
        #expect(try read("exec a ''").ranges == ["a", ""])
        #expect(try read("exec sh -c 'echo # x' # y").ranges == ["sh", "-c", "echo # x"])
        #expect(try read("exec a --b='c # d' e#f").ranges == ["a", "--b=c # d", "e#f"])
        #expect(throws: UsageError("f:1: exec: a quote (') is not closed")) { try read("exec a 'b") }
    }

    @Test("What was typed wins, and what the file says of it must be right all the same")
    func given() throws {
        let typed = Settings(port: 7, ranges: ["typed"])
        #expect(
            try read("port 80\nrange a\nname n", given: ["--port", "--range"], from: typed)
                == Settings(port: 7, name: "n", ranges: ["typed"]))
        #expect(throws: UsageError.self) { try read("port x", given: ["--port"], from: typed) }
        var settings = Settings()
        var given: Set<String> = []
        _ = try tool.parse(["--port=3", "--quiet", "--name", "n"], into: &settings, given: &given)
        #expect(given == ["--port", "--quiet", "--name"])
    }

    @Test(
        "What is wrong is told with the file and the line, and what is expected",
        arguments: [
            (
                "port 80\nprot 1",
                "f:2: 'prot' is not a name that is known here (did you mean port?): expected a flag of tool without its dashes"
            ),
            (
                "something 1",
                "f:1: 'something' is not a name that is known here: expected a flag of tool without its dashes"
            ),
            ("--port 1", "f:1: '--port': names stand here without dashes, like port for --port"),
            ("\nport x", "f:2: port: 'x' is not a whole number from 0 to 65535"),
            ("port", "f:1: port needs a value: port PORT"), ("port =", "f:1: port needs a value: port PORT"),
            ("port # 80", "f:1: port needs a value: port PORT"),
            ("name 'a # b", "f:1: name: 'a # b: a quote (') stands at both ends of a value, or nowhere in it"),
            ("name 'a' b", "f:1: name: 'a' b: a quote (') stands at both ends of a value, or nowhere in it"),
            ("help", "f:1: help may stand on the command line alone"),
            ("quiet maybe", "f:1: quiet: 'maybe' is neither yes nor no"),
            ("port 1\n\nport 1", "f:3: port stands in line 1 already; it has one value"),
            ("quiet\nquiet no", "f:2: quiet stands in line 1 already; it has one value"),
            ("config g", "f:1: config may stand on the command line alone"),
            ("= 1", "f:1: '' is not a name that is known here: expected a flag of tool without its dashes"),
        ])
    func errors(text: String, message: String) {
        do {
            _ = try read(text)
            Issue.record("nothing was thrown")
        } catch { #expect("\(error)" == message) }
    }

    @Test(
        "A file in another encoding is told with what to do",
        arguments: [
            ([0xFF, 0xFE, 0x70, 0], "f: it is UTF-16: save it as UTF-8"),
            ([0xFE, 0xFF, 0, 0x70], "f: it is UTF-16: save it as UTF-8"),
            ([0xFF, 0xFE, 0, 0, 0x70, 0, 0, 0], "f: it is UTF-32: save it as UTF-8"),
            (
                [0x0A, 0x70, 0],
                "f:2: it has a zero byte, which no text has: save the file as UTF-8, or write it anew"
            ),
        ] as [([UInt8], String)])
    func encodings(_ bytes: [UInt8], _ message: String) {
        var settings = Settings()
        #expect(throws: UsageError(message)) { try tool.parse(file: bytes, named: "f", into: &settings) }
    }

    @Test(
        "A file that was cut off within a line is told from one whose last lines are gone",
        arguments: [
            ("", true), ("ab", true), ("abc", false), ("abc\n", false), ("abc\nd", true), ("abc\nde", false),
            ("abc\nde\n", false), ("abx", false), ("abc\nde\nf", false),
        ])
    func cutOff(_ text: String, _ isCutOff: Bool) {
        #expect(TextFile.isCutOff(Array(text.utf8), of: Array("abc\nde\n".utf8)) == isCutOff)
    }

    @Test("A line that is not UTF-8 is told, and an error changes no settings before its line")
    func bytes() {
        var settings = Settings()
        #expect(throws: UsageError("f:2: it is not UTF-8: save the file as UTF-8")) {
            try tool.parse(file: Array("port 2\nname ".utf8) + [0xFF], named: "f", into: &settings)
        }
    }
}
