extension Unicode.Scalar {
    /// Whether it can stand in a line for people as it is: it is seen, and changes nothing that stands round it
    /// (Protocol.md, 11-3).
    ///
    /// Not so are control characters, those that turn the direction of letters or are never seen, private and unassigned
    /// ones, and the one that stands for bytes that are not UTF-8.
    package var isPrintable: Bool {
        if isASCII { return (0x20..<0x7F).contains(value) }
        if value == 0xFFFD || properties.isDefaultIgnorableCodePoint { return false }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: return false
        default: return true
        }
    }

    /// How many columns of a terminal it takes: none for an accent on the letter before it, two for most letters of East
    /// Asia and emoji (Unicode Standard Annex 11).
    package var columns: Int {
        guard !isASCII else { return 1 }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: return Unicode.Scalar.wide.contains { $0.contains(value) } ? 2 : 1
        }
    }

    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
        0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1FAFF,
        0x20000...0x3FFFD,
    ]
}

extension StringProtocol {
    /// How many columns of a terminal it takes.
    package var columns: Int { unicodeScalars.reduce(0) { $0 + $1.columns } }

    /// The text with all that is not printable written out, as `\u{1b}`.
    package var printable: String {
        var printable = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.isPrintable {
                printable.append(scalar)
            } else {
                printable.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            }
        }
        return String(printable)
    }
}
