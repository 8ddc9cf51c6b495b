import Arguments
import Basics
import Posix
import Synchronization

/// Standard output and standard error. Each line is written at once, from any thread.
final class Console: Sendable {
    /// What stands in the last line of the terminal, which the next notice has to print again.
    private enum LastLine {
        case empty
        /// With what was typed behind it, as far as it is shown.
        case prompt(String)
        case bar(String)
    }

    private static let clearLine = "\r\u{1B}[K"
    private static let promptText = "> "
    private let lastLine = Mutex(LastLine.empty)
    /// Answers and messages come from different threads.
    private let output = Mutex(())
    /// Whether bars can be drawn.
    let hasBars = StandardStream.error.isTerminal

    private let outputIsTerminal = StandardStream.output.isTerminal

    /// Adds what the server sent, as a line for standard output. For a terminal its control characters are escaped; elsewhere
    /// its bytes are the server's.
    func addLine(_ bytes: [UInt8], to lines: inout [UInt8]) {
        if outputIsTerminal {
            lines += String(decoding: bytes, as: UTF8.self).printable.utf8
        } else {
            lines += bytes
        }
        lines.append(UInt8(ascii: "\n"))
    }

    /// Writes bytes to standard output as they are. Exits where that fails.
    func write(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        let isPrompting = outputIsTerminal && hidePrompt()
        let failure = output.withLock { _ -> SystemError? in
            do throws(SystemError) {
                try StandardStream.output.write(bytes)
                return nil
            } catch {
                return error
            }
        }
        if let failure { fail(.ioError, "cannot write to standard output: \(failure.text)") }
        if isPrompting { showPrompt() }
    }

    /// Erases a prompt that is shown. Returns whether there was one.
    private func hidePrompt() -> Bool {
        lastLine.withLock { lastLine in
            guard case .prompt = lastLine else { return false }
            try? StandardStream.error.write(Console.clearLine.utf8)
            return true
        }
    }

    private func showPrompt() {
        lastLine.withLock { lastLine in
            guard case .prompt(let typed) = lastLine else { return }
            try? StandardStream.error.write((Console.clearLine + Console.promptText + typed).utf8)
        }
    }

    /// Prints a line on standard error. Control characters are escaped, because the server may have sent them.
    func note(_ text: String) {
        let line = "client: \(text.printable)\n"
        lastLine.withLock { lastLine in
            let text =
                switch lastLine {
                case .empty: line
                case .prompt(let typed): Console.clearLine + line + Console.promptText + typed
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

    /// Shows the prompt on a terminal, with what is typed behind it, or notes that the line is over.
    func prompt(_ typed: String?) {
        guard StandardStream.error.isTerminal else { return }
        if typed != nil, !isPrompting { draw(nil) }
        lastLine.withLock { lastLine in
            guard let typed else {
                lastLine = .empty
                return
            }
            let text: String
            if case .prompt(let before) = lastLine, typed.hasPrefix(before) {
                text = String(typed.dropFirst(before.count))
            } else if case .prompt = lastLine {
                text = Console.clearLine + Console.promptText + typed
            } else {
                text = Console.promptText + typed
            }
            lastLine = .prompt(typed)
            try? StandardStream.error.write(text.utf8)
        }
    }

    /// Draws the prompt anew: another process has used the terminal.
    func redrawPrompt() { showPrompt() }

    /// The columns that a line behind the prompt has.
    var columnsOfPrompt: Int {
        (StandardStream.error.windowSize?.columns ?? TransferText.usualWidth) - Console.promptText.count
    }

    private var isPrompting: Bool {
        lastLine.withLock { lastLine in
            if case .prompt = lastLine { true } else { false }
        }
    }

    /// Prints an error and exits with `status`.
    func fail(_ status: ExitStatus, _ text: String) -> Never {
        draw(nil)
        note(text)
        leave(status)
    }

    /// Exits with `status`, and gives a terminal its own mode again.
    func leave(_ status: ExitStatus) -> Never {
        StandardInput.restoreLines()
        exitProcess(status.rawValue)
    }
}
