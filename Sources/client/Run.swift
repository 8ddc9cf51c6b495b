import Arguments
import Basics
import LifelineClient
import Posix

/// A run of the command, from its first connection to its last.
struct Run {
    let settings: ClientSettings
    let console: Console

    /// Sends each message on a connection of its own. Returns the exit status.
    func short() async -> ExitStatus {
        let printer = EventPrinter(console, isVerbose: settings.isVerbose, isJSON: settings.isJSON)
        let route = ShortRoute(settings, printer)
        let status = await withPipeline { signals in
            // One after another where one is asked for; else a slow one must not hold up the others.
            MessagePipeline(
                settings, most: settings.jobs, waiting: settings.jobs == 1 ? 1 : max(1024, settings.jobs), route,
                printer, signals, console)
        }
        await route.finish()
        return status
    }

    /// Sends all messages on one connection. Returns the exit status.
    func long() async -> ExitStatus {
        let connection: LongConnection
        var options = settings.options
        let order = settings.isJSON ? EventOrder() : nil
        if !settings.command.isEmpty { options.answer = answering(order) }
        do {
            connection = try LongConnection.start(hosts: settings.servers, options: options)
        } catch {
            console.fail(error.status, "\(error)")
        }
        order?.follow(connection)
        // A person at a terminal, and who holds the connection, want to know at once.
        let printer = EventPrinter(
            console, isVerbose: settings.isVerbose, isJSON: settings.isJSON,
            holdsBack: settings.hold == .zero && !StandardInput.isTerminal, order: order)
        let events = Task { for await event in connection.events { printer.show(event) } }
        let pushes = Task { for await message in connection.messages { await show(message, order) } }
        var status = ExitStatus.ok
        var isDone = false
        do {
            try await connection.waitUntilOpen()
            (status, isDone) = await talk(on: connection, printer)
            await hold(printer)
            isDone = isDone && (settings.hold == .zero || printer.error == nil)
        } catch {
            // The printer has shown the reason.
        }
        let counts = await connection.close(within: max(Run.closeLimit, settings.timeout))
        await events.value
        await pushes.value
        if settings.isOneWay, !tell(counts), status == .ok { status = .tryLater }
        // A server that closes after the last answer is no error; one that broke a rule is.
        guard let error = printer.error, !isDone || error.kind == .dropped else { return status }
        return error.status
    }

    /// How long the orderly end may take at least, for which a server handles what was sent.
    private static let closeLimit = Duration.seconds(60)

    /// Says what became of the messages of --send, where that is not that all are handled. Returns whether none is in doubt.
    private func tell(_ counts: MessageCounts) -> Bool {
        if settings.isJSON {
            console.write(JSONLine.sent(counts).line)
        } else if counts.unconfirmed > 0 {
            console.note(
                "\(counts.handled) of \(counts.sent) messages are handled; of \(counts.unconfirmed) nothing is known, so they "
                    + "may be sent again only where that does no harm")
        }
        if counts.untold > 0, !settings.isJSON {
            console.note("the server does not tell which messages it has handled; sent: \(counts.untold)")
        }
        return counts.unconfirmed == 0
    }

    /// Sends all messages. Returns the status, and whether none is missing.
    private func talk(on connection: LongConnection, _ printer: EventPrinter) async -> (ExitStatus, Bool) {
        let status = await withPipeline { signals in
            printer.whenOpened { signals.opened(at: .now) }
            printer.whenClosed { signals.stop() }
            return MessagePipeline(
                settings, most: settings.inFlight, LongRoute(settings, connection), printer, signals, console)
        }
        // After the end of the connection, lines of standard input remain unread. Arguments have all been tried.
        let isDone = settings.messages.isEmpty ? printer.error == nil : true
        printer.whenClosed {}
        return (status, isDone)
    }

    /// Runs a pipeline on a thread of its own, because it blocks. Returns the status that its messages have ended with.
    private func withPipeline<Route>(
        _ make: @escaping @Sendable (PipelineSignals) -> MessagePipeline<Route>
    ) async -> ExitStatus {
        do throws(SystemError) {
            let signals = try PipelineSignals()
            let (statuses, ended) = AsyncStream.makeStream(of: ExitStatus.self)
            try startThread(named: "client-messages") {
                var pipeline = make(signals)
                pipeline.run()
                ended.yield(pipeline.status)
                ended.finish()
            }
            for await status in statuses { return status }
        } catch {
            console.fail(.osError, "\(error)")
        }
        return .ok
    }

    /// What answers the requests of the server: a program for each.
    private func answering(_ order: EventOrder?) -> @Sendable ([UInt8]) async throws -> [UInt8] {
        let command = settings.isForShell ? ["/bin/sh", "-c"] + settings.command : settings.command
        let programs: AnswerPrograms
        do throws(SystemError) {
            programs = try AnswerPrograms(command, most: Int(settings.options.maxMessage), console)
        } catch {
            console.fail(.usage, "--answer: cannot start '\(command[0])': \(error.text)")
        }
        return { [settings, console] request in
            guard settings.isJSON else { return try await programs.answer(request).bytes }
            await order?.follows()
            let number = programs.nextNumber()
            console.write(JSONLine.request(number, request).line)
            do {
                let answer = try await programs.answer(request)
                await order?.follows()
                console.write(JSONLine.reply(number, answer.bytes, after: answer.elapsed).line)
                return answer.bytes
            } catch let failure as RequestFailure {
                await order?.follows()
                console.write(JSONLine.reply(number, failure).line)
                throw failure
            }
        }
    }

    /// Prints a one-way message of the server.
    private func show(_ message: [UInt8], _ order: EventOrder?) async {
        if settings.isJSON {
            await order?.follows()
            console.write(JSONLine.message(message).line)
        } else if settings.showsMessages {
            var line: [UInt8] = []
            console.addLine(message, to: &line)
            console.write(line)
        } else {
            console.note("message: \(String(decoding: message, as: UTF8.self))")
        }
    }

    /// Keeps the connection open for the time of --hold, or until it ends.
    private func hold(_ printer: EventPrinter) async {
        let duration = settings.hold
        guard duration > .zero else { return }
        let sleep = Task { try? await Task.sleep(for: duration) }
        printer.whenClosed { sleep.cancel() }
        await sleep.value
    }
}
