import Arguments
import Posix

/// The source of the messages: the arguments, or else standard input.
enum MessageSource {
    case list(ArraySlice<[UInt8]>)
    case lines(Input, isTerminal: Bool)

    init(_ settings: ClientSettings, _ console: Console) {
        if !settings.messages.isEmpty {
            self = .list(settings.messages[...])
        } else if settings.isBinary {
            var reader = LineReader()
            self = .list(MessageSource.messages(reader.rest(), console)[...])
        } else {
            do {
                self = .lines(try Input(), isTerminal: StandardInput.isTerminal)
            } catch {
                console.fail(.osError, "\(error)")
            }
        }
    }

    /// The next message; nil after the last.
    mutating func next(_ console: Console) async -> [UInt8]? {
        switch self {
        case .list(var list):
            let message = list.popFirst()
            self = .list(list)
            return message
        case .lines(let input, let isTerminal):
            guard isTerminal else { return MessageSource.messages(await input.next(), console).first }
            return await ask(input, console)
        }
    }

    /// Prompts for a line that is worth sending.
    private func ask(_ input: Input, _ console: Console) async -> [UInt8]? {
        while true {
            console.prompt(true)
            let line = MessageSource.messages(await input.next(), console).first
            console.prompt(false)
            guard let line else {
                // Ctrl-D leaves the cursor behind the prompt.
                if StandardStream.error.isTerminal { try? StandardStream.error.write("\n".utf8) }
                return nil
            }
            if line.elementsEqual("quit".utf8) { return nil }
            if !line.isEmpty { return line }
        }
    }

    /// Ends standard input. Returns false where the messages come from the arguments.
    @discardableResult func stop() -> Bool {
        guard case .lines(let input, _) = self else { return false }
        input.stop()
        return true
    }

    private static func messages(_ line: InputLine, _ console: Console) -> [[UInt8]] {
        switch line {
        case .line(let line): return [line]
        case .end: return []
        case .failed(let error): console.fail(.ioError, "cannot read standard input: \(error.text)")
        case .tooLong: console.fail(.usage, "a message on standard input is over \(Input.longest) bytes")
        }
    }
}
