import Basics
import Posix

/// One connection of a shared process: its driver, and what the loop keeps of it from one turn to the next.
///
/// It lies in memory of its own, and is changed in place: the driver has two kilobytes.
struct SharedConnection: ~Copyable {
    /// An end that begins when the requests that have come are read.
    struct LastReads {
        let command: ChildCommands.ChildCommand
        /// How many reads are left.
        var left = ConnectionProcess.lastReads
    }

    var driver: ConnectionDriver
    /// The number by which the loop finds it.
    let place: Int
    let slot: Int
    let commands: ChildCommands.Inbox
    /// What epoll(7) waits for on its behalf; nil where it waits for nothing.
    var interest: TransportInterest?
    /// When the loop looks at it at the latest; nil for never.
    var firesAt: Instant?
    /// Whether the loop has it in its queue.
    var isQueued = false
    /// The parent's command that was carried out last.
    var obeyed: ChildCommands.ChildCommand?
    var lastReads: LastReads?

    @inline(__always)
    init(_ driver: consuming ConnectionDriver, place: Int, slot: Int, commands: ChildCommands.Inbox) {
        self.driver = driver
        self.place = place
        self.slot = slot
        self.commands = commands
    }

    /// Whether its timer is over, or it has none.
    @inline(__always) func isDue(at now: Instant) -> Bool {
        guard let firesAt else { return true }
        return firesAt <= now
    }

    /// The command of the parent that was not carried out yet; nil where there is none.
    mutating func takeCommand() -> ChildCommands.ChildCommand? {
        guard let command = commands.command, command != obeyed else { return nil }
        obeyed = command
        return command
    }
}
