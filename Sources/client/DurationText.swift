extension Duration {
    /// For people: `0.284 ms`, `12 ms`, `2.5 s`.
    var text: String {
        let milliseconds = self / .milliseconds(1)
        if milliseconds < 10 { return Duration.decimal(milliseconds, digits: 3) + " ms" }
        return milliseconds < 1000 ? "\(Int(milliseconds)) ms" : Duration.decimal(milliseconds / 1000, digits: 1) + " s"
    }

    private static func decimal(_ value: Double, digits: Int) -> String {
        let factor = (0..<digits).reduce(1) { factor, _ in factor * 10 }
        let scaled = Int((value * Double(factor)).rounded())
        let fraction = String(scaled % factor)
        return "\(scaled / factor).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}
