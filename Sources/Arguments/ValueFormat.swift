/// How a flag's value is written: read from the command line, and described as a default in `--help`.
public struct ValueFormat<Value>: Sendable {
    let read: @Sendable (String) throws(UsageError) -> Value
    let describe: @Sendable (Value) -> String
    /// All that the value can be, where that is a few words.
    private(set) var choices: [String] = []

    /// - Parameters:
    ///   - read: makes the value, or throws what was wrong and what is expected.
    ///   - describe: the text that reads as this value.
    public init(
        read: @escaping @Sendable (String) throws(UsageError) -> Value,
        describe: @escaping @Sendable (Value) -> String
    ) {
        self.read = read
        self.describe = describe
    }
}

extension ValueFormat<String> {
    /// Any text.
    public static var text: ValueFormat {
        ValueFormat(read: { (text: String) throws(UsageError) in text }, describe: { $0 })
    }

    /// The path of a file, which is not empty.
    public static var file: ValueFormat {
        ValueFormat(
            read: { (text: String) throws(UsageError) in
                guard !text.isEmpty else { throw UsageError("'' is not a path") }
                return text
            },
            describe: { $0 })
    }
}

extension ValueFormat<Duration> {
    /// A duration within `range`, as `FlagValue.duration` reads it.
    public static func duration(in range: ClosedRange<Duration>) -> ValueFormat {
        ValueFormat(
            read: { (text: String) throws(UsageError) in try FlagValue.duration(text, in: range) },
            describe: { FlagValue.describe($0) })
    }
}

extension ValueFormat where Value: FixedWidthInteger & Sendable {
    /// A whole number within `range`.
    public static func integer(in range: ClosedRange<Value>) -> ValueFormat {
        ValueFormat(
            read: { (text: String) throws(UsageError) in try FlagValue.integer(text, in: range) },
            describe: { "\($0)" })
    }

    /// A number of bytes within `range`, as `FlagValue.size` reads it.
    public static func size(in range: ClosedRange<Value>) -> ValueFormat {
        ValueFormat(
            read: { (text: String) throws(UsageError) in try FlagValue.size(text, in: range) },
            describe: FlagValue.describe(bytes:))
    }
}

extension ValueFormat where Value: CaseIterable & RawRepresentable<String> & Sendable {
    /// One of the names of `Value`.
    public static var choice: ValueFormat {
        var format = ValueFormat(
            read: { (text: String) throws(UsageError) in try FlagValue.choice(text, of: Value.self) },
            describe: { $0.rawValue })
        format.choices = Value.allCases.map(\.rawValue)
        return format
    }
}

extension ValueFormat<String> {
    /// One of `choices`.
    public static func choice(of choices: [String]) -> ValueFormat {
        var format = ValueFormat(
            read: { (text: String) throws(UsageError) in try FlagValue.choice(text, of: choices) }, describe: { $0 })
        format.choices = choices
        return format
    }
}
