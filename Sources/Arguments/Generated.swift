/// What is made of a command's flags, so that it never lags behind them.
public enum Generated: String, CaseIterable, Sendable {
    /// The section OPTIONS of a man page (man(7)).
    case options
    /// A configuration file in which every line is a comment.
    case configuration
    /// Completions for a shell, of the command under the name that it is installed as.
    case bash, zsh, fish
}

extension Command {
    /// Makes `what`; `command` is the name that the command is installed as.
    public func generated(_ what: Generated, for command: String) -> String {
        switch what {
        case .options: options
        case .configuration: configuration
        case .bash: bash(command)
        case .zsh: zsh(command)
        case .fish: fish(command)
        }
    }

    private var all: [Flag<Settings>] {
        flags + [
            Flag("--help", "print this and leave") { _ in }, Flag("--version", "print the version and leave") { _ in },
        ]
    }

    private var options: String {
        all.map { flag in
            let value = flag.value.map { " \\fI\(roff($0))\\fR" } ?? ""
            return ".TP\n\\fB\(roff(flag.name))\\fR\(value)\n\(roff(flag.sentence))"
        }.joined(separator: "\n")
    }

    private func roff(_ text: String) -> String {
        let line = escaped(text, ["\\": "\\e", "-": "\\-"])
        return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" + line : line
    }

    private var configuration: String {
        flags.filter(\.mayStandInFile).map { flag in
            let lines = flag.help.split(separator: "\n").map { "# \($0)\n" }.joined()
            return "\(lines)#\(flag.name.dropFirst(2)) \(flag.value ?? "yes")\n"
        }.joined(separator: "\n")
    }

    // MARK: Shells

    private func bash(_ command: String) -> String {
        let function = "_" + escaped(command, ["-": "_"])
        var cases = ""
        for flag in all where flag.value != nil {
            let words =
                switch flag.kind {
                case .choice(let choices): "-W '\(choices.joined(separator: " "))'"
                case .file: "-f"
                case .directory: "-d"
                case .command: "-c"
                case .other: ""
                }
            let reply = words.isEmpty ? "" : "COMPREPLY=($(compgen \(words) -- \"$cur\")); "
            cases +=
                "        \(flag.name)) \(flag.kind.isPath ? "compopt -o filenames 2>/dev/null; " : "")\(reply)return ;;\n"
        }
        return """
            # bash completion of \(command)
            \(function)() {
                local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
                COMPREPLY=()
                # --flag=value is three words here.
                if [ "$cur" = = ]; then cur=; elif [ "$prev" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
                case $prev in
            \(cases)    esac
                COMPREPLY=($(compgen -W '\(all.map(\.name).joined(separator: " "))' -- "$cur"))
            }
            complete -F \(function) \(command)
            """
    }

    private func zsh(_ command: String) -> String {
        func quoted(_ text: String) -> String {
            escaped(text, ["[": "\\[", "]": "\\]", ":": "\\:", "\\": "\\\\", "'": "'\\''"])
        }
        let specifications = all.map { flag in
            let action =
                switch flag.kind {
                case .choice(let choices): "(\(choices.joined(separator: " ")))"
                case .file: "_files"
                case .directory: "_files -/"
                case .command: "_command_names"
                case .other: ""
                }
            let value = flag.value.map { ":\(quoted($0)):\(action)" } ?? ""
            let name = (flag.repeats ? "*" : "") + flag.name + (flag.value == nil ? "" : "=")
            return "    '\(name)[\(quoted(flag.sentence))]\(value)'"
        }
        let rest = operands.isEmpty ? [] : ["    '*:\(quoted(operands)):'"]
        return "#compdef \(command)\n_arguments \\\n" + (specifications + rest).joined(separator: " \\\n")
    }

    private func fish(_ command: String) -> String {
        func quoted(_ text: String) -> String {
            "'" + escaped(text, ["\\": "\\\\", "'": "\\'"]) + "'"
        }
        return all.map { flag in
            let value =
                switch flag.kind {
                case _ where flag.value == nil: "-f"
                case .choice(let choices): "-x -a \(quoted(choices.joined(separator: " ")))"
                case .file: "-r -F"
                case .directory: "-x -a '(__fish_complete_directories)'"
                case .command: "-x -a '(__fish_complete_command)'"
                case .other: "-x"
                }
            return "complete -c \(command) -l \(flag.name.dropFirst(2)) \(value) -d \(quoted(flag.sentence))"
        }.joined(separator: "\n")
    }
}

private func escaped(_ text: String, _ escapes: [Character: String]) -> String {
    text.reduce(into: "") { $0 += escapes[$1] ?? String($1) }
}

/// What a value names, for completions.
private enum Kind {
    case choice([String])
    case file, directory, command, other

    var isPath: Bool {
        switch self {
        case .file, .directory: true
        case .choice, .command, .other: false
        }
    }
}

extension Flag {
    /// The help in one line.
    fileprivate var sentence: String { escaped(help, ["\n": " "]) }

    fileprivate var kind: Kind {
        guard choices.isEmpty else { return .choice(choices) }
        return switch value {
        case "FILE", "PATH": .file
        case "DIR": .directory
        case "COMMAND", "COMMAND ...": .command
        default: .other
        }
    }
}
