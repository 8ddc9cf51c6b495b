import Posix

/// A program that was started, and this process's ends of its standard streams.
final class RunningProgram {
    let pid: ProcessID
    /// Nil once the program's input has ended.
    private var input: Descriptor?
    private let output: Descriptor
    private let stderr: Descriptor
    /// Whether the program is reaped. From then on its number may be another process's.
    private(set) var isReaped = false
    private var watch: InputWatch

    init(_ started: consuming StartedProgram) {
        pid = started.pid
        input = .some(started.input)
        output = started.output
        stderr = started.errors
        watch = InputWatch(started.pid)
    }

    /// The program's streams among what an event loop waits for.
    struct Interests {
        fileprivate(set) var output: PollSet.Token?
        fileprivate(set) var stderr: PollSet.Token?
    }

    /// Adds the streams that are wanted to `set`. A stream that is not must stay out: poll(2) tells of its end all the
    /// same.
    func addInterests(to set: inout PollSet, output wantsOutput: Bool, stderr wantsStderr: Bool, input wantsInput: Bool)
        -> Interests
    {
        var interests = Interests()
        if wantsOutput { interests.output = set.add(output.number) }
        if wantsStderr { interests.stderr = set.add(stderr.number) }
        if wantsInput, let number = inputNumber { _ = set.add(number, reading: false, writing: true) }
        return interests
    }

    private var inputNumber: Int32? {
        switch input {
        case .some(let input): input.number
        case nil: nil
        }
    }

    var hasInput: Bool { input != nil }
    func endInput() { input = nil }

    /// How many bytes of its input the program has not read; nil once the input has ended, when that cannot be seen.
    var unreadInput: Int? {
        switch input {
        case .some(let input): input.unreadBytes
        case nil: nil
        }
    }

    /// Whether a process of the program still has the other end of its input.
    var readsInput: Bool {
        switch input {
        case .some(let input): input.hasReader
        case nil: false
        }
    }

    /// Looks whether the program waits for its input (`InputWatch`).
    func lookAtInput(thorough: Bool = true) -> ProgramHandOver.Sight {
        switch input {
        case .some(let input):
            switch watch.look(at: input, thorough: thorough) {
            case .waits: .waits
            case .busy: .busy
            case .unknown: .unknown
            }
        case nil: .busy
        }
    }

    func write(_ bytes: ArraySlice<UInt8>) -> Transfer { (try? input?.writePipe(bytes)) ?? .end }

    /// Reads what the program has written; an error of a pipe is its end.
    func readOutput(into buffer: inout [UInt8]) -> Transfer { (try? output.readPipe(into: &buffer)) ?? .end }
    func readStderr(into buffer: inout [UInt8]) -> Transfer { (try? stderr.readPipe(into: &buffer)) ?? .end }

    /// Sends a signal to the program and its group, as long as the number is its own.
    func send(_ signal: Int32) {
        if !isReaped { sendSignal(signal, toGroupOf: pid) }
    }

    /// Reaps the program, which has ended. Its group is killed first, while the number is still its own.
    func reap() -> Ended? {
        send(Signal.kill)
        isReaped = true
        return Posix.reap(pid)
    }
}
