/// Completions. A subcommand is known by the first word behind the command, and has flags of its own; a verb is the first
/// operand, and may stand behind flags.
extension CommandShape {
    private var valued: [FlagShape] { allFlags.filter { $0.value != nil } }

    /// The verbs whose operand can be completed.
    private var choosing: [Verb] { verbs.filter { !$0.choices.isEmpty } }

    // MARK: bash

    func bash(_ command: String) -> String {
        let function = "_" + escaped(command, ["-": "_"])
        let functions = subcommands.map { "\(function)_\($0.word)" }
        let own = zip(subcommands, functions).map { shape, function in
            "\(function)() {\n\(shape.bashBody)}\n"
        }
        var dispatch = ""
        if !subcommands.isEmpty {
            let cases = zip(subcommands, functions).map { "            \($0.word)) \($1); return ;;\n" }
            dispatch =
                "    if [ \"$COMP_CWORD\" -gt 1 ]; then\n        case ${COMP_WORDS[1]} in\n\(cases.joined())"
                + "        esac\n    else\n        words='\(subcommands.map(\.word).joined(separator: " "))'\n    fi\n"
        }
        return """
            # bash completion of \(command)
            \(own.joined())\(function)() {
                local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=
                COMPREPLY=()
                # --flag=value is three words here.
                if [ "$cur" = = ]; then cur=; elif [ "$prev" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
            \(dispatch)\(bashBody)}
            complete -F \(function) \(command)
            """
    }

    /// What the function of a command does with `cur` and `prev`.
    private var bashBody: String {
        var cases = ""
        for flag in valued {
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
        return (cases.isEmpty ? "" : "    case $prev in\n\(cases)    esac\n") + (verbs.isEmpty ? "" : bashVerbs)
            + "    COMPREPLY=($(compgen -W \"$words \(allFlags.map(\.name).joined(separator: " "))\" -- \"$cur\"))\n"
    }

    /// Finds the operands before the word, and puts what it can be into `words`.
    private var bashVerbs: String {
        let choices = choosing.map {
            "        '\($0.name) ') words='\($0.choices.joined(separator: " "))' ;;\n"
        }
        return """
                local operands= i
                for ((i = 2; i < COMP_CWORD; i++)); do
                    case ${COMP_WORDS[i]} in
                        \(valued.map(\.name).joined(separator: "|"))) [ "${COMP_WORDS[i+1]}" != = ] || i=$((i + 1)); i=$((i + 1)) ;;
                        -*) ;;
                        *) operands+="${COMP_WORDS[i]} " ;;
                    esac
                done
                case $operands in
                    '') words='\(verbs.map(\.name).joined(separator: " "))' ;;
            \(choices.joined())    esac

            """
    }

    // MARK: zsh

    func zsh(_ command: String) -> String {
        let function = "_" + escaped(command, ["-": "_"])
        let cases = subcommands.map { shape in
            "        \(shape.word))\n            shift words; CURRENT=$((CURRENT - 1))\n"
                + "            \(function)_\(shape.word); return ;;\n"
        }
        let own = subcommands.map { "\(function)_\($0.word)() {\n\($0.zshBody)\n}\n" }
        let dispatch =
            subcommands.isEmpty
            ? "" : "if (( CURRENT > 2 )); then\n    case $words[2] in\n\(cases.joined())    esac\nfi\n"
        return "#compdef \(command)\n\(own.joined())\(dispatch)\(zshBody)"
    }

    private var zshBody: String {
        func quoted(_ text: String) -> String {
            escaped(text, ["[": "\\[", "]": "\\]", ":": "\\:", "\\": "\\\\", "'": "'\\''"])
        }
        /// Words and what they mean, within quotes within parentheses.
        func described(_ words: [(String, String)]) -> String {
            words.map { word, text in
                let text = escaped(text, ["\\": "\\\\", ":": "\\:", "\"": "\\\"", "'": "'\\''"])
                return "\(word)\\:\"\(text)\""
            }.joined(separator: " ")
        }
        var specifications = allFlags.map { flag in
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
            return "'\(name)[\(quoted(flag.sentence))]\(value)'"
        }
        if !subcommands.isEmpty {
            specifications.append("'1:subcommand:((\(described(subcommands.map { ($0.word, $0.summary) }))))'")
        }
        if !verbs.isEmpty {
            specifications.append("'1:\(quoted(operands)):((\(described(verbs.map { ($0.name, $0.help) }))))'")
            specifications.append("'2: :->operand'")
        } else if !operands.isEmpty {
            specifications.append("'*:\(quoted(operands)):'")
        }
        let arguments = "_arguments \\\n    " + specifications.joined(separator: " \\\n    ")
        guard !verbs.isEmpty else { return arguments }
        let cases = choosing.map { "        \($0.name)) compadd -- \($0.choices.joined(separator: " ")) ;;\n" }
        return "local state line\ntypeset -A opt_args\n\(arguments) && return\n"
            + "if [[ $state = operand ]]; then\n    case $line[1] in\n\(cases.joined())    esac\nfi"
    }

    // MARK: fish

    func fish(_ command: String) -> String {
        guard !subcommands.isEmpty else { return fishLines(command, "").joined(separator: "\n") }
        let function = "__" + escaped(command, ["-": "_"])
        var lines = [
            """
            # Whether the subcommand that is typed is this one; none for none.
            function \(function)_is
                set -l word (commandline -opc)[2]
                contains -- "$word" \(subcommands.map(\.word).joined(separator: " ")); or set word none
                test "$word" = $argv[1]
            end
            """
        ]
        lines += subcommands.map {
            "complete -c \(command) -n '\(function)_is none; and test (count (commandline -opc)) -eq 1' -f "
                + "-a \($0.word) -d \(fishQuoted($0.summary))"
        }
        lines += fishLines(command, "-n '\(function)_is none' ")
        for subcommand in subcommands {
            let name = "\(function)_\(subcommand.word)"
            let condition = "\(function)_is \(subcommand.word)"
            // Where no file is an operand, none is offered.
            if subcommand.operands.isEmpty || !subcommand.verbs.isEmpty {
                lines.append("complete -c \(command) -n '\(condition)' -f")
            }
            lines += subcommand.fishLines(command, "-n '\(condition)' ")
            lines += subcommand.fishVerbs(command, condition, name)
        }
        return lines.joined(separator: "\n")
    }

    private func fishQuoted(_ text: String) -> String { "'" + escaped(text, ["\\": "\\\\", "'": "\\'"]) + "'" }

    private func fishLines(_ command: String, _ condition: String) -> [String] {
        allFlags.map { flag in
            let value =
                switch flag.kind {
                case _ where flag.value == nil: "-f"
                case .choice(let choices): "-x -a \(fishQuoted(choices.joined(separator: " ")))"
                case .file: "-r -F"
                case .directory: "-x -a '(__fish_complete_directories)'"
                case .command: "-x -a '(__fish_complete_command)'"
                case .other: "-x"
                }
            let name = flag.name.dropFirst(2)
            return "complete -c \(command) \(condition)-l \(name) \(value) -d \(fishQuoted(flag.sentence))"
        }
    }

    private func fishVerbs(_ command: String, _ condition: String, _ function: String) -> [String] {
        guard !verbs.isEmpty else { return [] }
        let operands = """
            # Whether the operands that are typed are these.
            function \(function)_has
                set -l operands
                set -l takes no
                for word in (commandline -opc)[3..-1]
                    if test $takes = yes
                        set takes no
                        continue
                    end
                    switch $word
                        case \(valued.map(\.name).joined(separator: " "))
                            set takes yes
                        case '-*'
                        case '*'
                            set -a operands $word
                    end
                end
                test "$operands" = "$argv"
            end
            """
        func line(_ operands: String, _ words: String, _ text: String) -> String {
            "complete -c \(command) -n '\(condition); and \(function)_has\(operands)' -f -a \(fishQuoted(words)) "
                + "-d \(fishQuoted(text))"
        }
        return [operands] + verbs.map { line("", $0.name, $0.help) }
            + choosing.map { line(" \($0.name)", $0.choices.joined(separator: " "), $0.value ?? "") }
    }
}

/// What a value names.
private enum CompletionKind {
    case choice([String])
    case file, directory, command, other

    var isPath: Bool {
        switch self {
        case .file, .directory: true
        case .choice, .command, .other: false
        }
    }
}

extension FlagShape {
    fileprivate var kind: CompletionKind {
        guard choices.isEmpty else { return .choice(choices) }
        return switch value {
        case "FILE", "PATH": .file
        case "DIR": .directory
        case "COMMAND", "COMMAND ...": .command
        default: .other
        }
    }
}
