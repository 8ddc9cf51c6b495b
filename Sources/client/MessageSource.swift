import Arguments
import Posix

/// The source of the messages: the arguments, or else standard input. It reads no more than it is asked for.
struct MessageSource {
    private enum Kind {
        case list(ArraySlice<InputMessage>)
        /// All of standard input is one message.
        case whole(InputMessage)
        case lines(LineCutter)
        /// Lines that a person types; nil where the terminal's own driver edits them.
        case typed(LineEditor?, LineCutter)
    }

    private var kind: Kind
    private let console: Console
    private var buffer = [UInt8](repeating: 0, count: 65536)
    /// Bytes of a terminal that come behind a line that was typed.
    private var typedAhead: ArraySlice<UInt8> = []
    private var isPrompting = false
    private(set) var isAtEnd = false
    /// Whether no further message is needed before this one is answered: a person waits for the answer.
    let isInteractive: Bool
    /// Whether the messages come from standard input.
    let isInput: Bool

    /// The longest line of a person.
    private static let longestTyped = 1 << 20

    init(_ settings: ClientSettings, _ console: Console, wakeUps: Int32) {
        self.console = console
        isInput = settings.messages.isEmpty
        isInteractive = isInput && !settings.isBinary && StandardInput.isTerminal
        if !isInput {
            kind = .list(settings.messages.map { InputMessage($0) }[...])
        } else if settings.isBinary {
            kind = .whole(InputMessage([]))
        } else if isInteractive {
            // Without a prompt there is nothing to draw anew, and the driver's own editing does.
            let edits =
                StandardStream.error.isTerminal && (try? StandardInput.editLines(wakeUps: wakeUps)) != nil
            kind = .typed(edits ? LineEditor(most: MessageSource.longestTyped) : nil, LineCutter())
        } else {
            kind = .lines(LineCutter())
        }
    }

    /// The next message that is there already; nil where `read` has to bring more, and at the end.
    ///
    /// Of a message over `most` bytes the first ones are kept.
    mutating func next(most: Int) -> InputMessage? {
        switch kind {
        case .list(var list):
            let message = list.popFirst()
            kind = .list(list)
            isAtEnd = list.isEmpty
            return message
        case .whole, .typed(.some, _): return nil
        case .lines(var cutter), .typed(nil, var cutter):
            let isTyped = isInteractive
            kind = .list([])  // So that there is one owner, and no copy.
            defer { kind = isTyped ? .typed(nil, cutter) : .lines(cutter) }
            while let line = cutter.next(most: most) {
                guard isTyped else { return line }
                if isQuit(line) {
                    cutter = LineCutter()
                    return nil
                }
                if line.length > 0 { return line }
            }
            guard isAtEnd, let last = cutter.last() else { return nil }
            return isTyped && isQuit(last) ? nil : last
        }
    }

    /// Whether bytes of standard input are worth waiting for.
    var wantsInput: Bool { isInput && !isAtEnd }

    /// Shows the prompt, where a person is to type.
    mutating func prompt() {
        guard isInteractive, !isAtEnd, !isPrompting else { return }
        isPrompting = true
        console.prompt("")
    }

    /// Reads what has come; returns a message that it completes. Blocks where nothing has.
    mutating func read(most: Int) -> InputMessage? {
        guard typedAhead.isEmpty else { return type([]) }
        let count: Int
        do throws(SystemError) {
            count = try StandardInput.read(into: &buffer)
        } catch {
            console.fail(.ioError, "cannot read standard input: \(error.text)")
        }
        if count == 0 { isAtEnd = true }
        switch kind {
        case .list: return nil
        case .whole(var message):
            guard count > 0 else { return message }
            kind = .list([])
            message.bytes += buffer[..<min(count, max(most - message.bytes.count, 0))]
            message.length += count
            kind = .whole(message)
            return nil
        case .lines(var cutter), .typed(nil, var cutter):
            let isTyped = isInteractive
            kind = .list([])
            cutter.add(buffer[..<count])
            kind = isTyped ? .typed(nil, cutter) : .lines(cutter)
            if isTyped { endPrompt() }
            return nil
        case .typed(.some, _):
            if count == 0 { endPrompt() }
            return type(buffer[..<count])
        }
    }

    /// Whether bytes were typed while a message before them waited for its answer.
    var hasTypedAhead: Bool { !typedAhead.isEmpty }

    /// Takes bytes of a person; returns the line that they end.
    private mutating func type(_ bytes: ArraySlice<UInt8>) -> InputMessage? {
        guard case .typed(.some(var editor), let cutter) = kind else { return nil }
        defer { kind = .typed(editor, cutter) }
        typedAhead += bytes
        while let byte = typedAhead.popFirst() {
            guard let outcome = editor.type(byte) else { continue }
            switch outcome {
            case .end:
                isAtEnd = true
                endPrompt()
                return nil
            case .line(let bytes):
                console.prompt(LineEditor.shown(bytes, columns: console.columnsOfPrompt))
                endPrompt()
                let line = InputMessage(bytes)
                if isQuit(line) { return nil }
                if !bytes.isEmpty { return line }
                prompt()
            }
        }
        if isPrompting { console.prompt(LineEditor.shown(editor.line, columns: console.columnsOfPrompt)) }
        return nil
    }

    private mutating func endPrompt() {
        guard isPrompting else { return }
        isPrompting = false
        console.prompt(nil)
        // The driver has not shown the line end where we edit, and the end of input is behind the prompt.
        if case .typed(let editor, _) = kind, editor != nil || isAtEnd, StandardStream.error.isTerminal {
            try? StandardStream.error.write("\n".utf8)
        }
    }

    private mutating func isQuit(_ line: InputMessage) -> Bool {
        guard line.bytes.elementsEqual("quit".utf8) else { return false }
        isAtEnd = true
        return true
    }

    /// Ends standard input. Returns false where the messages come from the arguments, or the input has ended.
    mutating func stop() -> Bool {
        guard isInput else { return false }
        isAtEnd = true
        kind = .list([])
        typedAhead = []
        if isPrompting {
            isPrompting = false
            console.prompt(nil)
        }
        return true
    }

    /// The terminal belongs to this process again: what was typed is drawn anew.
    func resumed() { if isPrompting { console.redrawPrompt() } }

    /// Gives a terminal its own mode again.
    func restore() { StandardInput.restoreLines() }
}
