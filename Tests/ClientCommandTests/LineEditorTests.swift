import Testing

@testable import client

@Suite struct LineEditorTests {
    /// Types all of it; returns what it ended, as text.
    private func type(_ text: String, most: Int = 1000) -> [String] {
        var editor = LineEditor(most: most)
        return text.utf8.compactMap { byte in
            switch editor.type(byte) {
            case .line(let line): String(decoding: line, as: UTF8.self)
            case .end: "<end>"
            case nil: nil
            }
        }
    }

    @Test(
        "Keys do what the terminal's driver does",
        arguments: [
            ("hello\n", ["hello"]), ("hello\r", ["hello"]), ("\n", [""]), ("ab\u{7F}c\n", ["ac"]),
            ("ab\u{08}c\n", ["ac"]), ("\u{7F}\u{7F}x\n", ["x"]), ("grün\u{7F}\u{7F}o\n", ["gro"]),
            ("a€\u{7F}b\n", ["ab"]),
            ("one two  \u{17}x\n", ["one x"]), ("one\u{17}\u{17}x\n", ["x"]), ("one two\u{15}x\n", ["x"]),
            ("\u{04}", ["<end>"]), ("a\u{04}b\n", ["ab"]), ("a\n\u{04}", ["a", "<end>"]), ("a\tb\n", ["a\tb"]),
            ("a\u{1B}[Ab\u{1B}[1;5Cc\u{1B}OPd\u{1B}xe\n", ["abcde"]), ("a\u{01}\u{02}b\n", ["ab"]),
        ])
    func keys(_ typed: String, _ lines: [String]) {
        #expect(self.type(typed) == lines)
    }

    @Test("A line that is too long takes no more bytes")
    func tooLong() {
        #expect(type("abcdef\u{7F}\u{7F}x\n", most: 4) == ["abx"])
    }

    @Test(
        "A terminal shows the end of a line, in less than its columns",
        arguments: [
            ("hello", 80, "hello"), ("hello", 6, "hello"), ("hello", 5, "ello"), ("hello", 1, ""), ("hello", -3, ""),
            ("a\tb\u{1B}c", 80, "a b c"), ("日本語", 7, "日本語"), ("日本語", 6, "本語"),
            ("e\u{301}e\u{301}", 3, "e\u{301}e\u{301}"),
        ])
    func shown(_ line: String, _ columns: Int, _ shown: String) {
        #expect(LineEditor.shown(Array(line.utf8), columns: columns) == shown)
    }

    @Test("Of a letter that is not whole yet nothing is shown")
    func unfinished() {
        let letter = Array("€".utf8)
        #expect(LineEditor.shown([0x61] + letter.prefix(1), columns: 80) == "a")
        #expect(LineEditor.shown([0x61] + letter.prefix(2), columns: 80) == "a")
        #expect(LineEditor.shown([0x61] + letter, columns: 80) == "a€")
    }
}
