import Basics
import Framing
import Posix

/// Carries out what `ProgramSession` decides: the program is a child of the connection's child, and talks with it
/// through three pipes that never block us.
///
/// When a program has ended, its process group is killed, and whoever left the group: they have become children of this
/// process, which has no others.
final class ProgramRunner: HandlerRunner {
    /// After so many reads of a stream in a row the others get their turn.
    private static let readsAtOnce = 4
    /// What is killed at the very end is waited for so long.
    private static let lastPatience = Duration.seconds(1)

    private let program: Program
    private let setting: ProgramEnvironment
    private let timeout: Duration?
    private let log: Log
    /// What the client calls itself, and what its token is called.
    private var names: (own: String?, token: String?)
    private var dialogue: ProgramSession?
    private var running: RunningProgram?
    /// Whether what waited for the client has room now, so that there is nothing to wait for.
    private var mayGoOn = false
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(_ program: Program, _ setting: ProgramEnvironment, timeout: Duration?, log: Log) {
        self.program = program
        self.setting = setting
        self.timeout = timeout
        self.log = log
        adoptOrphans()
    }

    var judgesTime: Bool { true }
    var deadline: Instant? { mayGoOn ? Instant(sinceStart: .zero) : dialogue?.deadline }
    var isOver: Bool { dialogue?.isOver ?? true }

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        names = (hello.options.name, tokenName)
        dialogue = ProgramSession(
            program.framing, grace: program.grace, timeout: timeout, mostAccepted: hello.maxMessage)
        work([], on: &connection, at: now)
    }

    func take(_ request: Request, on connection: inout ServerConnection, at now: Instant) {
        dialogue?.submit(request.id, request.bytes, at: .now)
        work([], on: &connection, at: now)
    }

    func take(message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        dialogue?.submit(message: message, at: .now)
        work([], on: &connection, at: now)
    }

    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {
        dialogue?.cancel(id, at: .now)
        work([], on: &connection, at: now)
    }

    func closed(_ ending: CloseReason) {
        dialogue?.closed(at: .now)
        write(at: .now)
    }

    func append(to entries: inout [PollEntry], for connection: inout ServerConnection) {
        mayGoOn = dialogue?.steps.first.map { hasRoom(for: $0, on: connection) } ?? false
        guard let dialogue, let running else { return }
        entries += running.entries(
            reading: dialogue.wantsOutput, complaints: !dialogue.stderrHasEnded, writing: !dialogue.unwritten.isEmpty)
    }

    func work(_ entries: ArraySlice<PollEntry>, on connection: inout ServerConnection, at now: Instant) {
        dialogue?.resumed(at: now)
        carryOut(on: &connection, at: now)
        let entries = Array(entries)
        if let running, entries.count == 3 {
            if entries[1].isReadable { readErrors(of: running, at: now) }
            if entries[0].isReadable { readOutput(of: running, on: &connection, at: now) }
        }
        // What is left in the pipes of a program that is gone, and their end, need not be waited for.
        if let running, dialogue?.isCollected ?? false {
            readErrors(of: running, at: now)
            readOutput(of: running, on: &connection, at: now)
        }
        carryOut(on: &connection, at: now)
        write(at: now)
        carryOut(on: &connection, at: now)
    }

    // MARK: Its streams

    private func readOutput(of running: RunningProgram, on connection: inout ServerConnection, at now: Instant) {
        for _ in 0..<ProgramRunner.readsAtOnce {
            guard let dialogue, dialogue.wantsOutput else { return }
            switch running.readOutput(into: &buffer) {
            case .bytes(let count): self.dialogue?.received(buffer[..<count], at: now)
            case .wouldBlock where !dialogue.isCollected: return
            case .wouldBlock, .end: self.dialogue?.outputEnded(at: now)
            }
            carryOut(on: &connection, at: now)
        }
    }

    private func readErrors(of running: RunningProgram, at now: Instant) {
        for _ in 0..<ProgramRunner.readsAtOnce {
            guard let dialogue, !dialogue.stderrHasEnded else { return }
            switch running.readErrors(into: &buffer) {
            case .bytes(let count): self.dialogue?.receivedStderr(buffer[..<count], at: now)
            case .wouldBlock where !dialogue.isCollected: return
            case .wouldBlock, .end: self.dialogue?.stderrEnded(at: now)
            }
        }
    }

    private func write(at now: Instant) {
        guard let running, running.hasInput else { return }
        while let bytes = dialogue?.unwritten, !bytes.isEmpty {
            switch running.write(bytes) {
            case .bytes(let count): dialogue?.wrote(count)
            case .wouldBlock: return
            case .end: dialogue?.inputBroke(at: now)
            }
        }
        if dialogue?.inputIsOver ?? true { running.endInput() }
    }

    // MARK: Steps

    private func carryOut(on connection: inout ServerConnection, at now: Instant) {
        while let step = dialogue?.steps.first, hasRoom(for: step, on: connection) {
            _ = dialogue?.removeFirstStep()
            switch step {
            case .start(let request): start(for: request, at: now)
            case .end(.terminate): running?.send(Signal.terminate)
            case .end(.kill): running?.send(Signal.kill)
            case .end(.giveUp): log.write(.error, "program cannot be killed") { putWho(in: &$0) }
            case .end(.endInput): break
            case .answer(let id, let bytes): connection.answer(id, bytes[...])
            case .part(let id, let bytes, let isLast):
                connection.answer(id, part: bytes[...], isLast: isLast, at: now)
            case .fail(let id, let failure): connection.fail(id, failure)
            case .message(let bytes):
                if !connection.send(bytes[...]) { dialogue?.messageWasRefused() }
            case .finished: connection.handlerReturned()
            case .close(let cause): connection.stop(cause)
            case .log(let note): write(note)
            }
        }
    }

    /// A slow client makes the program wait, for as long as it takes anything at all.
    private func hasRoom(for step: ProgramSession.Step, on connection: borrowing ServerConnection) -> Bool {
        guard !connection.isClosing, !connection.outbox.isEmpty else { return true }
        switch step {
        case .part(let id, let bytes, _): return bytes.isEmpty || connection.room(for: id) > 0
        case .message(let bytes): return connection.messageRoom.map { bytes.count <= $0 } ?? true
        default: return true
        }
    }

    // MARK: Its life

    private func start(for request: UInt32?, at now: Instant) {
        do {
            running = RunningProgram(
                try program.file.start(
                    adding: setting.variables(name: names.own, tokenName: names.token, request: request),
                    removing: ProgramEnvironment.replaced))
            dialogue?.started(at: now)
            log.write(.debug, "program started") { putWho(in: &$0) }
        } catch {
            log.write(.error, "program failed") {
                putWho(in: &$0)
                $0.text("text", "\(program.file.path): \(error.text)")
            }
            dialogue?.startFailed(error.text)
        }
    }

    func signalled(_ signal: Int32, at now: Instant) {
        if signal == Signal.childEnded { reapAll(at: now) }
    }

    private func reapAll(at now: Instant) {
        while true {
            switch Children.now {
            case .none:
                if running?.isReaped ?? false { dialogue?.collected(at: now) }
                return
            case .alive:
                // While a program runs, what it has lost is its own affair; then it is ours.
                guard running?.isReaped ?? false else { return }
                for orphan in childProcesses() { sendSignal(Signal.kill, to: orphan) }
                return
            case .ended(let pid):
                if let running, running.pid == pid, !running.isReaped {
                    guard let ended = running.reap() else { return }
                    dialogue?.exited(
                        ended.signal.map { .signal(signalName($0)) } ?? .status(ended.status ?? 0), at: now)
                } else {
                    _ = reap(pid)
                }
            }
        }
    }

    /// What still runs is killed now, and waited for as long as a kill takes.
    func giveUp() {
        guard Children.now != .none, let signals = try? SignalDescriptor([Signal.childEnded]) else { return }
        let deadline = Instant.now + ProgramRunner.lastPatience
        running?.send(Signal.kill)
        while Children.now != .none, .now < deadline {
            reapAll(at: .now)
            if running == nil { for orphan in childProcesses() { sendSignal(Signal.kill, to: orphan) } }
            guard Children.now == .alive else { continue }
            var entries = [PollEntry(signals.number)]
            _ = try? poll(&entries, until: deadline)
            while signals.next() != nil {}
        }
    }

    // MARK: The log

    /// Whose connection it is, and which process.
    private func putWho(in line: inout LogLine) {
        line.number("connection", setting.connection)
        if let running { line.number("pid", running.pid) }
    }

    private func write(_ note: ProgramSession.Note) {
        switch note {
        case .line(let text):
            log.write(.info, "program") { line in
                putWho(in: &line)
                if text.skipped > 0 { line.number("skipped", text.skipped) }
                line.text("text", text.text)
            }
        case .ended(let exit, let request, let wasAsked, let skipped):
            log.write(wasAsked || exit == .status(0) ? .debug : .warning, "program ended") { line in
                putWho(in: &line)
                if let request { line.number("request", request) }
                switch exit {
                case .status(let status): line.number("status", status)
                case .signal(let signal): line.text("signal", signal)
                case .hung: break
                }
                if skipped > 0 { line.number("skipped", skipped) }
            }
            running = nil
        case .discarded(let what):
            log.write(.warning, "discarded", reason: "\(what)", most: 1) {
                putWho(in: &$0)
                $0.text("text", what.rawValue)
            }
        }
    }
}
