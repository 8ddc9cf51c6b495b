import Basics

extension Command {
    /// Reads a configuration file into `settings`: a line is `name value` or `name = value`, with the names of the flags
    /// without their dashes; a flag without a value stands alone, or with `yes` or `no`. `#` begins a comment. Quotes of
    /// either kind round a value keep its blanks and its `#`; a command may have them round each of its words.
    ///
    /// Lines of flags that are `given` on the command line are judged and not applied. Throws what is wrong first, with
    /// the file and the line.
    public func parse(
        file bytes: [UInt8], named path: String, given: Set<String> = [], into settings: inout Settings
    ) throws(UsageError) {
        let file: TextFile
        do throws(TextFileError) {
            file = try TextFile(bytes)
        } catch {
            throw UsageError("\(path):\(error.line.map { "\($0):" } ?? "") \(error.text)")
        }
        var lines: [String: Int] = [:]
        for line in file.lines {
            do throws(UsageError) {
                guard let text = String(validating: line.bytes, as: UTF8.self) else {
                    throw UsageError("it is not UTF-8: save the file as UTF-8")
                }
                let (name, rest) = parts(of: text)
                let flag = try flag(inFile: name)
                let value = withoutComment(rest, quotesAnywhere: flag.applyRest != nil)
                if let first = lines.updateValue(line.number, forKey: name), !flag.shape.repeats {
                    throw UsageError("\(name) stands in line \(first) already; it has one value")
                }
                var ignored = settings
                try apply(flag, name, value, to: &ignored)
                if !given.contains(flag.name) { settings = ignored }
            } catch {
                throw UsageError("\(path):\(line.number): \(error)")
            }
        }
    }

    /// The name of a line, and what stands behind it.
    private func parts(of line: String) -> (name: String, value: Substring) {
        let name = line.prefix { !$0.isWhitespace && $0 != "=" }
        let value = trimmed(line[name.endIndex...])
        return (String(name), value.first == "=" ? trimmed(value.dropFirst()) : value)
    }

    /// A value without the comment behind it. A comment begins at the start or behind a blank, so that a value may hold
    /// its sign, and never within quotes. Round one value a quote opens at its start alone, so that it may hold an
    /// apostrophe.
    private func withoutComment(_ value: Substring, quotesAnywhere: Bool) -> String {
        var previous: Character = " "
        var quote: Character?
        for index in value.indices {
            let sign = value[index]
            if let open = quote {
                if sign == open { quote = nil }
            } else if isQuote(sign), quotesAnywhere || index == value.startIndex {
                quote = sign
            } else if sign == "#", previous.isWhitespace {
                return String(trimmed(value[..<index]))
            }
            previous = sign
        }
        return String(value)
    }

    private func isQuote(_ sign: Character) -> Bool { sign == "'" || sign == "\"" }

    /// The one value of a line, without the quotes that may stand round it.
    private func unquoted(_ value: String) throws(UsageError) -> String {
        guard let first = value.first, isQuote(first) else { return value }
        let inner = value.dropFirst()
        guard inner.last == first, !inner.dropLast().contains(first) else {
            throw UsageError("\(value): a quote (\(first)) stands at both ends of a value, or nowhere in it")
        }
        return String(inner.dropLast())
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
            if isQuote(sign) { quote = sign } else { words[words.count - 1].append(sign) }
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
        guard !Command.own.contains("--" + name) else {
            throw UsageError("\(name) may stand on the command line alone")
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
            let value = try unquoted(value)
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
                try flag.apply(&settings, try unquoted(value))
            }
        } catch {
            throw UsageError("\(name): \(error)")
        }
    }
}
