import Arguments
import Basics
import LifelineClient
import Posix
import Synchronization

/// What happens to the connection while messages are on their way, from the thread that prints its events.
final class PipelineSignals: Sendable {
    private struct State {
        var isStopped = false
        var openedAt: Instant?
    }

    private let shared = Mutex(State())
    /// Where the results of the messages arrive; it wakes the pipeline up.
    let results: CallResults

    init() throws(SystemError) { results = try CallResults() }

    /// No more of standard input is to be read.
    func stop() {
        shared.withLock { $0.isStopped = true }
        results.wakeUp()
    }

    /// A connection is open.
    func opened(at now: Instant) {
        shared.withLock { $0.openedAt = now }
        results.wakeUp()
    }

    var isStopped: Bool { shared.withLock { $0.isStopped } }

    /// When a connection was opened, once for each.
    func takeOpened() -> Instant? { shared.withLock { $0.openedAt.take() } }
}

/// Where a pipeline sends its messages.
protocol MessageRoute: Sendable {
    /// The longest message that the server takes, as far as that is known.
    var longest: Int { get }
    /// The time that the first message has for its answer; nil where the route itself ends it.
    var timeout: Duration? { get }
    /// Whether no connection is there now, so that no time counts.
    var isAway: Bool { get }
    /// Sends messages whose results go to `results`. Returns what `abandon` takes.
    func send(_ calls: [NumberedCall], to results: CallResults) -> [LongConnection.CallID]
    func abandon(_ call: LongConnection.CallID)
}

/// Many messages on their way at once, on one thread: it reads them, sends those together that came together, and prints the
/// answers in the order of the messages, those together that are ready together.
///
/// It reads no further than there is room for on the way, and where standard output takes no more, it reads nothing.
struct MessagePipeline<Route: MessageRoute> {
    private let settings: ClientSettings
    private let console: Console
    private let printer: EventPrinter
    private let signals: PipelineSignals
    private let route: Route
    private var source: MessageSource
    private var window: AnswerWindow
    private var sent = 0
    private var output: [UInt8] = []
    /// The message that the printer was told of.
    private var told: Int?
    private(set) var status = ExitStatus.ok

    /// Written at once at the latest.
    private static var mostOutput: Int { 1 << 18 }

    /// - Parameters:
    ///   - settings: The command line.
    ///   - most: How many messages may be on their way.
    ///   - waiting: How many may wait for their turn to be printed; nil for no more than are on their way.
    ///   - route: Where they go.
    ///   - printer: What prints the connection's events.
    ///   - signals: What tells of the connection.
    ///   - console: Where the answers go.
    init(
        _ settings: ClientSettings, most: Int, waiting: Int? = nil, _ route: Route, _ printer: EventPrinter,
        _ signals: PipelineSignals, _ console: Console
    ) {
        self.settings = settings
        self.route = route
        self.printer = printer
        self.signals = signals
        self.console = console
        source = MessageSource(settings, console, wakeUps: signals.results.number)
        window = source.isInteractive ? AnswerWindow(most: 1) : AnswerWindow(most: most, waiting: waiting)
    }

    /// Sends all messages, and returns when each has its answer or outcome.
    mutating func run() {
        var results: [CallResult] = []
        var isStopped = false
        while true {
            results.removeAll(keepingCapacity: true)
            signals.results.take(into: &results)
            let now = Instant.now
            for result in results { window.end(result, at: now) }
            printAnswers(at: now)
            if !isStopped, signals.isStopped {
                isStopped = true
                if source.stop() { console.note("no more of standard input is read") }
            }
            sendMessages()
            enforceTimeout()
            tellFirst()
            // Messages that are there already, and too long, have ended without a wait.
            if let first = window.first, first.result != nil { continue }
            if source.isAtEnd, window.isEmpty { break }
            wait()
        }
        source.restore()
    }

    /// Waits for a result, for input that there is room for, or for the end of the first message's time.
    private mutating func wait() {
        let reads = source.wantsInput && window.hasRoom && (!source.isInteractive || window.isEmpty)
        if reads { source.prompt() }
        if reads, source.hasTypedAhead { return read() }
        var entries = [PollEntry(signals.results.number), PollEntry(reads ? 0 : -1)]
        do throws(SystemError) {
            try poll(&entries, until: deadline)
        } catch {
            console.fail(.osError, "\(error)")
        }
        if entries[0].isReadable { source.resumed() }
        if entries[1].isReadable { read() }
    }

    private mutating func read() {
        if let message = source.read(most: route.longest) { send([message]) }
    }

    /// Sends what was read, as far as there is room.
    private mutating func sendMessages() {
        var messages: [InputMessage] = []
        var bytes = 0
        while window.hasRoom(besides: messages.count, bytes), let message = source.next(most: route.longest) {
            messages.append(message)
            bytes += message.bytes.count
        }
        send(messages)
    }

    private mutating func send(_ messages: [InputMessage]) {
        guard !messages.isEmpty else { return }
        let now = Instant.now
        var calls: [NumberedCall] = []
        for (index, message) in messages.enumerated() where message.isWhole {
            calls.append(NumberedCall(number: sent + 1 + index, bytes: message.bytes))
        }
        // Before it is sent: its answer, and the end of the connection behind that, may come before this thread goes on.
        if window.isEmpty { tell(first: sent + 1) }
        var ids = route.send(calls, to: signals.results)[...]
        for message in messages {
            sent += 1
            window.begin(sent, message, call: message.isWhole ? ids.removeFirst() : 0, at: now)
            guard !message.isWhole else { continue }
            let error = RequestError.notSent(.tooLarge(most: route.longest))
            window.end(CallResult(number: sent, result: .failure(error)), at: now)
        }
    }

    /// Gives the first message up whose time is over. Each message has that time from the moment at which it is the first:
    /// a server answers one after another, and the time of those before it is not its own.
    private mutating func enforceTimeout() {
        if let openedAt = signals.takeOpened() { window.restartFirst(at: openedAt) }
        guard let deadline, let first = window.first, !first.isGivenUp, deadline <= .now else { return }
        guard !route.isAway else { return window.restartFirst(at: .now) }
        window.giveUpFirst()
        route.abandon(first.call)
    }

    private var deadline: Instant? {
        guard let timeout = route.timeout, let first = window.first, !first.isGivenUp else { return nil }
        return window.firstSince + timeout
    }

    private mutating func tellFirst() { tell(first: window.first?.number) }

    private mutating func tell(first number: Int?) {
        guard number != told else { return }
        told = number
        printer.waits(for: number)
    }

    // MARK: Output

    private mutating func printAnswers(at now: Instant) {
        while let (entry, result) = window.takeFirst(at: now) {
            switch result {
            case .success(let answer): succeeded(entry, answer)
            case .failure(let error): failed(entry, entry.isGivenUp ? error.timedOut : error)
            }
            if output.count > MessagePipeline.mostOutput { flush() }
        }
        flush()
    }

    private mutating func succeeded(_ entry: AnswerWindow.WaitingMessage, _ answer: [UInt8]) {
        guard !settings.isOneWay else { return }
        if settings.isVerbose, !settings.isJSON {
            flush()
            console.note("message \(entry.number) answered in \(entry.elapsed.text)")
        }
        if settings.isJSON {
            output += JSONLine.answer(entry.number, answer, after: entry.elapsed).line
        } else if settings.isBinary {
            output += answer
        } else {
            console.addLine(answer, to: &output)
        }
    }

    private mutating func failed(_ entry: AnswerWindow.WaitingMessage, _ error: RequestError) {
        if status == .ok { status = error.status }
        if settings.isOneWay { printer.isUnsent(entry.number) }
        guard !settings.isJSON else { return output += JSONLine.failure(entry.number, error).line }
        flush()
        console.note("message \(entry.number), \(entry.message.excerpt): \(error)")
    }

    private mutating func flush() {
        if output.isEmpty { return }
        console.draw(nil)
        printer.order?.followsInThread()
        console.write(output)
        output.removeAll(keepingCapacity: true)
    }
}

extension InputMessage {
    /// Its start, escaped for one line.
    var excerpt: String {
        let text = String(decoding: bytes.prefix(40), as: UTF8.self)
        return String(reflecting: text) + (length > 40 ? "... (\(length) bytes)" : "")
    }
}

extension RequestError {
    /// The same for a message that the command gave up because its time was over.
    fileprivate var timedOut: RequestError {
        switch self {
        case .notSent(.cancelled): .notSent(.timedOut)
        case .refused(.cancelled): .refused(.timedOut)
        case .unknown(.cancelled): .unknown(.timedOut)
        default: self
        }
    }
}
