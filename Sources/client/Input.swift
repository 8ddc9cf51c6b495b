import Posix
import Synchronization

/// A line of standard input, or the reason why there is none.
enum InputLine: Sendable {
    case line([UInt8])
    case end
    case failed(SystemError)
    case tooLong
}

/// Standard input as lines. A thread of its own reads the next line when `next` asks for one, so that no task blocks.
final class Input: Sendable {
    /// The longest line in bytes. A longer one would be no message.
    static let longest = 1 << 30

    private struct State {
        var asker: CheckedContinuation<InputLine, Never>?
        var isStopped = false
    }

    private let shared = Mutex(State())
    /// An eventfd(2) that `next` wakes the thread up with.
    private let asked: Descriptor

    init() throws(SystemError) {
        asked = try .event()
        try startThread(named: "client-input") { self.run() }
    }

    /// The next line, without its line end; `end` also after `stop`.
    func next() async -> InputLine {
        await withCheckedContinuation { continuation in
            let isStopped = shared.withLock { shared in
                if !shared.isStopped { shared.asker = continuation }
                return shared.isStopped
            }
            if isStopped { continuation.resume(returning: .end) } else { asked.wakeUp() }
        }
    }

    /// Ends the input: a waiting `next` and all later ones return `end`.
    func stop() {
        let asker = shared.withLock { shared in
            shared.isStopped = true
            return shared.asker.take()
        }
        asker?.resume(returning: .end)
    }

    private func run() {
        var reader = LineReader()
        var entries = [PollEntry(asked.number)]
        while (try? poll(&entries, until: nil)) != nil {
            asked.clearWakeUps()
            let line = reader.next()
            shared.withLock { $0.asker.take() }?.resume(returning: line)
        }
    }
}

/// Cuts standard input into lines.
struct LineReader {
    private static let newline = UInt8(ascii: "\n")
    private var buffer = [UInt8](repeating: 0, count: 65536)
    private var unread: ArraySlice<UInt8> = []
    private var isAtEnd = false

    /// The next line. The last one may lack its line end.
    mutating func next() -> InputLine {
        var line: [UInt8] = []
        while true {
            if let end = unread.firstIndex(of: LineReader.newline) {
                line += unread[..<end]
                unread = unread[(end + 1)...]
                return .line(line)
            }
            line += unread
            unread = []
            if line.count > Input.longest { return .tooLong }
            do throws(SystemError) {
                let count = isAtEnd ? 0 : try StandardInput.read(into: &buffer)
                unread = buffer[..<count]
                if count == 0 {
                    isAtEnd = true
                    return line.isEmpty ? .end : .line(line)
                }
            } catch {
                return .failed(error)
            }
        }
    }

    /// All bytes up to the end of the input, as one line.
    mutating func rest() -> InputLine {
        var all: [UInt8] = []
        while true {
            do throws(SystemError) {
                let count = try StandardInput.read(into: &buffer)
                if count == 0 { return .line(all) }
                all += buffer[..<count]
                if all.count > Input.longest { return .tooLong }
            } catch {
                return .failed(error)
            }
        }
    }
}
