import Basics
import LifelineClient
import Posix
import Synchronization

/// The programs of --answer: one for each request of the server, which is its standard input; its standard output is the
/// answer.
///
/// One thread starts them, and carries their bytes: the kernel kills a program when the thread ends that has started it.
final class AnswerPrograms: Sendable {
    typealias Result = Swift.Result<[UInt8], RequestFailure>

    private enum ProgramOrder: Sendable {
        case start(UInt64, [UInt8], CheckedContinuation<Result, Never>)
        case stop(UInt64)
    }

    private struct State {
        var commands: [ProgramOrder] = []
        var lastID: UInt64 = 0
        var numbers = 0
    }

    private let file: ProgramFile
    private let name: String
    private let most: Int
    private let console: Console
    private let shared = Mutex(State())
    private let wakeUps: Descriptor

    /// Finds the program, and starts the thread.
    ///
    /// - Parameters:
    ///   - command: The program and its arguments, at least one word.
    ///   - most: The longest answer in bytes.
    ///   - console: Gets the lines of the programs' standard error.
    init(_ command: [String], most: Int, _ console: Console) throws(SystemError) {
        file = try ProgramFile(command)
        name = command[0]
        self.most = most
        self.console = console
        wakeUps = try .event()
        try startThread(named: "client-programs") { self.run() }
    }

    /// The number of the next request of the server, from 1.
    func nextNumber() -> Int {
        shared.withLock { shared in
            shared.numbers += 1
            return shared.numbers
        }
    }

    /// Runs a program for `request`. It is killed where the task is cancelled.
    func answer(_ request: [UInt8]) async throws -> (bytes: [UInt8], elapsed: Duration) {
        let begun = Instant.now
        let id = shared.withLock { shared in
            shared.lastID += 1
            return shared.lastID
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                submit(.start(id, request, continuation))
                // A cancellation before this found no program to stop.
                if Task.isCancelled { submit(.stop(id)) }
            }
        } onCancel: {
            submit(.stop(id))
        }
        return (try result.get(), .now - begun)
    }

    private func submit(_ command: ProgramOrder) {
        shared.withLock { $0.commands.append(command) }
        wakeUps.wakeUp()
    }

    // MARK: The thread

    /// How often an ended stream is asked for the end of its program.
    private static let reapEvery = Duration.milliseconds(5)

    private func run() {
        var running: [AnswerProgram] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let isEnding = running.contains { $0.isEnding }
            var entries = [PollEntry(wakeUps.number)]
            for program in running { entries += program.entries }
            guard (try? poll(&entries, until: isEnding ? .now + AnswerPrograms.reapEvery : nil)) != nil else { return }
            wakeUps.clearWakeUps()
            for command in shared.withLock({ shared in
                defer { shared.commands = [] }
                return shared.commands
            }) {
                switch command {
                case .start(let id, let request, let continuation):
                    do throws(SystemError) {
                        let started = try file.start(adding: [], removing: [])
                        running.append(AnswerProgram(id, started, request, most: most, continuation))
                    } catch {
                        continuation.resume(
                            returning: .failure(RequestFailure(.handlerFailed, "cannot start \(name): \(error.text)")))
                    }
                case .stop(let id): running.first { $0.id == id }?.stop()
                }
            }
            for program in running {
                for line in program.advance(with: &buffer) { console.note("\(name): \(line)") }
            }
            running.removeAll { $0.isOver }
        }
    }
}

/// A program that answers one request.
private final class AnswerProgram {
    /// Of what a program says on standard error, a line is kept up to here.
    private static let longestLine = 500
    private static let readsPerTurn = 16

    let id: UInt64
    private let pid: ProcessID
    /// Nil once the request is written, or the program reads no more.
    private var input: Descriptor?
    private var output: Descriptor?
    private var errors: Descriptor?
    private var unwritten: ArraySlice<UInt8>
    private var answer: [UInt8] = []
    private let most: Int
    private var line: [UInt8] = []
    private var lastLine = ""
    private var isTooLong = false
    private var isStopped = false
    private var continuation: CheckedContinuation<AnswerPrograms.Result, Never>?

    init(
        _ id: UInt64, _ started: consuming StartedProgram, _ request: [UInt8], most: Int,
        _ continuation: CheckedContinuation<AnswerPrograms.Result, Never>
    ) {
        self.id = id
        pid = started.pid
        input = .some(started.input)
        output = .some(started.output)
        errors = .some(started.errors)
        unwritten = request[...]
        self.most = most
        self.continuation = continuation
    }

    /// Whether its outputs have ended, or it was killed, so that it ends soon.
    var isEnding: Bool { (output == nil && errors == nil) || isStopped || isTooLong }
    /// Whether it is reaped, and the request has its result.
    var isOver: Bool { continuation == nil }

    /// What poll(2) watches for it.
    var entries: [PollEntry] {
        var entries: [PollEntry] = []
        if let number = AnswerProgram.number(of: input) {
            entries.append(PollEntry(number, reading: false, writing: true))
        }
        for number in [AnswerProgram.number(of: output), AnswerProgram.number(of: errors)] {
            if let number { entries.append(PollEntry(number)) }
        }
        return entries
    }

    private static func number(of descriptor: borrowing Descriptor?) -> Int32? {
        switch descriptor {
        case .some(let descriptor): descriptor.number
        case nil: nil
        }
    }

    /// Kills it, with all that it has started.
    func stop() {
        isStopped = true
        if continuation != nil { sendSignal(Signal.kill, toGroupOf: pid) }
    }

    /// Moves the bytes that can be moved. Returns the lines that it has written to standard error.
    func advance(with buffer: inout [UInt8]) -> [String] {
        write()
        var lines: [String] = []
        for _ in 0..<AnswerProgram.readsPerTurn {
            let transfer = (try? output?.readPipe(into: &buffer)) ?? .end
            guard case .bytes(let count) = transfer else {
                if transfer == .end { output = nil }
                break
            }
            guard !isTooLong else { continue }
            answer += buffer[..<count]
            if answer.count > most {
                isTooLong = true
                answer = []
                sendSignal(Signal.kill, toGroupOf: pid)
            }
        }
        for _ in 0..<AnswerProgram.readsPerTurn {
            let transfer = (try? errors?.readPipe(into: &buffer)) ?? .end
            guard case .bytes(let count) = transfer else {
                if transfer == .end {
                    errors = nil
                    endLine(&lines)
                }
                break
            }
            for byte in buffer[..<count] {
                if byte == UInt8(ascii: "\n") {
                    endLine(&lines)
                } else if line.count < AnswerProgram.longestLine {
                    line.append(byte)
                }
            }
        }
        if isEnding, let ended = reap(pid) { finish(ended) }
        return lines
    }

    private func write() {
        while !unwritten.isEmpty {
            let transfer = (try? input?.writePipe(unwritten)) ?? .end
            guard case .bytes(let count) = transfer else {
                // A program need not read all of its input.
                if transfer == .end { unwritten = [] }
                break
            }
            unwritten = unwritten.dropFirst(count)
        }
        if unwritten.isEmpty { input = nil }
    }

    private func endLine(_ lines: inout [String]) {
        guard !line.isEmpty else { return }
        lastLine = String(decoding: line, as: UTF8.self)
        lines.append(lastLine)
        line = []
    }

    private func finish(_ ended: Ended) {
        let result: AnswerPrograms.Result
        if isStopped {
            result = .failure(RequestFailure(.cancelled, "the request was taken back"))
        } else if isTooLong {
            result = .failure(RequestFailure(.messageTooLarge, "the answer is over \(most) bytes"))
        } else if ended.status == 0 {
            result = .success(answer)
        } else {
            let how =
                ended.signal.map { "the program was killed by \(signalName($0))" }
                ?? "the program ended with status \(ended.status ?? -1)"
            result = .failure(RequestFailure(.handlerFailed, lastLine.isEmpty ? how : lastLine))
        }
        continuation.take()?.resume(returning: result)
    }
}
