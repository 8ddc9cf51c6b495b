/// How values are written for people and programs: in the log, on the control socket and in metrics.
enum Text {
    /// Printable ASCII as it is, with quotes and backslashes escaped, all else as `other` writes it; cut off where it is
    /// `most` bytes long.
    static func escaped(_ text: String, most: Int = .max, other: (Unicode.Scalar) -> String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars where escaped.utf8.count < most {
            switch scalar {
            case "\"", "\\": escaped += "\\\(scalar)"
            case " "..."~": escaped.unicodeScalars.append(scalar)
            default: escaped += other(scalar)
            }
        }
        return escaped
    }

    /// What stands between the quotes of a string in JSON: ASCII alone.
    static func json(_ text: String, most: Int = .max) -> String {
        escaped(text, most: most) { scalar in
            String(scalar).utf16.map { "\\u" + String(0x10000 + Int($0), radix: 16).dropFirst() }.joined()
        }
    }

    /// What a terminal may be shown: nothing in it is a command or turns letters round (Protocol.md, 11-3).
    static func plain(_ text: String, most: Int = .max) -> String {
        escaped(text, most: most) { "\\u{\(String($0.value, radix: 16))}" }
    }

    /// Whether `part` stands in the text. The one of the standard library brings an engine for regular expressions, which
    /// is a quarter of the server.
    static func holds(_ text: String?, _ part: String) -> Bool {
        let (text, part) = (Array((text ?? "").utf8), Array(part.utf8))
        return part.count <= text.count
            && (0...(text.count - part.count)).contains { text[$0...].starts(with: part) }
    }

    /// `1.002`: seconds with so many decimals, cut off behind them.
    static func seconds(_ duration: Duration, decimals: Int = 3) -> String {
        var unit: Int128 = 1_000_000_000_000_000_000
        for _ in 0..<decimals { unit /= 10 }
        let count = duration.attoseconds / unit
        let digits = String(count.magnitude)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        return (count < 0 ? "-" : "") + padded.dropLast(decimals) + "." + padded.suffix(decimals)
    }
}
