/// What is made of a command's tables, so that it never lags behind them.
public enum Generated: String, CaseIterable, Sendable {
    /// The section OPTIONS of a man page (man(7)), and where there are subcommands one that has theirs.
    case options
    /// The section EXIT STATUS of a man page.
    case exitStatus = "exit-status"
    /// Sections of a man page from other tables of the program: what it logs, and what it measures.
    case events, metrics
    /// A configuration file in which every line is a comment.
    case configuration
    /// Completions for a shell, of the command under the name that it is installed as.
    case bash, zsh, fish
    /// A configuration of HAProxy that fits the flags typed beside it. The program makes it.
    case haproxy
}

/// A term in a man page, and what is to be said of it.
public struct ManualEntry: Sendable {
    let term: String
    let note: String
    let text: String

    /// - Parameters:
    ///   - term: what the reader looks for.
    ///   - note: what stands behind the term, set apart from it.
    ///   - text: a sentence or more.
    public init(_ term: String, _ note: String = "", _ text: String) {
        self.term = term
        self.note = note
        self.text = text
    }
}

extension CommandShape {
    /// What `--generate` makes of this command.
    var generatable: [Generated] {
        Generated.allCases.filter { what in
            switch what {
            case .events, .metrics: tables[what] != nil
            case .haproxy: madeOfFlags.contains(what)
            case .exitStatus: !exits.isEmpty
            case .options, .configuration, .bash, .zsh, .fish: true
            }
        }
    }

    /// Makes `what`; `command` is the name that the command is installed as.
    func generated(_ what: Generated, for command: String) -> String {
        switch what {
        case .options: manual(command).joined(separator: "\n")
        case .exitStatus: exitStatuses.joined(separator: "\n")
        case .events, .metrics: (tables[what]?() ?? []).flatMap(tableEntry).joined(separator: "\n")
        case .haproxy: preconditionFailure("the program makes it of its flags")
        case .configuration: configuration
        case .bash: bash(command)
        case .zsh: zsh(command)
        case .fish: fish(command)
        }
    }

    private var configuration: String {
        var blocks: [String] = []
        for section in sections {
            let flags = section.flags.filter { flag in
                flag.mayStandInFile && !CommandShape.own.contains { $0.name == flag.name }
            }
            guard !flags.isEmpty else { continue }
            if !section.title.isEmpty { blocks.append("# --- \(section.title) ---\n") }
            blocks += flags.map { flag in
                let lines = Layout.wrapped(flag.sentence, to: 98).map { "# \($0)\n" }.joined()
                return "\(lines)#\(flag.name.dropFirst(2)) \(flag.value ?? "yes")\n"
            }
        }
        return blocks.joined(separator: "\n")
    }

    // MARK: The man page

    private func manual(_ command: String) -> [String] {
        let subsections = subcommands.flatMap { $0.subsection("\(command) \($0.word)") }
        var lines: [String] = []
        for section in sections {
            if !section.title.isEmpty { lines.append(".SS \(roff(section.title))") }
            lines += section.flags.flatMap(flagEntry)
        }
        if !subsections.isEmpty { lines.append(".SH SUBCOMMANDS") }
        return lines + subsections
    }

    private func subsection(_ title: String) -> [String] {
        var lines = [".SS \(roff(title)) \\fI\(roff(usage))\\fR", roff(summary)]
        if !verbs.isEmpty {
            lines += [".PP", "Commands:"]
            for verb in verbs { lines += entry(verb.name, verb.value, verb.help) }
        }
        lines += [".PP", "Flags:"]
        lines += allFlags.flatMap(flagEntry)
        lines += paragraphs(notes)
        if !exits.isEmpty { lines += [".PP", "Exit status:"] + exitStatuses }
        return lines
    }

    private var exitStatuses: [String] { exits.flatMap { entry("\($0.status)", nil, $0.meaning) } }

    private func flagEntry(_ flag: FlagShape) -> [String] { entry(flag.name, flag.value, flag.sentence) }

    private func tableEntry(_ entry: ManualEntry) -> [String] {
        [".TP", "\\fB\(roff(entry.term))\\fR\(entry.note.isEmpty ? "" : " " + roff(entry.note))", roff(entry.text)]
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
