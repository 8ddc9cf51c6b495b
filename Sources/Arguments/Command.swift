/// What the arguments of a command ask for.
public enum CommandAction: Equatable, Sendable {
    case run, help, version
    /// For those who install the command: `--generate`, which `--help` does not mention.
    case generate(Generated)
}

/// A command as it is typed: its flags, its operands and its `--help`.
public struct Command<Settings>: Sendable {
    /// All flags but `--help` and `--version`, in the order in which `--help` shows them.
    public let flags: [Flag<Settings>]
    /// What is shown of it, in `--help` and in what is `generated`.
    public let shape: CommandShape
    private let addOperand: (@Sendable (inout Settings, Argument) throws(UsageError) -> Void)?

    var name: String { shape.name }

    /// A command whose flags stand in sections.
    ///
    /// - Parameters:
    ///   - name: as it is typed, behind the command that it belongs to: `server ctl`.
    ///   - operands: what stands for the operands in `--help`; `addOperand` takes each of them, and where it is nil
    ///     there may be none.
    ///   - summary: what the command does, in a sentence.
    ///   - defaults: the settings without any flag; `--help` shows their values.
    ///   - sections: the flags.
    ///   - verbs: what the first operand can be, where that is one of a few words.
    ///   - subcommands: commands that the last word of their name, directly behind this command, begins.
    ///   - notes: paragraphs for the end of `--help`; a line that begins with a blank stays a line of its own.
    ///   - exits: the exit statuses, in the order of their numbers.
    ///   - tables: what `--generate` makes of other tables of the program.
    ///   - madeOfFlags: what `--generate` makes of the flags beside it, wherever they stand. The program makes it.
    ///   - addOperand: takes an operand.
    public init(
        _ name: String, operands: String = "", summary: String, defaults: Settings, sections: [FlagSection<Settings>],
        verbs: [Verb] = [], subcommands: [CommandShape] = [], notes: String = "", exits: [ExitMeaning] = [],
        tables: [Generated: @Sendable () -> [ManualEntry]] = [:], madeOfFlags: Set<Generated> = [],
        addOperand: (@Sendable (inout Settings, Argument) throws(UsageError) -> Void)? = nil
    ) {
        flags = sections.flatMap(\.flags)
        shape = CommandShape(
            name: name, operands: operands, summary: summary,
            flags: sections.flatMap { section in
                section.flags.map { $0.shape(in: section.title, defaults: defaults) }
            }, verbs: verbs, subcommands: subcommands, notes: notes, exits: exits, tables: tables,
            madeOfFlags: madeOfFlags)
        self.addOperand = addOperand
    }

    /// A command with few flags, which need no sections; the parameters are those of the other initializer.
    public init(
        _ name: String, operands: String = "", summary: String, defaults: Settings, flags: [Flag<Settings>],
        verbs: [Verb] = [], subcommands: [CommandShape] = [], notes: String = "", exits: [ExitMeaning] = [],
        addOperand: (@Sendable (inout Settings, Argument) throws(UsageError) -> Void)? = nil
    ) {
        self.init(
            name, operands: operands, summary: summary, defaults: defaults, sections: [FlagSection("", flags)],
            verbs: verbs, subcommands: subcommands, notes: notes, exits: exits, addOperand: addOperand)
    }

    /// Reads `arguments` (without the command's own name) into `settings`; throws what was typed wrongly.
    public func parse(_ arguments: [String], into settings: inout Settings) throws(UsageError) -> CommandAction {
        var given: Set<String> = []
        return try parse(arguments, into: &settings, given: &given)
    }

    /// The same, and puts the names of the flags that were typed into `given`.
    public func parse(
        _ arguments: [String], into settings: inout Settings, given: inout Set<String>
    ) throws(UsageError) -> CommandAction {
        try parse(arguments.map { Argument($0) }, into: &settings, given: &given)
    }

    /// The same, with operands that may be any bytes. All else must be UTF-8.
    public func parse(
        _ arguments: [Argument], into settings: inout Settings, given: inout Set<String>
    ) throws(UsageError) -> CommandAction {
        var rest = arguments[...]
        var onlyOperands = false
        var generated: Generated?
        while let argument = rest.popFirst() {
            if onlyOperands || argument.bytes.first != UInt8(ascii: "-") || argument.bytes.count == 1 {
                try take(operand: argument, isQuoted: onlyOperands, into: &settings)
                continue
            }
            switch try argument.text() {
            case "--": onlyOperands = true
            case "--help", "-h": return .help
            case "--version": return .version
            case "--generate":
                guard let text = try rest.popFirst()?.text() else { throw UsageError("--generate needs a value") }
                let choice = try FlagValue.choice(text, of: shape.generatable.map(\.rawValue))
                let what = Generated(rawValue: choice)!
                guard shape.madeOfFlags.contains(what) else { return .generate(what) }
                generated = what
            case let flag: given.insert(try parse(flag: flag, &rest, into: &settings))
            }
        }
        return generated.map(CommandAction.generate) ?? .run
    }

    private func take(
        operand argument: Argument, isQuoted: Bool, into settings: inout Settings
    ) throws(UsageError) {
        if !isQuoted, let subcommand = shape.subcommands.first(where: { Argument($0.word) == argument }) {
            throw UsageError("\(subcommand.word) stands directly behind \(name); see \(subcommand.name) --help")
        }
        guard let addOperand else { throw UsageError(try complaint(of: argument.text())) }
        try addOperand(&settings, argument)
    }

    /// What is wrong with an operand of a command that takes none.
    private func complaint(of operand: String) -> String {
        let subcommand = nearestName(to: operand, among: shape.subcommands.map(\.word)).map { "\(name) \($0)" }
        let meant = subcommand ?? flags.map(\.name).first { $0 == "--" + operand }
        return
            "'\(operand)' is not expected\(meant.map { " (did you mean \($0)?)" } ?? ""): \(name) takes flags alone; see "
            + "\(name) --help"
    }

    private func parse(
        flag argument: String, _ rest: inout ArraySlice<Argument>, into settings: inout Settings
    ) throws(UsageError) -> String {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let flag = flags.first(where: { $0.name == parts[0] }) else {
            throw UsageError("\(parts[0]) is not a flag of \(name)\(suggestion(for: parts[0])); see \(name) --help")
        }
        guard let value = flag.value else {
            guard parts.count == 1 else { throw UsageError("\(flag.name) takes no value") }
            try flag.apply(&settings, "")
            return flag.name
        }
        guard let given = parts.count == 2 ? parts[1] : try rest.popFirst()?.text() else {
            throw UsageError("\(flag.name) needs a value: \(flag.name) \(value)")
        }
        var words = [given]
        if flag.applyRest != nil {
            while let word = rest.popFirst() { words.append(try word.text()) }
        }
        do {
            if let applyRest = flag.applyRest {
                try applyRest(&settings, words)
            } else {
                try flag.apply(&settings, given)
            }
        } catch {
            throw UsageError("\(flag.name): \(error)")
        }
        return flag.name
    }

    private func suggestion(for typed: String) -> String {
        nearest(to: typed).map { " (did you mean \($0)?)" } ?? ""
    }

    /// The flag whose name is nearest to what was typed.
    func nearest(to typed: String) -> String? { nearestName(to: typed, among: flags.map(\.name) + Command.own) }

    /// The flags that every command has.
    static var own: [String] { CommandShape.own.map(\.name) }

    /// The text of `--help`.
    public var help: String { shape.help }

    /// Makes `what` for a command that is installed under the name `installed`.
    public func generated(_ what: Generated, for installed: String) -> String {
        shape.generated(what, for: installed)
    }
}
