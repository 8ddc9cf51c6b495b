/// What is wrong with a file of text, and in which line.
package struct TextFileError: Error, Equatable, CustomStringConvertible {
    /// Counted from 1; nil where the whole file is wrong.
    package let line: Int?
    /// What is wrong and what to do; never what stands there.
    package let text: String

    /// An error with this text.
    package init(line: Int? = nil, _ text: String) {
        self.line = line
        self.text = text
    }

    package var description: String { (line.map { "line \($0): " } ?? "") + text }
}

/// A file of lines that a person writes: the one reader of the configuration and of token files.
///
/// Editors differ. A byte order mark of UTF-8 says nothing, a line ends with LF, CR LF or CR, the last line may lack its
/// end, and blanks round a line do not count. An empty line says nothing, and neither does one that begins with `#`.
/// Other encodings than UTF-8 have byte order marks and zero bytes, and are refused with a hint.
package struct TextFile: Sendable {
    /// A line that says something.
    package struct TextLine: Sendable {
        /// Counted from 1, as editors count.
        package let number: Int
        /// Without blanks at both ends: at least one byte.
        package let bytes: ArraySlice<UInt8>
    }

    /// The lines that say something, in their order.
    package private(set) var lines: [TextLine] = []
    /// Whether nothing but blanks is in it: an editor may be about to write it.
    package private(set) var isBlank = true

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    /// Space, tab, vertical tab and form feed; then what is pasted with a text and not seen: a no-break space, a space
    /// of no width, and the byte order mark of a file that was put behind another.
    private static let blanks: [[UInt8]] = [
        [0x20], [0x09], [0x0B], [0x0C], [0xC2, 0xA0], [0xE2, 0x80, 0x8B], [0xEF, 0xBB, 0xBF],
    ]
    /// The byte order marks of other encodings. That of UTF-32 begins with that of UTF-16.
    private static let otherEncodings: [(mark: [UInt8], name: String)] = [
        ([0xFF, 0xFE, 0, 0], "UTF-32"), ([0, 0, 0xFE, 0xFF], "UTF-32"), ([0xFF, 0xFE], "UTF-16"),
        ([0xFE, 0xFF], "UTF-16"),
    ]

    /// Cuts the contents of a file into lines. Throws where they are no text.
    package init(_ bytes: [UInt8]) throws(TextFileError) {
        for (mark, name) in TextFile.otherEncodings where bytes.starts(with: mark) {
            throw TextFileError("it is \(name): save it as UTF-8")
        }
        var number = 1
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex { $0 == TextFile.lineFeed || $0 == TextFile.carriageReturn }
            try add(bytes[start..<(end ?? bytes.count)], number)
            number += 1
            start = (end ?? bytes.count) + 1
            if let end, bytes[end] == TextFile.carriageReturn, start < bytes.count, bytes[start] == TextFile.lineFeed {
                start += 1
            }
        }
    }

    /// Whether `bytes` are the beginning of `earlier` and end within one of its lines: the file is half written, or its
    /// disk is full.
    package static func isCutOff(_ bytes: [UInt8], of earlier: [UInt8]) -> Bool {
        bytes.count < earlier.count && earlier.starts(with: bytes)
            && bytes.last.map { $0 != lineFeed && $0 != carriageReturn } ?? true
            && earlier[bytes.count] != lineFeed && earlier[bytes.count] != carriageReturn
    }

    private mutating func add(_ bytes: ArraySlice<UInt8>, _ number: Int) throws(TextFileError) {
        guard !bytes.contains(0) else {
            throw TextFileError(
                line: number, "it has a zero byte, which no text has: save the file as UTF-8, or write it anew")
        }
        var line = bytes
        while let blank = TextFile.blanks.first(where: { line.starts(with: $0) }) { line = line.dropFirst(blank.count) }
        while let blank = TextFile.blanks.first(where: { line.suffix($0.count).elementsEqual($0) }) {
            line = line.dropLast(blank.count)
        }
        guard let first = line.first else { return }
        isBlank = false
        if first != UInt8(ascii: "#") { lines.append(TextLine(number: number, bytes: line)) }
    }
}
