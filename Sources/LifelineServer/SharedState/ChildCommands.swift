import Posix

/// Commands from the parent to its children, its verdicts on clients of proxies, and the log level, in shared memory that
/// children map read-only: no child can command another.
struct ChildCommands: Sendable {
    /// What the parent wants of a child that it sends a SIGTERM.
    enum ChildCommand: Equatable, Sendable {
        /// To send its client away, which may return after `retryAfter` milliseconds, and to go on until it has gone.
        case sendAway(retryAfter: UInt32)
        /// To end its connection.
        case end
        /// To end it at once, because an operator says so.
        case kick
    }

    /// What the parent says of a client that a child has announced, with a signal of its own (`Signal.call`). It is no
    /// command: the signal of a command that comes meanwhile shall not take its place.
    enum Verdict: Equatable, Sendable {
        case admitted
        /// `retryAfter` is in milliseconds.
        case refused(Admission.Reason, retryAfter: UInt32)
    }

    /// Where one child finds its command.
    struct Inbox {
        fileprivate let memory: ReadOnlySharedMemory
        fileprivate let index: Int

        /// How many connections the server has.
        var connections: Int { Int(memory[1]) }

        /// Read when SIGTERM has come; nil where the signal is not the parent's.
        var command: ChildCommand? {
            switch memory[index] {
            case ChildCommands.sendAway: .sendAway(retryAfter: memory[index + 1])
            case ChildCommands.end: .end
            case ChildCommands.kick: .kick
            default: nil
            }
        }

        /// In the inbox of a shared process's own slot: it changes with each command to one of the process's connections.
        var commandCount: UInt32 { memory[index + 1] }

        /// Nil until the parent has judged the client that this child has announced.
        var verdict: Verdict? {
            let number = Int(memory[index + 2])
            if number == 0 { return nil }
            let reasons = Admission.Reason.allCases
            guard number > 1, number - 2 < reasons.count else { return .admitted }
            return .refused(reasons[number - 2], retryAfter: memory[index + 3])
        }
    }

    private static let sendAway: UInt32 = 1
    private static let end: UInt32 = 2
    private static let kick: UInt32 = 3

    private static let numbersEach = 4
    private static let numbersBefore = 2
    /// The level, the number of connections, then four numbers for each slot: its command, the retry_after that belongs to it, and the same of the
    /// verdict, which is 1 where the client is admitted and 2 and more for each reason of a refusal.
    private let memory: ReadOnlySharedMemory

    /// Maps memory for `slots` children (mmap(2)).
    init(slots: Int, level: LogLevel) throws(SystemError) {
        memory = try ReadOnlySharedMemory(ChildCommands.numbersBefore + ChildCommands.numbersEach * slots)
        logLevel = level
    }

    /// What is logged, by the parent and by every child.
    var logLevel: LogLevel {
        get {
            let all = LogLevel.allCases
            return all[min(Int(memory[0]), all.count - 1)]
        }
        nonmutating set { memory[0] = UInt32(LogLevel.allCases.firstIndex(of: newValue)!) }
    }

    /// How many connections the server has, for its children.
    var connections: Int {
        get { Int(memory[1]) }
        nonmutating set { memory[1] = UInt32(truncatingIfNeeded: newValue) }
    }

    /// The inbox of the child in a slot.
    subscript(slot: Int) -> Inbox {
        Inbox(memory: memory, index: ChildCommands.numbersBefore + ChildCommands.numbersEach * slot)
    }

    /// Empties the inbox of a slot that a new connection gets.
    func clear(_ slot: Int) {
        let index = self[slot].index
        if memory[index] != 0 { memory[index] = 0 }
    }

    /// A command was posted to a connection of the shared process with this slot of its own.
    func countCommand(ofProcess slot: Int) { memory[self[slot].index + 1] &+= 1 }

    /// Puts a verdict in the inbox of a slot.
    func answer(_ verdict: Verdict, to slot: Int) {
        let index = self[slot].index
        switch verdict {
        case .admitted: memory[index + 2] = 1
        case .refused(let reason, let retryAfter):
            memory[index + 3] = retryAfter
            memory[index + 2] = UInt32(2 + Admission.Reason.allCases.firstIndex(of: reason)!)
        }
    }

    /// Takes back the verdict in a slot that gets a connection of a proxy.
    func clearVerdict(_ slot: Int) { memory[self[slot].index + 2] = 0 }

    /// Puts a command in the inbox of a slot, for the next SIGTERM. A kick stays: no command takes its place.
    func post(_ command: ChildCommand, to slot: Int) {
        let index = self[slot].index
        guard memory[index] != ChildCommands.kick else { return }
        switch command {
        case .sendAway(let retryAfter):
            memory[index + 1] = retryAfter
            memory[index] = ChildCommands.sendAway
        case .end: memory[index] = ChildCommands.end
        case .kick: memory[index] = ChildCommands.kick
        }
    }
}
