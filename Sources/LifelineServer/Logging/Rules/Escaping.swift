import Basics
import Framing

/// Writes values for people and programs: in the log, on the control socket and in metrics.
enum Escaping {
    /// The form of what is not printable.
    enum Form {
        /// `\u{1b}`: safe on a terminal, where nothing is a command or turns letters round (Protocol.md, 11-3).
        case plain
        /// `\u001b`: between the quotes of a string in JSON.
        case json
    }

    static func plain(_ text: String, most: Int = .max) -> String {
        TextBuffer.string { $0.put(text, as: .plain, most: most) }
    }

    static func json(_ text: String, most: Int = .max) -> String {
        TextBuffer.string { $0.put(text, as: .json, most: most) }
    }

    /// Whether `part` stands in the text. The one of the standard library brings an engine for regular expressions, which
    /// is a quarter of the server.
    static func holds(_ text: String?, _ part: String) -> Bool {
        let (text, part) = (Array((text ?? "").utf8), Array(part.utf8))
        return part.count <= text.count
            && (0...(text.count - part.count)).contains { text[$0...].starts(with: part) }
    }

    /// `1.002`: seconds with this many decimals, cut off behind them.
    static func seconds(_ duration: Duration, decimals: Int = 3) -> String {
        TextBuffer.string { $0.put(duration, decimals: decimals) }
    }
}

extension TextBuffer {
    /// What is printable as it is, with quotes and backslashes escaped, and all else in this form; cut off before it is
    /// more than `most` bytes long.
    mutating func put(_ text: String, as form: Escaping.Form, most: Int = .max) {
        let start = count
        for scalar in text.unicodeScalars {
            guard count - start < most else { return }
            switch scalar {
            case _ where !scalar.isASCII && scalar.isPrintable: put(UTF8.encode(scalar)!)
            case "\"", "\\":
                put(UInt8(ascii: "\\"))
                put(UInt8(ascii: scalar))
            case " "..."~": put(UInt8(ascii: scalar))
            default: put(escaped: scalar, as: form)
            }
        }
    }

    private mutating func put(_ bytes: UTF8.EncodedScalar) { for byte in bytes { put(byte) } }

    private mutating func put(escaped scalar: Unicode.Scalar, as form: Escaping.Form) {
        switch form {
        case .plain:
            put("\\u{")
            put(hex: scalar.value)
            put(UInt8(ascii: "}"))
        case .json:
            for unit in UTF16.encode(scalar)! {
                put("\\u")
                put(hex: UInt32(unit), digits: 4)
            }
        }
    }

    /// Seconds with this many decimals, cut off behind them.
    mutating func put(_ duration: Duration, decimals: Int = 3) {
        let (seconds, attoseconds) = duration.components
        var unit: UInt64 = 1_000_000_000_000_000_000
        for _ in 0..<decimals { unit /= 10 }
        let parts = attoseconds.magnitude / unit
        if seconds < 0 || attoseconds < 0, seconds != 0 || parts != 0 { put(UInt8(ascii: "-")) }
        put(decimal: seconds.magnitude)
        put(UInt8(ascii: "."))
        put(decimal: parts, digits: decimals)
    }
}
