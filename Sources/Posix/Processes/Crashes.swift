import CPosix
import Glibc

/// From now on a crash of this process, and of those forked from it, first says the process's `CrashNotice`
/// (sigaction(2)): `words`, at most 128 bytes, with a 32-bit number in them. One heap is used for all threads, which a
/// limit on the address space counts.
public func watchCrashes(saying words: [UInt8]) {
    precondition(words.count <= 128)
    cposix_watch_crashes(words, words.count)
    cposix_use_one_heap()
}

/// Runs `body`, all that the calling thread does: meanwhile the thread can say the process's last words even when its
/// stack is full (sigaltstack(2)).
public func preparedForCrash(_ body: () -> Void) {
    cposix_watch_crashes_of_thread()
    body()
    cposix_forget_crashes_of_thread()
}

/// What the kernel sends for a process that crashes: the words of `watchCrashes`.
public struct CrashNotice {
    private let offset: Int

    /// With their number at `offset`, for the peer of `socket`, which is borrowed for the life of the process.
    public init(numberAt offset: Int, to socket: borrowing Descriptor, slot: Scoreboard.Slot) {
        self.offset = offset
        cposix_prepare_last_words(socket.number, slot.pointer)
    }

    /// A crash of this process says nothing any more; the socket and the slot are not needed for it.
    public static func forget() { cposix_forget_last_words() }

    /// Whether they may be said now, and the number.
    public func set(mayBeSaid: Bool, number: UInt32) { cposix_set_last_words(mayBeSaid ? 1 : 0, offset, number) }
}
