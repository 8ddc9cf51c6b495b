import Basics

/// A line of a token file: `TOKEN`, or `TOKEN NAME` (Protocol.md, section 4.12).
package struct TokenLine {
    /// 1 to `Limits.tokenLength` bytes without blanks.
    package let token: ArraySlice<UInt8>
    /// The bytes behind the token; nil where there are none.
    package let name: ArraySlice<UInt8>?

    /// Reads a line; throws what is wrong with it.
    package init(_ line: TextFile.TextLine) throws(TextFileError) {
        let words = line.bytes.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard words.count <= 2 else {
            throw TextFileError(line: line.number, "\(words.count) words; expected TOKEN, or TOKEN NAME")
        }
        token = words[0]
        name = words.count == 2 ? words[1] : nil
        guard token.count <= Limits.tokenLength else {
            throw TextFileError(
                line: line.number, "a token of \(token.count) bytes; at most \(Limits.tokenLength) are possible")
        }
    }
}
