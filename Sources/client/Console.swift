import Arguments
import Posix
import Synchronization

/// The two streams that people and programs read. Each line leaves in one write(2), whichever task it comes from.
final class Console: Sendable {
    /// Whether a prompt is shown that the next notice has to step around.
    private let isPrompting = Mutex(false)

    /// A reply as a line on standard output. On a terminal nothing in it reaches that as a command; elsewhere its bytes
    /// are those of the server.
    func reply(_ bytes: [UInt8]) {
        guard StandardStream.output.isTerminal else { return write(bytes + [UInt8(ascii: "\n")]) }
        write(Array(Console.escaped(String(decoding: bytes, as: UTF8.self)).utf8) + [UInt8(ascii: "\n")])
    }

    /// Bytes on standard output as they are; it is no use to go on where they cannot be written.
    func write(_ bytes: [UInt8]) {
        do throws(SystemError) {
            try StandardStream.output.write(bytes)
        } catch {
            fail(.ioError, "cannot write to standard output: \(error.text)")
        }
    }

    /// A line on standard error. It may hold text of the server, so nothing in it reaches the terminal as a command.
    func note(_ text: String) {
        let text = Console.escaped(text)
        isPrompting.withLock { isPrompting in
            // To the start of the line, and clear it; what was typed so far is still in the terminal's own buffer.
            let line = isPrompting ? "\r\u{1B}[Kclient: \(text)\n> " : "client: \(text)\n"
            // A closed standard error takes nothing away from the replies.
            try? StandardStream.error.write(line.utf8)
        }
    }

    /// Shows or forgets the prompt, where a person sees it.
    func prompt(_ isShown: Bool) {
        guard StandardStream.error.isTerminal else { return }
        isPrompting.withLock { isPrompting in
            isPrompting = isShown
            if isShown { try? StandardStream.error.write("> ".utf8) }
        }
    }

    /// Says what is wrong, and leaves.
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
