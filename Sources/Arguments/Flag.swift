/// One flag of a command: what it looks like, what it does to the settings, and what holds without it.
public struct Flag<Settings>: Sendable {
    private(set) var shape: FlagShape
    private(set) var apply: @Sendable (inout Settings, String) throws(UsageError) -> Void
    /// Takes this flag's value and all that is typed behind it; nil for a flag that takes one value or none.
    private(set) var applyRest: (@Sendable (inout Settings, [String]) throws(UsageError) -> Void)?
    /// Reads from the settings, as they are without any flag, what `--help` shows as the default.
    private var readDefault: (@Sendable (Settings) -> String?)?
    private var changePaths: (@Sendable (inout Settings, (String) -> String) -> Void)?

    /// The name as it is typed, `--port`.
    public var name: String { shape.name }
    /// What stands for the value in `--help`; nil for a flag without one.
    public var value: String? { shape.value }
    /// Whether it may stand on the command line alone.
    public var isOnlyTyped: Bool { !shape.mayStandInFile }

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

    /// A flag whose value goes to one place in the settings; the default is what stands there without the flag.
    public init<Value>(
        _ name: String, _ value: String, _ help: String, _ path: WritableKeyPath<Settings, Value> & Sendable,
        _ format: ValueFormat<Value>
    ) {
        self.init(name, value, help) { settings, text throws(UsageError) in
            settings[keyPath: path] = try format.read(text)
        }
        shape.choices = format.choices
        readDefault = { format.describe($0[keyPath: path]) }
    }

    /// The same for a setting that may have no value.
    ///
    /// - Parameters:
    ///   - path: the place in the settings.
    ///   - format: how the value is written.
    ///   - unset: what `--help` shows as the default where there is no value, such as "no limit".
    public init<Value>(
        _ name: String, _ value: String, _ help: String, _ path: WritableKeyPath<Settings, Value?> & Sendable,
        _ format: ValueFormat<Value>, unset: String? = nil
    ) {
        self.init(name, value, help) { settings, text throws(UsageError) in
            settings[keyPath: path] = try format.read(text)
        }
        shape.choices = format.choices
        readDefault = { $0[keyPath: path].map(format.describe) ?? unset }
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

extension Flag {
    /// The same flag, which may stand in a configuration file more than once: each adds to the others.
    public var repeated: Flag { with { $0.shape.repeats = true } }

    /// The same flag, which means nothing in a configuration file.
    public var onlyTyped: Flag { with { $0.shape.mayStandInFile = false } }

    /// The same flag, which also changes the settings in this way.
    public func also(_ change: @escaping @Sendable (inout Settings) -> Void) -> Flag {
        with { flag in
            flag.apply = { [apply] (settings: inout Settings, text) throws(UsageError) in
                try apply(&settings, text)
                change(&settings)
            }
        }
    }

    /// The same flag, whose value may also be `word`, which `clear` carries out: it takes back what was set.
    public func taking(_ word: String, _ clear: @escaping @Sendable (inout Settings) -> Void) -> Flag {
        with { flag in
            let apply = flag.apply
            flag.shape.value = flag.shape.value.map { "\($0)|\(word)" }
            flag.apply = { (settings: inout Settings, text: String) throws(UsageError) in
                if text == word { clear(&settings) } else { try apply(&settings, text) }
            }
        }
    }

    /// The same flag with a default that `read` takes from the settings.
    public func defaulting(_ read: @escaping @Sendable (Settings) -> String?) -> Flag { with { $0.readDefault = read } }

    /// The same flag, whose value is the path of a file: `resolvePath` changes what stands at `path`.
    public func path(_ path: WritableKeyPath<Settings, String?> & Sendable) -> Flag {
        self.path { settings, resolve in settings[keyPath: path] = settings[keyPath: path].map(resolve) }
    }

    /// The same flag, whose value may be the path of a file: `change` puts what a function makes of that path in
    /// its place.
    public func path(_ change: @escaping @Sendable (inout Settings, (String) -> String) -> Void) -> Flag {
        with { $0.changePaths = change }
    }

    /// Whether the value may be the path of a file that `resolvePath` changes.
    public var isPath: Bool { changePaths != nil }

    /// Puts what `resolve` makes of this flag's path in its place. A flag without a path changes nothing.
    public func resolvePath(in settings: inout Settings, _ resolve: (String) -> String) {
        changePaths?(&settings, resolve)
    }

    private func with(_ change: (inout Flag) -> Void) -> Flag {
        var flag = self
        change(&flag)
        return flag
    }

    /// What is shown of it, with the default that `settings` have.
    func shape(in section: String, defaults settings: Settings) -> FlagShape {
        var shape = shape
        shape.section = section
        shape.defaultText = readDefault?(settings)
        return shape
    }
}

/// Flags that `--help`, the man page and the configuration file show together under a title.
public struct FlagSection<Settings>: Sendable {
    let title: String
    let flags: [Flag<Settings>]

    /// - Parameters:
    ///   - title: such as "Limits"; empty for flags without a title.
    ///   - flags: in the order in which they are shown.
    public init(_ title: String, _ flags: [Flag<Settings>]) {
        self.title = title
        self.flags = flags
    }
}
