import Arguments
import Posix
import Synchronization

/// Standard output and standard error. Each line is one write(2), from any task.
final class Console: Sendable {
    /// Whether a prompt is shown, which the next notice has to print again.
    private let isPrompting = Mutex(false)

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
        let text = Console.escaped(text)
        isPrompting.withLock { isPrompting in
            // To the start of the line, and clear it; what was typed so far is still in the terminal's own buffer.
            let line = isPrompting ? "\r\u{1B}[Kclient: \(text)\n> " : "client: \(text)\n"
            // Replies go on where standard error is closed.
            try? StandardStream.error.write(line.utf8)
        }
    }

    /// Shows the prompt on a terminal, or notes that it is gone.
    func prompt(_ isShown: Bool) {
        guard StandardStream.error.isTerminal else { return }
        isPrompting.withLock { isPrompting in
            isPrompting = isShown
            if isShown { try? StandardStream.error.write("> ".utf8) }
        }
    }

    /// Prints an error and exits with `status`.
    func fail(_ status: ExitStatus, _ text: String) -> Never {
        note(text)
        exitProcess(status.rawValue)
    }

    /// `text` with its control characters, and those that turn the direction of letters, written out (Protocol.md, 11-3).
    private static func escaped(_ text: String) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                escaped.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }
}
