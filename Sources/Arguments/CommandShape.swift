/// The part of a flag that is shown: all but what it does.
struct FlagShape: Sendable {
    let name: String
    /// What stands for the value in `--help`; nil for a flag without one.
    var value: String?
    let help: String
    /// The title of the section that it stands in; empty for none.
    var section = ""
    /// What holds without the flag; nil where the help says all there is to say.
    var defaultText: String?
    /// Whether it may stand in a configuration file more than once.
    var repeats = false
    var mayStandInFile = true
    /// All that the value can be, where that is a few words.
    var choices: [String] = []

    /// The help and the default.
    var sentence: String { help + (defaultText.map { " (\($0))" } ?? "") }
}

/// One of the few words that the first operand of a command can be.
public struct Verb: Sendable {
    let name: String
    /// What stands for the operand behind it; nil where there is none.
    let value: String?
    let help: String
    /// All that this operand can be, where that is a few words.
    let choices: [String]

    /// A verb with an operand, `drop ID`.
    public init(_ name: String, _ value: String, _ help: String, choices: [String] = []) {
        self.name = name
        self.value = value
        self.help = help
        self.choices = choices
    }

    /// A verb alone.
    public init(_ name: String, _ help: String) {
        self.name = name
        value = nil
        self.help = help
        choices = []
    }
}

/// The part of a command that is shown, in `--help` and in what is `generated`: all but what its flags do.
public struct CommandShape: Sendable {
    /// As it is typed, the command that it belongs to before it: `server ctl`.
    let name: String
    let operands: String
    let summary: String
    /// All but its `own`.
    let flags: [FlagShape]
    let verbs: [Verb]
    let subcommands: [CommandShape]
    let notes: String
    let exits: [ExitMeaning]
    let tables: [Generated: @Sendable () -> [ManualEntry]]
    let madeOfFlags: Set<Generated>

    /// The flags of every command.
    static let own = [
        FlagShape(name: "--help", help: "print this and leave"),
        FlagShape(name: "--version", help: "print the version and leave"),
    ]
    /// The title of these, where the others have titles.
    private static let ownSection = "Help"

    var allFlags: [FlagShape] { flags + CommandShape.own }

    /// The flags by their sections, in the order in which these first appear.
    var sections: [(title: String, flags: [FlagShape])] {
        var sections: [(title: String, flags: [FlagShape])] = []
        for flag in flags {
            if sections.last?.title != flag.section { sections.append((flag.section, [])) }
            sections[sections.count - 1].flags.append(flag)
        }
        if sections.last?.title == "" {
            sections[sections.count - 1].flags += CommandShape.own
        } else {
            sections.append((sections.isEmpty ? "" : CommandShape.ownSection, CommandShape.own))
        }
        return sections
    }

    /// The word that begins it, behind the command that it belongs to.
    var word: String { name.split(separator: " ").last.map(String.init) ?? name }

    var usage: String { "[flags]\(operands.isEmpty ? "" : " " + operands)" }

    var help: String {
        let flags = sections.map { section in
            (section.title, section.flags.map { (Layout.term($0.name, $0.value), $0.sentence) })
        }
        let verbs = verbs.map { (Layout.term($0.name, $0.value), $0.help) }
        let parts =
            [Layout.paragraph(summary), "Usage: \(name) \(usage)"] + Layout.tables(flags)
            + Layout.tables([("Commands", verbs)])
            + Layout.tables([("Each with a --help of its own", subcommands.map { ($0.name, $0.summary) })])
            + [Layout.paragraphs(notes)]
            + Layout.tables([("Exit status", exits.map { ("\($0.status)", $0.meaning) })])
        return parts.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
    }
}
