import Arguments
import Basics
import LifelineClient
import Posix

/// A run of the command: it sends its messages one after another, the next one after the answer to the one before.
struct Run {
    let settings: ClientSettings
    let console: Console
    private var status = ExitStatus.ok
    private var number = 0

    init(_ settings: ClientSettings, _ console: Console) {
        self.settings = settings
        self.console = console
    }

    /// Sends each message on a connection of its own. Returns the exit status.
    mutating func short() async -> ExitStatus {
        var source = MessageSource(settings, console)
        let printer = EventPrinter(console, isVerbose: settings.isVerbose)
        var servers = settings.servers
        var options = settings.options
        while let message = await source.next(console) {
            let settings = self.settings
            let (hosts, shortOptions) = (servers, options)
            let (events, continuation) = AsyncStream.makeStream(of: ConnectionEvent.self)
            let printing = Task { () -> String? in
                var server: String?
                for await event in events {
                    if case .connected(let terms) = event { server = terms.server }
                    printer.showShort(event)
                }
                return server
            }
            await answer(message, printer) { message throws(RequestError) in
                try await ShortConnection.request(
                    message, hosts: hosts, timeout: settings.timeout, mayRunTwice: settings.mayRunTwice,
                    options: shortOptions, events: continuation)
            }
            // What comes behind the answer is the end of the connection.
            continuation.finish()
            guard let server = await printing.value else { continue }
            // The next message begins with the server that answered, and waits for one that was there as a long connection
            // does.
            if let index = servers.firstIndex(of: server) { servers = Array(servers[index...] + servers[..<index]) }
            options.wait = max(options.wait, settings.outageLimit)
        }
        return status
    }

    /// Sends all messages on one connection. Returns the exit status.
    mutating func long() async -> ExitStatus {
        let connection: LongConnection
        do {
            connection = try LongConnection.start(
                hosts: settings.servers, options: settings.options)
        } catch {
            console.fail(error.status, "\(error)")
        }
        // A person at a terminal, and who holds the connection, want to know at once.
        let printer = EventPrinter(
            console, isVerbose: settings.isVerbose, holdsBack: settings.hold == .zero && !StandardInput.isTerminal)
        let events = Task { for await event in connection.events { printer.show(event) } }
        let pushes = Task { [console] in
            for await message in connection.messages {
                console.note("message: \(String(decoding: message, as: UTF8.self))")
            }
        }
        var isDone = false
        do {
            try await connection.waitUntilOpen()
            isDone = await talk(on: connection, printer)
            await hold(printer)
            isDone = isDone && (settings.hold == .zero || printer.error == nil)
        } catch {
            // The printer has shown the reason.
        }
        await connection.close()
        await events.value
        await pushes.value
        // A server that closes after the last answer is no error; one that broke a rule is.
        guard let error = printer.error, !isDone || error.kind == .dropped else { return status }
        return error.status
    }

    /// Sends all messages. Returns whether none is missing.
    private mutating func talk(on connection: LongConnection, _ printer: EventPrinter) async -> Bool {
        var source = MessageSource(settings, console)
        let stop = source
        printer.whenClosed { [console] in
            if stop.stop() { console.note("no more of standard input is read") }
        }
        while let message = await source.next(console) {
            let settings = self.settings
            await answer(message, printer) { message throws(RequestError) in
                while true {
                    // The time without a connection does not count: the message has not left.
                    try? await connection.waitUntilOpen()
                    do throws(RequestError) {
                        return try await connection.request(
                            message, timeout: settings.timeout, mayRunTwice: settings.mayRunTwice)
                    } catch {
                        guard error.isUnsent, connection.state.isAway else { throw error }
                    }
                }
            }
        }
        // After the end of the connection, lines of standard input remain unread. Arguments have all been tried.
        let isDone = settings.messages.isEmpty ? printer.error == nil : true
        printer.whenClosed {}
        return isDone
    }

    /// Keeps the connection open for the time of --hold, or until it ends.
    private func hold(_ printer: EventPrinter) async {
        let duration = settings.hold
        guard duration > .zero else { return }
        let sleep = Task { try? await Task.sleep(for: duration) }
        printer.whenClosed { sleep.cancel() }
        await sleep.value
    }

    /// Sends one message and prints its answer or error.
    private mutating func answer(
        _ message: [UInt8], _ printer: EventPrinter, _ request: ([UInt8]) async throws(RequestError) -> [UInt8]
    ) async {
        number += 1
        printer.waits(for: number)
        let start = Instant.now
        do {
            let reply = try await request(message)
            printer.waits(for: nil)
            if settings.isVerbose { console.note("message \(number) answered in \((.now - start).text)") }
            if settings.isBinary { console.write(reply) } else { console.reply(reply) }
        } catch {
            printer.waits(for: nil)
            console.note("message \(number), \(Run.excerpt(of: message)): \(error)")
            if status == .ok { status = error.status }
        }
    }

    /// The start of a message, escaped for one line.
    private static func excerpt(of message: [UInt8]) -> String {
        let text = String(decoding: message.prefix(40), as: UTF8.self)
        return String(reflecting: text) + (message.count > 40 ? "... (\(message.count) bytes)" : "")
    }
}

extension RequestError {
    /// Whether the server has certainly not processed the request.
    fileprivate var isUnsent: Bool {
        switch self {
        case .notSent, .refused: true
        case .failed, .unknown: false
        }
    }
}

extension ConnectionState {
    /// Whether there is no connection, and another attempt is made.
    fileprivate var isAway: Bool {
        switch self {
        case .connecting, .waiting: true
        case .open, .goingAway, .closed: false
        }
    }
}
