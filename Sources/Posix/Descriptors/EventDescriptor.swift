import CPosix
import Glibc

extension Descriptor {
    /// An eventfd(2), by which one thread wakes another that waits in poll(2). Throws EMFILE, ENFILE and ENOMEM.
    public static func event() throws(SystemError) -> Descriptor {
        let number = calling(.eventfd) { cposix_eventfd() }
        guard number >= 0 else { throw SystemError("eventfd") }
        return Descriptor(owning: number)
    }

    /// Wakes the thread that waits for this eventfd(2) in poll(2).
    public func wakeUp() {
        var one: UInt64 = 1
        _ = Glibc.write(number, &one, 8)
    }

    /// Undoes every `wakeUp` so far.
    public func clearWakeUps() {
        var count: UInt64 = 0
        _ = Glibc.read(number, &count, 8)
    }
}
