import Basics
import Arguments
import LifelineClient
import Posix
import Synchronization

/// One run of the command: its messages one after another, each answered before the next is sent.
struct Run {
    let settings: ClientSettings
    let console: Console
    private var status = ExitStatus.ok
    private var number = 0

    init(_ settings: ClientSettings, _ console: Console) {
        self.settings = settings
        self.console = console
    }

    mutating func short() async -> ExitStatus {
        var source = MessageSource(settings, console)
        while let message = await source.next(console) {
            let settings = self.settings
            await answer(message) { message throws(RequestError) in
                try await ShortConnection.request(
                    message, host: settings.host, port: settings.port, timeout: settings.timeout,
                    mayRunTwice: settings.mayRunTwice, options: settings.options)
            }
        }
        return status
    }

    mutating func long() async -> ExitStatus {
        let connection: LongConnection
        do {
            connection = try LongConnection.start(
                host: settings.host, port: settings.port, options: settings.options)
        } catch {
            console.fail(error.status, "\(error)")
        }
        let watch = EventPrinter(console, isVerbose: settings.isVerbose)
        let events = Task { for await event in connection.events { watch.see(event) } }
        let pushes = Task { [console] in
            for await message in connection.messages {
                console.note("message: \(String(decoding: message, as: UTF8.self))")
            }
        }
        var isDone = false
        do {
            try await connection.waitUntilOpen()
            isDone = await talk(on: connection, watch)
            await hold(watch)
            isDone = isDone && (settings.hold == .zero || watch.error == nil)
        } catch {
            // The watch tells why.
        }
        await connection.close()
        await events.value
        await pushes.value
        // A server that leaves when all that was wanted is done takes nothing away; one that broke a rule does.
        guard let error = watch.error, !isDone || error.kind == .dropped else { return status }
        return error.status
    }

    /// Asks for all messages, and returns whether there can be no more of them.
    private mutating func talk(on connection: LongConnection, _ watch: EventPrinter) async -> Bool {
        var source = MessageSource(settings, console)
        let stop = source
        watch.whenClosed { [console] in
            if stop.stop() { console.note("no more of standard input is read") }
        }
        while let message = await source.next(console) {
            let settings = self.settings
            await answer(message) { message throws(RequestError) in
                try await connection.request(
                    message, timeout: settings.timeout, mayRunTwice: settings.mayRunTwice)
            }
        }
        // Lines that nobody reads any more may be missing; arguments have all been tried.
        let isDone = settings.messages.isEmpty ? watch.error == nil : true
        watch.whenClosed {}
        return isDone
    }

    /// Stays connected for as long as the user wants; the end of the connection is the end of it.
    private func hold(_ watch: EventPrinter) async {
        let duration = settings.hold
        guard duration > .zero else { return }
        let sleep = Task { try? await Task.sleep(for: duration) }
        watch.whenClosed { sleep.cancel() }
        await sleep.value
    }

    /// Sends one message and prints what came of it.
    private mutating func answer(
        _ message: [UInt8], _ request: ([UInt8]) async throws(RequestError) -> [UInt8]
    ) async {
        number += 1
        let start = Instant.now
        do {
            let reply = try await request(message)
            if settings.isVerbose { console.note("message \(number) answered in \((.now - start).text)") }
            if settings.isBinary { console.write(reply) } else { console.reply(reply) }
        } catch {
            console.note("message \(number), \(Run.excerpt(of: message)): \(error)")
            if status == .ok { status = error.status }
        }
    }

    /// The start of a message, fit for a line.
    private static func excerpt(of message: [UInt8]) -> String {
        let text = String(decoding: message.prefix(40), as: UTF8.self)
        return String(reflecting: text) + (message.count > 40 ? "... (\(message.count) bytes)" : "")
    }
}

/// Tells the user what happens to the long connection, and remembers why it ended for good.
final class EventPrinter: Sendable {
    private struct Shared {
        var error: ConnectionError?
        /// The loss that was told last: the attempt that follows it need not tell it again.
        var toldLoss: ConnectionError?
        var whenClosed: (@Sendable () -> Void)?
    }

    private let console: Console
    private let isVerbose: Bool
    private let shared = Mutex(Shared())

    init(_ console: Console, isVerbose: Bool) {
        self.console = console
        self.isVerbose = isVerbose
    }

    /// Why the connection ended, where the user did not end it.
    var error: ConnectionError? { shared.withLock { $0.error } }

    /// Calls `body` when the connection has ended for good and not by the user's will, or now where it has.
    func whenClosed(_ body: @escaping @Sendable () -> Void) {
        let isClosed = shared.withLock { shared in
            shared.whenClosed = body
            return shared.error != nil
        }
        if isClosed { body() }
    }

    func see(_ event: ConnectionEvent) {
        switch event {
        case .connected(let terms):
            if isVerbose { console.note("connected, \(terms.summary)") }
        case .reconnected(let terms):
            console.note("connected again, \(terms.summary)")
        case .roundTrip(let time):
            if isVerbose { console.note("heartbeat, round trip \(time.text)") }
        case .beatLate:
            console.note("the server's heartbeat is late")
        case .goingAway(let code, let text, let retryAfter):
            let wish = retryAfter > .zero ? "; it asks to come back after \(retryAfter.text)" : ""
            console.note("the server is going away: \(code)\(text.isEmpty ? "" : ", " + text)\(wish)")
        case .lost(let error):
            shared.withLock { $0.toldLoss = error }
            console.note("connection lost: \(error)")
        case .reconnecting(let error, let wait, let attempt):
            let isTold = shared.withLock { $0.toldLoss.take() == error }
            console.note("\(isTold ? "" : "\(error); ")connecting again in \(wait.text), attempt \(attempt)")
        case .messagesDropped(let count):
            console.note("\(count) messages of the server were dropped unread")
        case .closed(let error):
            closed(error)
        }
    }

    private func closed(_ error: ConnectionError) {
        // The user's own end needs no word and stops nothing.
        guard error.kind != .closedByProgram else { return }
        let whenClosed = shared.withLock { shared in
            shared.error = error
            return shared.whenClosed
        }
        console.note("no connection: \(error)")
        whenClosed?()
    }
}

extension ConnectionTerms {
    fileprivate var summary: String {
        "number \(connection), a heartbeat every \(pingEvery.text), dead after \(deadAfter.text)"
    }
}

extension Duration {
    /// For people: `0.284 ms`, `12 ms`, `2.5 s`.
    fileprivate var text: String {
        let milliseconds = self / .milliseconds(1)
        if milliseconds < 10 { return Duration.decimal(milliseconds, digits: 3) + " ms" }
        return milliseconds < 1000 ? "\(Int(milliseconds)) ms" : Duration.decimal(milliseconds / 1000, digits: 1) + " s"
    }

    private static func decimal(_ value: Double, digits: Int) -> String {
        let factor = (0..<digits).reduce(1) { factor, _ in factor * 10 }
        let scaled = Int((value * Double(factor)).rounded())
        let fraction = String(scaled % factor)
        return "\(scaled / factor).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}
