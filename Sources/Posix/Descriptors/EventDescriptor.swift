import CPosix
import Glibc

extension Descriptor {
    /// An eventfd(2), to wake a thread up that waits in poll(2).
    public static func event() throws(SystemError) -> Descriptor {
        let number = calling(.eventfd) { cposix_eventfd() }
        guard number >= 0 else { throw SystemError("eventfd") }
        return Descriptor(owning: number)
    }

    /// The peer of an eventfd(2) waits in poll(2): this wakes it up.
    public func wakeUp() {
        var one: UInt64 = 1
        _ = Glibc.write(number, &one, 8)
    }

    /// Clears what `wakeUp` set.
    public func clearWakeUps() {
        var count: UInt64 = 0
        _ = Glibc.read(number, &count, 8)
    }
}
