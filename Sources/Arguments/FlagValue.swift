/// Reads the values that flags take; each function throws what was wrong and what is expected.
public enum FlagValue {
    /// `30`, `2.5`, `500ms`, `2m`, `1h`: seconds without a unit.
    public static func duration(_ text: String, in range: ClosedRange<Duration>? = nil) throws(UsageError) -> Duration {
        let units: [(suffix: String, nanoseconds: Double)] = [
            ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("", 1e9),
        ]
        for unit in units where text.hasSuffix(unit.suffix) {
            let digits = text.dropLast(unit.suffix.count)
            guard let number = decimal(digits), number * unit.nanoseconds < 1e18 else { break }
            let duration = Duration.nanoseconds(Int64((number * unit.nanoseconds).rounded()))
            if let range, !range.contains(duration) {
                throw UsageError(
                    "'\(text)' is not between \(describe(range.lowerBound)) and \(describe(range.upperBound))")
            }
            return duration
        }
        throw UsageError("'\(text)' is not a duration like 30, 2.5, 500ms, 2m or 1h")
    }

    /// Digits with at most one point among them; no sign, no exponent.
    private static func decimal(_ digits: Substring) -> Double? {
        guard digits.contains(where: \.isASCIIDigit), digits.allSatisfy({ $0.isASCIIDigit || $0 == "." }) else {
            return nil
        }
        return Double(digits.hasSuffix(".") ? digits.dropLast() : digits)
    }

    /// A whole number within `range`.
    public static func integer<Number: FixedWidthInteger & Sendable>(
        _ text: String, in range: ClosedRange<Number>
    ) throws(UsageError) -> Number {
        guard let number = Number(text), range.contains(number) else {
            throw UsageError("'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A number of bytes within `range`: `16384`, `16k`, `1m`, `2g`.
    public static func size<Number: FixedWidthInteger & Sendable>(
        _ text: String, in range: ClosedRange<Number>
    ) throws(UsageError) -> Number {
        let factors: [(suffix: String, factor: UInt64)] = [("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("", 1)]
        for (suffix, factor) in factors where text.lowercased().hasSuffix(suffix) {
            guard let number = UInt64(text.dropLast(suffix.count)) else { break }
            let (size, overflows) = number.multipliedReportingOverflow(by: factor)
            guard !overflows, range.lowerBound <= size, size <= range.upperBound else {
                throw UsageError(
                    "'\(text)' is not from \(describe(bytes: range.lowerBound)) to \(describe(bytes: range.upperBound)) bytes"
                )
            }
            return Number(size)
        }
        throw UsageError("'\(text)' is not a number of bytes like 16384, 16k, 1m or 2g")
    }

    /// A number of bytes as `size` reads it, with the largest unit that divides it.
    static func describe(bytes: some FixedWidthInteger) -> String {
        for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] where bytes != 0 && UInt64(bytes) % (1 << shift) == 0 {
            return "\(UInt64(bytes) >> shift)\(unit)"
        }
        return "\(bytes)"
    }

    /// One of the names of `choices`.
    public static func choice<Choice: CaseIterable & RawRepresentable<String>>(
        _ text: String, of choices: Choice.Type
    ) throws(UsageError) -> Choice {
        guard let choice = Choice(rawValue: text) else { throw notOne(text, of: choices.allCases.map(\.rawValue)) }
        return choice
    }

    /// One of `choices`.
    static func choice(_ text: String, of choices: [String]) throws(UsageError) -> String {
        guard choices.contains(text) else { throw notOne(text, of: choices) }
        return text
    }

    private static func notOne(_ text: String, of choices: [String]) -> UsageError {
        let meant = nearestName(to: text, among: choices).map { " (did you mean \($0)?)" } ?? ""
        return UsageError("'\(text)' is not one of \(choices.joined(separator: ", "))\(meant)")
    }

    /// A duration as `duration` reads it.
    public static func describe(_ duration: Duration) -> String {
        let milliseconds = Int(duration / .milliseconds(1))
        let hour = 3_600_000
        if milliseconds >= 24 * hour, milliseconds % hour == 0 { return "\(milliseconds / hour)h" }
        if milliseconds == 0 { return "0" }
        return milliseconds % 1000 == 0 && milliseconds > 0 ? "\(milliseconds / 1000)" : "\(milliseconds)ms"
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { isASCII && isNumber }
}
