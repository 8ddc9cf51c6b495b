/// One flag of a command: what it looks like, and what it does to the settings.
public struct Flag<Settings>: Sendable {
    private(set) var shape: FlagShape
    let apply: @Sendable (inout Settings, String) throws(UsageError) -> Void
    /// What takes this flag's value and all that is typed behind it; nil for a flag that takes one value or none.
    var applyRest: (@Sendable (inout Settings, [String]) throws(UsageError) -> Void)?

    var name: String { shape.name }
    var value: String? { shape.value }

    /// A flag with a value, `--timeout DURATION` or `--timeout=DURATION`.
    public init(
        _ name: String, _ value: String, _ help: String,
        apply: @escaping @Sendable (inout Settings, String) throws(UsageError) -> Void
    ) {
        shape = FlagShape(name: name, value: value, help: help)
        self.apply = apply
    }

    /// A flag without a value.
    public init(_ name: String, _ help: String, apply: @escaping @Sendable (inout Settings) -> Void) {
        shape = FlagShape(name: name, help: help)
        self.apply = { (settings: inout Settings, _) throws(UsageError) in apply(&settings) }
    }
}

extension Flag {
    /// A flag whose value is one of the names of `Choice`.
    public static func choice<Choice: CaseIterable & RawRepresentable<String> & Sendable>(
        _ name: String, _ value: String, _ help: String,
        apply: @escaping @Sendable (inout Settings, Choice) -> Void
    ) -> Flag {
        var flag = Flag(name, value, help) { settings, text throws(UsageError) in
            apply(&settings, try Value.choice(text, of: Choice.self))
        }
        flag.shape.choices = Choice.allCases.map(\.rawValue)
        return flag
    }

    /// A flag whose value is one of `choices`.
    public static func choice(
        _ name: String, _ value: String, _ help: String, of choices: [String],
        apply: @escaping @Sendable (inout Settings, String) -> Void
    ) -> Flag {
        var flag = Flag(name, value, help) { settings, text throws(UsageError) in
            apply(&settings, try Value.choice(text, of: choices))
        }
        flag.shape.choices = choices
        return flag
    }

    /// The same flag, which may stand in a configuration file more than once: each adds to the others.
    public var repeated: Flag {
        var flag = self
        flag.shape.repeats = true
        return flag
    }

    /// The same flag, which means nothing in a configuration file.
    public var onlyTyped: Flag {
        var flag = self
        flag.shape.mayStandInFile = false
        return flag
    }

    /// A flag that takes the whole rest of the command line, `--exec COMMAND ...`, flags or not: at least one word.
    public static func rest(
        _ name: String, _ value: String, _ help: String,
        apply: @escaping @Sendable (inout Settings, [String]) throws(UsageError) -> Void
    ) -> Flag {
        var flag = Flag(name, value, help) { _, _ throws(UsageError) in }
        flag.applyRest = apply
        return flag
    }
}

/// A command as it is typed: its flags, its operands and its `--help`.
public struct Command<Settings>: Sendable {
    /// What the arguments ask for.
    public enum Request: Equatable, Sendable {
        case run, help, version
        /// For those who install it: `--generate`, of which `--help` does not speak.
        case generate(Generated)
    }

    let name: String
    let flags: [Flag<Settings>]
    private let operands: String
    private let summary: String
    private let verbs: [Verb]
    private let subcommands: [CommandShape]
    private let notes: String
    private let addOperand: (@Sendable (inout Settings, String) -> Void)?

    /// - Parameters:
    ///   - operands: what stands for the operands in `--help`; `addOperand` takes each of them, and where it is nil
    ///     there may be none.
    ///   - verbs: what the first operand can be, where that is one of a few words.
    ///   - subcommands: those of which the last word of the name, directly behind this command, takes its place.
    ///   - notes: paragraphs for the end of `--help`; a line that begins with a blank stays a line of its own.
    public init(
        _ name: String, operands: String = "", summary: String, flags: [Flag<Settings>], verbs: [Verb] = [],
        subcommands: [CommandShape] = [], notes: String = "",
        addOperand: (@Sendable (inout Settings, String) -> Void)? = nil
    ) {
        self.name = name
        self.operands = operands
        self.summary = summary
        self.flags = flags
        self.verbs = verbs
        self.subcommands = subcommands
        self.notes = notes
        self.addOperand = addOperand
    }

    /// Reads `arguments` (without the command's own name) into `settings`; throws what was typed wrongly.
    public func parse(_ arguments: [String], into settings: inout Settings) throws(UsageError) -> Request {
        var given: Set<String> = []
        return try parse(arguments, into: &settings, given: &given)
    }

    /// The same, and puts the names of the flags that were typed into `given`.
    public func parse(
        _ arguments: [String], into settings: inout Settings, given: inout Set<String>
    ) throws(UsageError) -> Request {
        var rest = arguments[...]
        var onlyOperands = false
        while let argument = rest.popFirst() {
            if onlyOperands || !argument.hasPrefix("-") || argument == "-" {
                if !onlyOperands, let subcommand = subcommands.first(where: { $0.word == argument }) {
                    throw UsageError("\(argument) stands directly behind \(name); see \(subcommand.name) --help")
                }
                guard let addOperand else {
                    throw UsageError("'\(argument)' is not expected: \(name) takes flags alone; see \(name) --help")
                }
                addOperand(&settings, argument)
            } else if argument == "--" {
                onlyOperands = true
            } else if argument == "--help" || argument == "-h" {
                return .help
            } else if argument == "--version" {
                return .version
            } else if argument == "--generate" {
                return .generate(try Value.choice(rest.popFirst() ?? "", of: Generated.self))
            } else {
                given.insert(try parse(flag: argument, &rest, into: &settings))
            }
        }
        return .run
    }

    private func parse(
        flag argument: String, _ rest: inout ArraySlice<String>, into settings: inout Settings
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
        guard let given = parts.count == 2 ? parts[1] : rest.popFirst() else {
            throw UsageError("\(flag.name) needs a value: \(flag.name) \(value)")
        }
        do {
            if let applyRest = flag.applyRest {
                try applyRest(&settings, [given] + rest)
                rest = []
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

    /// The flag that somebody may have meant.
    func nearest(to typed: String) -> String? {
        let nearest = flags.map { (flag: $0, distance: editDistance($0.name, typed)) }.min { $0.distance < $1.distance }
        guard let nearest, nearest.distance <= 3 else { return nil }
        return nearest.flag.name
    }

    /// What of it is shown: in `--help`, and in what is `generated`.
    public var shape: CommandShape {
        CommandShape(
            name: name, operands: operands, summary: summary, flags: flags.map(\.shape) + CommandShape.own,
            verbs: verbs,
            subcommands: subcommands, notes: notes)
    }

    /// The text of `--help`.
    public var help: String { shape.help }

    /// Makes `what`; `installed` is the name that the command is installed as.
    public func generated(_ what: Generated, for installed: String) -> String {
        shape.generated(what, for: installed)
    }
}

/// How many letters must be put in, taken out or changed to get from one word to the other (Levenshtein).
private func editDistance(_ one: String, _ other: String) -> Int {
    let other = Array(other)
    var row = Array(0...other.count)
    for (i, letter) in one.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in other.indices {
            let changed = diagonal + (other[j] == letter ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(changed, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[other.count]
}
