import Posix
import Synchronization

/// The one thread of input and output of this process: it is started with the first connection, serves all of them,
/// and never runs the program's code, so that hearts beat whatever the program is doing.
final class IOThread: Sendable {
    private static let running = Mutex<IOThread?>(nil)
    private static let lastID = Atomic<UInt64>(0)

    private let commands = Mutex<[SessionCommand]>([])
    /// Wakes the loop up when commands are there.
    let wakeUps: Descriptor
    /// Made before the thread, so that a failure has somebody to be told to; the loop takes it over.
    private let events: Mutex<EventPoll?>

    private init() throws(SystemError) {
        wakeUps = try .event()
        let events = try EventPoll()
        try events.add(wakeUps.number, key: EventLoop.wakeUpKey, reading: true, writing: false)
        self.events = Mutex(consume events)
    }

    /// The thread, started if need be. Where the system has no thread or descriptor left, a later call may succeed.
    static func shared() throws(ConnectionError) -> IOThread {
        do throws(SystemError) {
            return try running.withLock { running throws(SystemError) in
                if let running { return running }
                let thread = try IOThread()
                try startThread(named: "lifeline-io") {
                    guard let events = thread.events.withLock({ $0.take() }) else { return }
                    EventLoop(thread, events).run()
                }
                running = thread
                return thread
            }
        } catch {
            throw ConnectionError(.unreachable, "\(error)")
        }
    }

    /// A number that no other link or call of this process has.
    static func newID() -> UInt64 { lastID.add(1, ordering: .relaxed).newValue }

    /// Hands commands to the loop, which carries all commands out in the order of their coming, and those of one call
    /// in one go.
    func submit(_ new: SessionCommand...) {
        let wasEmpty = commands.withLock { commands in
            defer { commands += new }
            return commands.isEmpty
        }
        if wasEmpty { wakeUps.wakeUp() }
    }

    /// All commands that wait; `spare` is an empty array to collect the next ones in.
    func takeCommands(into spare: inout [SessionCommand]) {
        commands.withLock { swap(&$0, &spare) }
    }
}
