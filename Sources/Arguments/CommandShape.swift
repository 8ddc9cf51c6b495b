/// What of a flag is shown.
struct FlagShape: Sendable {
    let name: String
    /// What stands for the value in `--help`; nil for a flag without one.
    var value: String?
    let help: String
    /// Whether it may stand in a configuration file more than once.
    var repeats = false
    var mayStandInFile = true
    /// All that the value can be, where that is a few words.
    var choices: [String] = []
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

/// What of a command is shown, in `--help` and in what is `generated`: all but what its flags do.
public struct CommandShape: Sendable {
    /// As it is typed, the command that it belongs to before it: `server ctl`.
    let name: String
    let operands: String
    let summary: String
    /// The last of them are its `own`.
    let flags: [FlagShape]
    let verbs: [Verb]
    let subcommands: [CommandShape]
    let notes: String

    /// The flags of every command.
    static let own = [
        FlagShape(name: "--help", help: "print this and leave"),
        FlagShape(name: "--version", help: "print the version and leave"),
    ]

    /// What stands for it behind the command that it belongs to.
    var word: String { name.split(separator: " ").last.map(String.init) ?? name }

    var usage: String { "[flags]\(operands.isEmpty ? "" : " " + operands)" }

    var help: String {
        let parts = [
            summary, "Usage: \(name) \(usage)", columns(flags.map { (shown($0.name, $0.value), $0.help) }),
            listed("Commands:", verbs.map { (shown($0.name, $0.value), $0.help) }),
            listed("Each with a --help of its own:", subcommands.map { ($0.name, $0.summary) }), notes,
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
    }

    private func shown(_ name: String, _ value: String?) -> String { name + (value.map { " " + $0 } ?? "") }

    private func listed(_ title: String, _ rows: [(String, String)]) -> String {
        rows.isEmpty ? "" : title + "\n" + columns(rows)
    }

    /// Two columns; a help of several lines goes on below its first.
    private func columns(_ rows: [(left: String, help: String)]) -> String {
        let width = (rows.map(\.left.count).max() ?? 0) + 2
        return rows.map { left, help in
            "  " + left + String(repeating: " ", count: width - left.count)
                + help.split(separator: "\n").joined(separator: "\n" + String(repeating: " ", count: width + 2))
        }.joined(separator: "\n")
    }
}
