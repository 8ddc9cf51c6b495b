/// How `--help` fits a terminal.
enum Layout {
    /// No line has more columns, as long as no word has.
    static let width = 80
    /// A term that has more columns stands on a line of its own.
    private static let widestTerm = 27

    /// A flag or a verb as it is typed.
    static func term(_ name: String, _ value: String?) -> String { name + (value.map { " " + $0 } ?? "") }

    /// Tables of two columns under their titles, all with the same first column; empty ones are left out.
    static func tables(_ tables: [(title: String, rows: [(term: String, text: String)])]) -> [String] {
        let terms = tables.flatMap(\.rows).map(\.term.count)
        let column = (terms.filter { $0 <= widestTerm }.max() ?? 0) + 4
        return tables.filter { !$0.rows.isEmpty }.map { title, rows in
            (title.isEmpty ? "" : "\(title):\n") + rows.map { row($0, $1, column) }.joined(separator: "\n")
        }
    }

    private static func row(_ term: String, _ text: String, _ column: Int) -> String {
        let margin = String(repeating: " ", count: column)
        let lines = wrapped(text, to: width - column)
        let first = "  \(term)"
        guard first.count + 2 <= column else { return ([first] + lines.map { margin + $0 }).joined(separator: "\n") }
        return first + margin.dropFirst(first.count) + lines.joined(separator: "\n" + margin)
    }

    /// Paragraphs with an empty line between them; a line that begins with a blank stays a line of its own.
    static func paragraphs(_ text: String) -> String {
        text.split(separator: "\n\n").map { part in
            var lines: [String] = []
            for line in part.split(separator: "\n").map(String.init) {
                if line.hasPrefix(" ") || lines.isEmpty || lines.last!.hasPrefix(" ") {
                    lines.append(line)
                } else {
                    lines[lines.count - 1] += " " + line
                }
            }
            return lines.map { $0.hasPrefix(" ") ? $0 : paragraph($0) }.joined(separator: "\n")
        }.joined(separator: "\n\n")
    }

    static func paragraph(_ text: String) -> String { wrapped(text, to: width).joined(separator: "\n") }

    /// The text in lines of up to `width` columns.
    static func wrapped(_ text: String, to width: Int) -> [String] {
        var lines = [""]
        for word in text.split(whereSeparator: \.isWhitespace) {
            let line = lines[lines.count - 1]
            if line.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if line.count + 1 + word.count <= width {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
