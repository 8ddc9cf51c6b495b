import Arguments
import Basics
import Posix
import Synchronization

/// Standard output and standard error. Each line is one write(2), from any task.
final class Console: Sendable {
    /// What stands in the last line of the terminal, which the next notice has to print again.
    private enum LastLine {
        case empty
        case prompt
        case bar(String)
    }

    private static let clearLine = "\r\u{1B}[K"
    private let lastLine = Mutex(LastLine.empty)
    /// Whether bars can be drawn.
    let hasBars = StandardStream.error.isTerminal

    /// Prints a reply as a line on standard output. For a terminal its control characters are escaped; elsewhere its bytes
    /// are the server's.
    func reply(_ bytes: [UInt8]) {
        guard StandardStream.output.isTerminal else { return write(bytes + [UInt8(ascii: "\n")]) }
        write(Array(Console.escaped(String(decoding: bytes, as: UTF8.self)).utf8) + [UInt8(ascii: "\n")])
    }

    /// Writes bytes to standard output as they are. Exits where that fails.
    func write(_ bytes: [UInt8]) {
        do throws(SystemError) {
            try StandardStream.output.write(bytes)
        } catch {
            fail(.ioError, "cannot write to standard output: \(error.text)")
        }
    }

    /// Prints a line on standard error. Control characters are escaped, because the server may have sent them.
    func note(_ text: String) {
        let line = "client: \(Console.escaped(text))\n"
        lastLine.withLock { lastLine in
            // Where the line is cleared, what was typed so far is still in the terminal's own buffer.
            let text =
                switch lastLine {
                case .empty: line
                case .prompt: Console.clearLine + line + "> "
                case .bar(let bar): Console.clearLine + line + bar
                }
            // Replies go on where standard error is closed.
            try? StandardStream.error.write(text.utf8)
        }
    }

    /// Draws `bar` over the last one; nil erases it. A prompt stays.
    func draw(_ bar: String?) {
        lastLine.withLock { lastLine in
            if case .prompt = lastLine { return }
            if case .empty = lastLine, bar == nil { return }
            lastLine = bar.map { .bar($0) } ?? .empty
            try? StandardStream.error.write((Console.clearLine + (bar ?? "")).utf8)
        }
    }

    /// Shows the prompt on a terminal, or notes that it is gone.
    func prompt(_ isShown: Bool) {
        guard StandardStream.error.isTerminal else { return }
        draw(nil)
        lastLine.withLock { lastLine in
            lastLine = isShown ? .prompt : .empty
            if isShown { try? StandardStream.error.write("> ".utf8) }
        }
    }

    /// Prints an error and exits with `status`.
    func fail(_ status: ExitStatus, _ text: String) -> Never {
        draw(nil)
        note(text)
        exitProcess(status.rawValue)
    }

    /// `text` with its control characters, and those that turn the direction of letters, written out (Protocol.md, 11-3).
    private static func escaped(_ text: String) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar.isPrintable {
                escaped.append(scalar)
            } else {
                escaped.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            }
        }
        return String(escaped)
    }
}
