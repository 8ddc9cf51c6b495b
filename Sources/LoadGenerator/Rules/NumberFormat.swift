/// Formats numbers for people.
enum NumberFormat {
    /// `812,345`.
    static func grouped(_ number: some BinaryInteger) -> String {
        var text = ""
        for (place, digit) in String(number).reversed().enumerated() {
            if place > 0, place % 3 == 0, digit != "-" { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// `number` with `digits` digits behind the point.
    static func fixed(_ number: Double, _ digits: Int) -> String {
        let factor = (0..<digits).reduce(1.0) { factor, _ in factor * 10 }
        let scaled = (abs(number) * factor).rounded()
        guard scaled < 9e15 else { return "\(number)" }
        let sign = number < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + String(Int(scaled)) }
        let fraction = String(Int(scaled) % Int(factor))
        return sign + "\(Int(scaled) / Int(factor))." + String(repeating: "0", count: digits - fraction.count)
            + fraction
    }

    /// Three digits and a unit: `48.2 us`, `1.03 ms`, `2.50 s`.
    static func time(_ time: Nanoseconds) -> String {
        let units: [(Double, String)] = [(1, "ns"), (1e3, "us"), (1e6, "ms"), (1e9, "s")]
        let value = Double(time.count)
        let unit = units.last { abs(value) >= $0.0 * 0.9995 } ?? units[0]
        let number = value / unit.0
        let digits = unit.1 == "ns" ? 0 : abs(number) >= 99.95 ? 0 : abs(number) >= 9.995 ? 1 : 2
        return fixed(number, digits) + " " + unit.1
    }

    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
