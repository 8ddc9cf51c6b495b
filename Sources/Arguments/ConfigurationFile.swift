extension Command {
    /// Reads a configuration file into `settings`: a line is `name value` or `name = value`, with the names of the flags
    /// without their dashes; a flag without a value stands alone, or with `yes` or `no`. `#` begins a comment.
    ///
    /// Lines of flags that are `given` on the command line are judged and not applied. Throws what is wrong first, with
    /// the file and the line.
    public func parse(
        file bytes: [UInt8], named path: String, given: Set<String> = [], into settings: inout Settings
    ) throws(UsageError) {
        var lines: [String: Int] = [:]
        for (index, bytes) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            do throws(UsageError) {
                guard let line = String(validating: bytes, as: UTF8.self) else { throw UsageError("it is not UTF-8") }
                guard let (name, value) = words(of: line) else { continue }
                let flag = try flag(inFile: name)
                if let first = lines.updateValue(index + 1, forKey: name), !flag.shape.repeats {
                    throw UsageError("\(name) stands in line \(first) already; it has one value")
                }
                var ignored = settings
                try apply(flag, name, value, to: &ignored)
                if !given.contains(flag.name) { settings = ignored }
            } catch {
                throw UsageError("\(path):\(index + 1): \(error)")
            }
        }
    }

    /// The name and the value of a line, without blanks around them; nil where it says nothing.
    private func words(of line: String) -> (name: String, value: String)? {
        var text = line[...]
        // A comment stands at the start, or behind a blank, so that a value may hold the sign.
        var previous: Character = " "
        if let start = text.firstIndex(where: { sign in
            defer { previous = sign }
            return sign == "#" && previous.isWhitespace
        }) {
            text = text[..<start]
        }
        text = trimmed(text)
        let name = text.prefix { !$0.isWhitespace && $0 != "=" }
        var value = trimmed(text[name.endIndex...])
        if value.first == "=" { value = trimmed(value.dropFirst()) }
        return text.isEmpty ? nil : (String(name), String(value))
    }

    /// The words of a command; quotes of either kind keep blanks together.
    private func words(ofValue value: String) throws(UsageError) -> [String] {
        var words: [String] = []
        var quote: Character?
        var isWithin = false
        for sign in value {
            if let open = quote {
                if sign == open { quote = nil } else { words[words.count - 1].append(sign) }
                continue
            }
            guard !sign.isWhitespace else {
                isWithin = false
                continue
            }
            if !isWithin { words.append("") }
            isWithin = true
            if sign == "'" || sign == "\"" { quote = sign } else { words[words.count - 1].append(sign) }
        }
        if let quote { throw UsageError("a quote (\(quote)) is not closed") }
        return words
    }

    private func trimmed(_ text: Substring) -> Substring {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace ?? false { text.removeLast() }
        return text
    }

    private func flag(inFile name: String) throws(UsageError) -> Flag<Settings> {
        if let flag = flags.first(where: { $0.name == "--" + name }) {
            guard flag.shape.mayStandInFile else { throw UsageError("\(name) may stand on the command line alone") }
            return flag
        }
        guard !name.hasPrefix("-") else {
            throw UsageError("'\(name)': names stand here without dashes, like port for --port")
        }
        let nearest = nearest(to: "--" + name).map { " (did you mean \($0.dropFirst(2))?)" } ?? ""
        throw UsageError(
            "'\(name)' is not a name that is known here\(nearest): expected a flag of \(self.name) without its dashes")
    }

    private func apply(
        _ flag: Flag<Settings>, _ name: String, _ value: String, to settings: inout Settings
    ) throws(UsageError) {
        guard let expected = flag.value else {
            guard ["", "yes", "no"].contains(value) else {
                throw UsageError("\(name): '\(value)' is neither yes nor no")
            }
            return value == "no" ? () : try flag.apply(&settings, "")
        }
        guard !value.isEmpty else { throw UsageError("\(name) needs a value: \(name) \(expected)") }
        do throws(UsageError) {
            if let applyRest = flag.applyRest {
                try applyRest(&settings, try words(ofValue: value))
            } else {
                try flag.apply(&settings, value)
            }
        } catch {
            throw UsageError("\(name): \(error)")
        }
    }
}
