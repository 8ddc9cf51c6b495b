/// What is made of a command's flags, so that it never lags behind them.
public enum Generated: String, CaseIterable, Sendable {
    /// The section OPTIONS of a man page (man(7)), and where there are subcommands one that has theirs.
    case options
    /// A configuration file in which every line is a comment.
    case configuration
    /// Completions for a shell, of the command under the name that it is installed as.
    case bash, zsh, fish
}

extension CommandShape {
    /// Makes `what`; `command` is the name that the command is installed as.
    func generated(_ what: Generated, for command: String) -> String {
        switch what {
        case .options: manual(command).joined(separator: "\n")
        case .configuration: configuration
        case .bash: bash(command)
        case .zsh: zsh(command)
        case .fish: fish(command)
        }
    }

    private var configuration: String {
        flags.dropLast(CommandShape.own.count).filter(\.mayStandInFile).map { flag in
            let lines = flag.help.split(separator: "\n").map { "# \($0)\n" }.joined()
            return "\(lines)#\(flag.name.dropFirst(2)) \(flag.value ?? "yes")\n"
        }.joined(separator: "\n")
    }

    // MARK: The man page

    private func manual(_ command: String) -> [String] {
        let sections = subcommands.flatMap { $0.section("\(command) \($0.word)") }
        return options + (sections.isEmpty ? [] : [".SH SUBCOMMANDS"] + sections)
    }

    private var options: [String] { flags.flatMap { entry($0.name, $0.value, $0.sentence) } }

    private func section(_ title: String) -> [String] {
        [".SS \(roff(title)) \\fI\(roff(usage))\\fR", roff(summary)]
            + (verbs.isEmpty ? [] : [".PP", "Commands:"] + verbs.flatMap { entry($0.name, $0.value, $0.sentence) })
            + [".PP", "Flags:"] + options + paragraphs(notes)
    }

    private func entry(_ name: String, _ value: String?, _ text: String) -> [String] {
        [".TP", "\\fB\(roff(name))\\fR\(value.map { " \\fI\(roff($0))\\fR" } ?? "")", roff(text)]
    }

    private func paragraphs(_ text: String) -> [String] {
        var lines: [String] = []
        var isWithin = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            guard !line.isEmpty else {
                isWithin = false
                continue
            }
            if !isWithin { lines.append(".PP") }
            // A line that is set off stays one.
            if isWithin, line.hasPrefix(" ") { lines.append(".br") }
            isWithin = true
            lines.append(roff(String(line.drop { $0 == " " })))
        }
        return lines
    }

    private func roff(_ text: String) -> String {
        let line = escaped(text, ["\\": "\\e", "-": "\\-"])
        return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
    }
}

func escaped(_ text: String, _ escapes: [Character: String]) -> String {
    text.reduce(into: "") { $0 += escapes[$1] ?? String($1) }
}

extension FlagShape {
    /// The help in one line.
    var sentence: String { escaped(help, ["\n": " "]) }
}

extension Verb {
    /// The help in one line.
    var sentence: String { escaped(help, ["\n": " "]) }
}
