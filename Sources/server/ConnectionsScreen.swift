import Basics
import Arguments
import LifelineServer
import Posix

/// `server ctl connections --watch`: the table again each second, on a screen of its own, or in blocks where there is no
/// terminal that can do that. It ends on Ctrl-C, or when its reader goes away.
struct ConnectionsScreen {
    private static let every = Duration.seconds(1)
    /// Sequences of xterm: another screen without a cursor, and back.
    private static let begin = "\u{1B}[?1049h\u{1B}[?25l"
    private static let end = "\u{1B}[?25h\u{1B}[?1049l"

    private let ctl: Ctl
    private let client: ControlClient
    private let isScreen: Bool

    init(_ ctl: Ctl, _ client: ControlClient) {
        self.ctl = ctl
        self.client = client
        let terminal = environmentVariable("TERM") ?? "dumb"
        isScreen = StandardStream.output.isTerminal && terminal != "dumb" && !terminal.isEmpty
    }

    /// Never returns. Throws where the server does not answer any more.
    func run() throws -> Never {
        let signals = try SignalDescriptor([Signal.interrupt, Signal.terminate])
        if isScreen { write(ConnectionsScreen.begin) }
        var next = Instant.now
        repeat {
            let answer: ControlReply
            do {
                answer = try client.ask(.connections)
            } catch {
                if isScreen { write(ConnectionsScreen.end) }
                throw error
            }
            write(isScreen ? screen(answer) : block(answer))
            next = max(next + ConnectionsScreen.every, .now)
        } while try wait(signals, until: next)
        if isScreen { write(ConnectionsScreen.end) }
        exitProcess(ExitStatus.ok.rawValue)
    }

    /// Returns false where it is time to end.
    private func wait(_ signals: borrowing SignalDescriptor, until deadline: Instant) throws -> Bool {
        while Instant.now < deadline {
            // Standard output is watched for its end alone.
            var entries = [
                PollEntry(signals.number), PollEntry(StandardStream.output.rawValue, reading: false, writing: false),
            ]
            try poll(&entries, until: deadline)
            if entries[0].isReadable || entries[1].isReadable { return false }
        }
        return true
    }

    private func screen(_ answer: ControlReply) -> String {
        let size = StandardStream.output.windowSize ?? (rows: 24, columns: 80)
        let rows = ctl.rows(answer)
        let table = ConnectionTable.lines(Array(rows.prefix(max(0, size.rows - 3))), width: size.columns)
        let title = "\(rows.count) of \(answer.rows.count) connections by \(ctl.table.order.rawValue); Ctrl-C ends"
        // Each line clears what was behind it, the last all that was below, so that nothing flickers.
        return "\u{1B}[H" + ([String(title.prefix(size.columns)), ""] + table).joined(separator: "\u{1B}[K\r\n")
            + "\u{1B}[K\u{1B}[J"
    }

    private func block(_ answer: ControlReply) -> String {
        let lines = ctl.isJSON ? ctl.json(answer) : ConnectionTable.lines(ctl.rows(answer))
        return (lines + [""]).map { "\($0)\n" }.joined()
    }

    private func write(_ text: String) {
        do throws(SystemError) {
            try StandardStream.output.write(text.utf8)
        } catch {
            // The reader has gone, which is a way to end this.
            exitProcess((error.isBrokenPipe ? ExitStatus.ok : .ioError).rawValue)
        }
    }
}
