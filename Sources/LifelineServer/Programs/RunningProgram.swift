import Posix

/// A program that was started, and our ends of its standard streams.
final class RunningProgram {
    let pid: ProcessID
    /// Nil once it has ended.
    private var input: Descriptor?
    private let output: Descriptor
    private let errors: Descriptor
    /// Whether it is reaped: from then on its number may be another's.
    private(set) var isReaped = false

    init(_ started: consuming StartedProgram) {
        pid = started.pid
        input = .some(started.input)
        output = started.output
        errors = started.errors
    }

    /// The program's streams among what an event loop waits for.
    struct Interests {
        fileprivate(set) var output: PollSet.Token?
        fileprivate(set) var errors: PollSet.Token?
    }

    /// Adds the streams that are wanted to `set`. A stream that is not must stay out: poll(2) tells of its end all the
    /// same.
    func addInterests(to set: inout PollSet, output wantsOutput: Bool, errors wantsErrors: Bool, input wantsInput: Bool)
        -> Interests
    {
        var interests = Interests()
        if wantsOutput { interests.output = set.add(output.number) }
        if wantsErrors { interests.errors = set.add(errors.number) }
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

    func write(_ bytes: ArraySlice<UInt8>) -> Transfer { (try? input?.writePipe(bytes)) ?? .end }

    /// An error of a pipe is its end.
    func readOutput(into buffer: inout [UInt8]) -> Transfer { (try? output.readPipe(into: &buffer)) ?? .end }
    func readErrors(into buffer: inout [UInt8]) -> Transfer { (try? errors.readPipe(into: &buffer)) ?? .end }

    /// To it and its group, as long as the number is its own.
    func send(_ signal: Int32) {
        if !isReaped { sendSignal(signal, toGroupOf: pid) }
    }

    /// It has ended: its group is killed while its number still is its own, then it is reaped.
    func reap() -> Ended? {
        send(Signal.kill)
        isReaped = true
        return Posix.reap(pid)
    }
}
