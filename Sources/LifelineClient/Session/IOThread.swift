import Posix
import Synchronization

/// The one I/O thread of the process, which runs the event loop of all connections.
///
/// It starts with the first connection. It never runs the program's code, so heartbeats go on whatever the program does.
final class IOThread: Sendable {
    private static let running = Mutex<IOThread?>(nil)
    private static let lastID = Atomic<UInt64>(0)

    private let commands = Mutex<[SessionCommand]>([])
    /// An eventfd(2) that wakes the loop up for commands.
    let wakeUps: Descriptor
    /// The loop takes it over. It is created before the thread, so that a failure can be thrown.
    private let events: Mutex<EventPoll?>

    private init() throws(SystemError) {
        wakeUps = try .event()
        let events = try EventPoll()
        try events.add(wakeUps.number, key: EventLoop.wakeUpKey, reading: true, writing: false)
        self.events = Mutex(consume events)
    }

    /// The thread, which the first call starts. Throws where the system has no thread or descriptor left; a later call may
    /// succeed.
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

    /// A number that no other session or call of this process has.
    static func newID() -> UInt64 { lastID.add(1, ordering: .relaxed).newValue }

    /// Queues commands for the loop, which runs them in the order of submission. Those of one call of this function run in
    /// the same turn.
    func submit(_ new: SessionCommand...) { submit(all: new) }

    /// The same for commands whose number is not known here.
    func submit(all new: [SessionCommand]) {
        let wasEmpty = commands.withLock { commands in
            defer { commands += new }
            return commands.isEmpty
        }
        if wasEmpty { wakeUps.wakeUp() }
    }

    /// Exchanges the queued commands for `spare`, an empty array.
    func takeCommands(into spare: inout [SessionCommand]) {
        commands.withLock { swap(&$0, &spare) }
    }
}
