import Basics
import Framing
import Inheritance
import Posix

/// Has a program answer a connection's requests, as `ProgramSession` or `TaggedSession` decides. The program is a child of the connection's
/// process, which talks with it through three pipes and never blocks on them.
///
/// When a program has ended, the runner kills its process group, and the processes that left the group. Those have become
/// children of this process. So the runner takes every child of its process for its own, and a process has one such runner.
final class ProgramRunner: HandlerRunner {
    /// How many reads of one stream follow each other before the others get their turn.
    private static let readsAtOnce = 4
    /// How many looks at a program follow each other before the loop waits: as a rule it waits for its input a few
    /// microseconds after its answer.
    private static let looksAtOnce = 8
    /// How many messages wait for the client before the program waits in its own write: each takes memory beside its bytes,
    /// and a program may write a line of one byte a million times.
    private static let mostWaiting = 4096
    /// How long a client may take for what a program asks, where no handler timeout is set.
    private static let longestWait = Duration.seconds(365 * 24 * 3600)
    /// How long `cancelAll` waits for what it has killed.
    private static let lastPatience = Duration.seconds(1)

    private let program: Program
    private let environment: ProgramEnvironment
    private let timeout: Duration?
    /// How long the program may work on what came before the end of its connection.
    private let patience: Duration
    private let log: Log
    /// When that is over, where its end has begun before the connection's.
    private var handlingUntil: Instant?
    /// The client's name for itself, and the name of its token.
    private var names: (own: String?, token: String?)
    private var session: (any ProgramDialogue)?
    private var running: RunningProgram?
    /// Whether the step that waited for the client has room now, so that the loop has nothing to wait for.
    private var canGoOn = false
    /// The program's streams in the loop's last wait.
    private var interests: RunningProgram.Interests?
    /// How far a program that does not read had read at the end of its connection, and since when.
    private var idle: (readTo: Int, since: Instant)?
    private var outputIsReady = false
    private var stderrIsReady = false
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(
        _ program: Program, _ environment: ProgramEnvironment, timeout: Duration?, patience: Duration, log: Log
    ) {
        self.program = program
        self.environment = environment
        self.timeout = timeout
        self.patience = patience
        self.log = log
        adoptOrphans()
    }

    var enforcesTimeout: Bool { true }
    var deadline: Instant? { canGoOn ? Instant(sinceStart: .zero) : session?.deadline }
    var isOver: Bool { session?.isOver ?? true }
    var isWorking: Bool { session?.isWorking ?? false }

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        names = (hello.options.name, tokenName)
        let (framing, most) = (program.framing, hello.maxMessage)
        session =
            framing.isTagged
            ? TaggedSession(framing, grace: program.grace, timeout: timeout, mostAccepted: most)
            : ProgramSession(framing, grace: program.grace, timeout: timeout, mostAccepted: most)
        session?.course.tellsMessagesRead = connection.received.hasCredit
        deliver(to: &connection, at: now)
    }

    func respond(to request: Request, on connection: inout ServerConnection, at now: Instant) {
        session?.submit(request.id, request.bytes, at: .now)
        // Those that came together are written together, by the `deliver` that follows in each turn.
        if program.framing.isTagged { carryOut(on: &connection, at: now) } else { deliver(to: &connection, at: now) }
    }

    func received(_ message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        if !(session?.submit(message: message, at: .now) ?? false) {
            connection.messageDiscarded(cost: Credit.cost(of: message.count))
        }
        carryOut(on: &connection, at: now)
    }

    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {
        session?.cancel(id, at: .now)
        deliver(to: &connection, at: now)
    }

    func asked(
        _ token: UInt64, _ outcome: ServerRequests.AskOutcome, on connection: inout ServerConnection, at now: Instant
    ) {
        session?.asked(token, outcome, at: now)
    }

    func closed(_ reason: CloseReason) {
        let now = Instant.now
        session?.closed(at: now, patience: handlingUntil.map { $0 - now } ?? patience)
        look(at: .now)
        write(at: .now)
    }

    func willWait(_ credit: HandlerCredit, adding set: inout PollSet) {
        canGoOn = session?.firstStep.map { hasRoom(for: $0, credit) } ?? false
        guard let session, let running else { return interests = nil }
        interests = running.addInterests(
            to: &set, output: session.wantsOutput, stderr: !session.stderrHasEnded, input: !session.unwritten.isEmpty)
    }

    func hasWaited(_ set: PollSet) {
        outputIsReady = set.isReadable(interests?.output)
        stderrIsReady = set.isReadable(interests?.stderr)
    }

    func deliver(to connection: inout ServerConnection, at now: Instant) {
        handlingUntil = connection.handlingUntil
        if handlingUntil != nil { session?.course.hastenLooks(at: now) }
        look(at: now)
        countReadMessages(on: &connection)
        giveUpUnread(on: &connection, at: now)
        carryOut(on: &connection, at: now)
        session?.resumed(at: now)
        carryOut(on: &connection, at: now)
        if let running {
            if stderrIsReady { readStderr(of: running, at: now) }
            if outputIsReady { readOutput(of: running, on: &connection, at: now) }
        }
        (outputIsReady, stderrIsReady) = (false, false)
        // What is left in the pipes of a program that is gone, and their end, need not be waited for.
        if let running, session?.isCollected ?? false {
            readStderr(of: running, at: now)
            readOutput(of: running, on: &connection, at: now)
        }
        carryOut(on: &connection, at: now)
        write(at: now)
        handOver(on: &connection, at: now)
        write(at: now)
        carryOut(on: &connection, at: now)
    }

    // MARK: What the program reads

    /// Looks how much of its input the program has read, and what it does, where the session has to know.
    private func look(at now: Instant) {
        guard let running else { return }
        if session?.isLookDue(at: now) ?? false {
            // Once its input has ended, nothing is known of what the program has not read by then.
            let unread = running.unreadInput
            let mayWait = unread == 0 && session?.mayComeBack ?? false
            session?.looked(unread: unread, mayWait ? running.lookAtInput() : .busy, at: now)
        } else if session?.hasUnreadMessages ?? false {
            session?.looked(unread: running.unreadInput)
        }
        if session?.isInDoubt(at: now) ?? false { session?.doubted(running.lookAtInput()) }
    }

    /// Tells the connection of the messages that the program has read, which take no room any more, of those that it is done
    /// with, and of those that it will not be done with.
    private func countReadMessages(on connection: inout ServerConnection) {
        while let cost = session?.course.input.takeReadMessage() { connection.messageTaken(cost: cost) }
        while session?.course.input.takeHandledMessage() ?? false { connection.messageHandled(cost: 0) }
        while let cost = session?.course.input.takeLostMessage() { connection.messageDiscarded(cost: cost) }
    }

    /// Gives up the messages at the end of the connection where the program has nothing in hand, and has not read for its
    /// grace.
    private func giveUpUnread(on connection: inout ServerConnection, at now: Instant) {
        guard connection.handlingUntil != nil || connection.isClosing, let input = session?.course.input,
            input.hasUnreadMessages, input.handledTo == input.readTo
        else { return idle = nil }
        if idle?.readTo != input.readTo { idle = (input.readTo, now) }
        if let idle, idle.since + program.grace <= now { connection.giveUpMessages(at: now) }
    }

    // MARK: The program's streams

    private func readOutput(of running: RunningProgram, on connection: inout ServerConnection, at now: Instant) {
        switch drainOutput(of: running, on: &connection, at: now) {
        case nil: return
        case .wouldBlock where !(session?.isCollected ?? false): return
        default: session?.outputEnded(at: now)
        }
        carryOut(on: &connection, at: now)
    }

    /// Reads what the program has written, and carries it out. Returns why nothing more comes; nil where more may.
    private func drainOutput(
        of running: RunningProgram, on connection: inout ServerConnection, at now: Instant
    ) -> Transfer? {
        for _ in 0..<ProgramRunner.readsAtOnce {
            guard session?.wantsOutput ?? false else { return nil }
            let transfer = running.readOutput(into: &buffer)
            guard case .bytes(let count) = transfer else { return transfer }
            session?.received(buffer[..<count], unread: running.unreadInput ?? 0, at: now)
            carryOut(on: &connection, at: now)
        }
        return nil
    }

    private func readStderr(of running: RunningProgram, at now: Instant) {
        for _ in 0..<ProgramRunner.readsAtOnce {
            guard !(session?.stderrHasEnded ?? true) else { return }
            switch running.readStderr(into: &buffer) {
            case .bytes(let count): session?.receivedStderr(buffer[..<count], at: now)
            case .wouldBlock where !(session?.isCollected ?? true): return
            case .wouldBlock, .end: session?.stderrEnded(at: now)
            }
        }
    }

    /// Gives the program the request that waits, where the program waits for its input. All that it wrote before is read
    /// first, for that cannot be the answer.
    private func handOver(on connection: inout ServerConnection, at now: Instant) {
        guard let running, session?.mayHandOver ?? false else { return }
        guard running.readsInput else {
            session?.looked(unread: running.unreadInput)
            session?.inputBroke(at: now)
            return
        }
        var looks = session?.isHandOverFresh ?? false ? ProgramRunner.looksAtOnce : 1
        var seen = running.lookAtInput(thorough: looks == 1)
        while seen == .busy, looks > 1 {
            yieldProcessor()
            looks -= 1
            seen = running.lookAtInput(thorough: looks == 1)
        }
        guard session?.allowsHandOver(seen, at: now) ?? false else { return }
        switch drainOutput(of: running, on: &connection, at: now) {
        case .wouldBlock: session?.handOverRequest(at: now)
        case .end: session?.outputEnded(at: now)
        case .bytes, nil: break
        }
    }

    private func write(at now: Instant) {
        guard let running, running.hasInput else { return }
        while let bytes = session?.unwritten, !bytes.isEmpty {
            switch running.write(bytes) {
            case .bytes(let count): session?.wrote(count)
            case .wouldBlock: return
            case .end:
                session?.looked(unread: running.unreadInput)
                session?.inputBroke(at: now)
            }
        }
        guard session?.inputIsOver ?? true else { return }
        session?.looked(unread: running.unreadInput)
        running.endInput()
    }

    // MARK: Steps

    private func carryOut(on connection: inout ServerConnection, at now: Instant) {
        while let step = session?.firstStep, hasRoom(for: step, connection.credit) {
            _ = session?.removeFirstStep()
            switch step {
            case .start(let request): start(for: request, at: now)
            case .end(.terminate): running?.send(Signal.terminate)
            case .end(.kill): running?.send(Signal.kill)
            case .end(.giveUp): log.write(.programCannotBeKilled) { putProgram(in: &$0) }
            case .end(.endInput): break
            case .answer(let id, let bytes): connection.answer(id, bytes[...])
            case .part(let id, let bytes, let isLast):
                connection.answer(id, part: bytes[...], isLast: isLast, at: now)
            case .fail(let id, let failure): connection.fail(id, failure)
            case .message(let bytes):
                if !connection.send(bytes[...], at: now) { session?.messageWasRefused() }
            case .ask(let token, let bytes):
                connection.ask(token, bytes[...], until: now + (timeout ?? ProgramRunner.longestWait), at: now)
            case .finished: connection.handlerReturned()
            case .close(let cause): connection.stop(cause)
            case .log(let note): write(note)
            }
        }
    }

    /// Whether the connection takes this step now. A slow client makes the program wait.
    private func hasRoom(for step: ProgramStep, _ credit: HandlerCredit) -> Bool {
        guard credit.isOpen else { return true }
        switch step {
        case .answer: return credit.hasAnswerRoom
        case .part(_, let bytes, _): return bytes.isEmpty || credit.partRoom > 0 || !credit.hasUnsent
        case .message(let bytes):
            // One that can never go is carried out, and thrown away.
            return switch credit.messageRoom.verdict(of: bytes.count) {
            case .goes: credit.waitingCount < ProgramRunner.mostWaiting
            case .waits: false
            case .never: true
            }
        default: return true
        }
    }

    // MARK: The program's life

    private func start(for request: UInt32?, at now: Instant) {
        do {
            running = RunningProgram(
                try program.file.start(
                    adding: environment.variables(name: names.own, tokenName: names.token, request: request),
                    removing: ProgramEnvironment.replaced, limits: ProcessStart.current.changedLimits))
            session?.started(at: now)
            log.write(.programStarted) { putProgram(in: &$0) }
        } catch {
            log.write(.programFailed) {
                putProgram(in: &$0)
                $0.text(.text, program.explanation(of: error))
            }
            session?.startFailed(error.text, at: now)
        }
    }

    func childEnded(at now: Instant) {
        while true {
            switch Children.now {
            case .none:
                if running?.isReaped ?? false { session?.collected(at: now) }
                return
            case .alive:
                // A program that runs looks after its own children. What it leaves behind is killed here.
                guard running?.isReaped ?? false else { return }
                for orphan in childProcesses() { sendSignal(Signal.kill, to: orphan) }
                return
            case .ended(let pid):
                if let running, running.pid == pid, !running.isReaped {
                    let unread = running.unreadInput
                    guard let ended = running.reap() else { return }
                    session?.exited(
                        ended.signal.map { .signal(signalName($0)) } ?? .status(ended.status ?? 0), unread: unread,
                        at: now)
                } else {
                    _ = reap(pid)
                }
            }
        }
    }

    /// Kills what still runs, and waits for its end for up to `lastPatience`.
    func cancelAll() {
        guard Children.now != .none, let signals = try? SignalDescriptor([Signal.childEnded]) else { return }
        let deadline = Instant.now + ProgramRunner.lastPatience
        running?.send(Signal.kill)
        while Children.now != .none, .now < deadline {
            childEnded(at: .now)
            if running == nil { for orphan in childProcesses() { sendSignal(Signal.kill, to: orphan) } }
            guard Children.now == .alive else { continue }
            var set = PollSet()
            _ = set.add(signals.number)
            try? set.wait(until: deadline)
            while signals.next() != nil {}
        }
    }

    // MARK: The log

    /// Puts the connection and the program's process into a line.
    private func putProgram(in line: inout LogLine) {
        line.number(.connection, environment.connection)
        if let running { line.number(.pid, running.pid) }
    }

    private func write(_ note: ProgramStep.Note) {
        switch note {
        case .line(let text):
            log.write(.program) { line in
                putProgram(in: &line)
                if text.skipped > 0 { line.number(.skipped, text.skipped) }
                line.text(.text, text.text)
            }
        case .ended(let exit, let request, let isExpected, let skipped):
            log.write(.programEnded, at: isExpected ? .debug : .warning) { line in
                putProgram(in: &line)
                if let request { line.number(.request, request) }
                switch exit {
                case .status(let status): line.number(.status, status)
                case .signal(let signal): line.text(.signal, signal)
                case .hung: break
                }
                if skipped > 0 { line.number(.skipped, skipped) }
            }
            running = nil
        case .waits(let request, let hint):
            log.write(.programWaits, reason: "", most: 1) {
                putProgram(in: &$0)
                if let request { $0.number(.request, request) }
                $0.text(.text, hint)
            }
        case .discarded(let what):
            log.write(.discarded, reason: "\(what)", most: 1) {
                putProgram(in: &$0)
                $0.text(.text, what.rawValue)
            }
        }
    }
}
