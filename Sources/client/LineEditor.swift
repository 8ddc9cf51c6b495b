import Basics

/// The line that a person types into a terminal, byte by byte: what the terminal's driver would do with it, in a place
/// where a notice can stand above it. It is a value without a terminal.
///
/// It knows backspace, Ctrl-U, Ctrl-W and Ctrl-D. The keys that make signals are the driver's. Other control characters and
/// the sequences of arrows and function keys do nothing.
struct LineEditor {
    enum Completion: Equatable {
        case line([UInt8])
        case end
    }

    private enum Escape {
        case none, begun, sequence
    }

    private(set) var line: [UInt8] = []
    private var escape = Escape.none
    private let most: Int

    /// A line of up to `most` bytes; more are not taken.
    init(most: Int) { self.most = most }

    /// Takes a byte that was typed. Returns what it ends: a line, or with Ctrl-D on an empty one the input.
    mutating func type(_ byte: UInt8) -> Completion? {
        switch escape {
        case .begun:
            escape = byte == UInt8(ascii: "[") || byte == UInt8(ascii: "O") ? .sequence : .none
            return nil
        case .sequence:
            if (0x40...0x7E).contains(byte) { escape = .none }
            return nil
        case .none: break
        }
        switch byte {
        case 0x0A, 0x0D:
            defer { line = [] }
            return .line(line)
        case 0x04: return line.isEmpty ? .end : nil
        case 0x08, 0x7F: removeCharacter()
        case 0x15: line = []
        case 0x17: removeWord()
        case 0x1B: escape = .begun
        case 0x09, 0x20...: if line.count < most { line.append(byte) }
        default: break
        }
        return nil
    }

    private mutating func removeCharacter() {
        while let last = line.popLast(), last & 0xC0 == 0x80 {}
    }

    private mutating func removeWord() {
        while line.last == UInt8(ascii: " ") { line.removeLast() }
        while let last = line.last, last != UInt8(ascii: " ") { line.removeLast() }
    }

    /// What a terminal shows of a line, in less than `columns`: the end of a long one. A control character is a blank.
    static func shown(_ line: [UInt8], columns: Int) -> String {
        // Of a letter of several bytes nothing is shown before its last byte.
        var whole = line[...]
        if let start = whole.lastIndex(where: { $0 & 0xC0 != 0x80 }) {
            let length = line[start] >= 0xF0 ? 4 : line[start] >= 0xE0 ? 3 : line[start] >= 0xC0 ? 2 : 1
            if line.count - start < length { whole = whole[..<start] }
        }
        var shown: [Unicode.Scalar] = []
        var left = columns - 1
        // A column takes a few bytes at most, but for heaps of accents.
        for scalar in String(decoding: whole.suffix(max(columns, 0) * 16), as: UTF8.self).unicodeScalars.reversed() {
            let scalar = scalar.isPrintable ? scalar : " "
            left -= scalar.columns
            guard left >= 0 else { break }
            shown.append(scalar)
        }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: shown.reversed())
        return String(text)
    }
}
