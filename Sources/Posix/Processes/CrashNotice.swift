import CPosix
import Glibc

/// Installs handlers for the signals of a crash, for this process and those forked from it (sigaction(2)): they send the
/// process's `CrashNotice` and then end the process as the signal would have.
///
/// `notice` has at most 128 bytes, with a 32-bit number in them. All threads share one heap from now on, for a limit on
/// the address space would count a second one (mallopt(3)).
public func installCrashHandlers(notice: [UInt8]) {
    precondition(notice.count <= 128)
    cposix_install_crash_handlers(notice, notice.count)
    cposix_use_one_heap()
}

/// Runs `body`, all that the calling thread does, with a stack of its own for the handlers of a crash: they run even when
/// the thread's own stack is full (sigaltstack(2)).
public func withCrashStack(_ body: () -> Void) {
    cposix_add_crash_stack()
    body()
    cposix_remove_crash_stack()
}

/// The bytes that a process sends over one socket when it crashes. A process has one notice.
///
/// The handler of the signal sends them past whatever writes to the socket otherwise. So they suit a socket whose peer
/// reads plain bytes, and no other.
public struct CrashNotice {
    private let offset: Int

    /// Makes the process's notice go over `socket`, not armed yet.
    ///
    /// - Parameters:
    ///   - offset: Where the big-endian 32-bit number of the notice stands.
    ///   - socket: Borrowed until the process ends or forgets the notice.
    ///   - size: Where a crash writes the bytes of the process's address space. Borrowed as well.
    public init(numberAt offset: Int, to socket: borrowing Descriptor, sizeAt size: UnsafeMutablePointer<UInt64>) {
        self.offset = offset
        UnsafeMutableRawPointer(size).withMemoryRebound(to: CUnsignedLongLong.self, capacity: 1) {
            cposix_bind_crash_notice(socket.number, $0)
        }
    }

    /// Lets a crash of this process send and write nothing any more: socket and memory are the owners' again.
    public static func forget() { cposix_forget_crash_notice() }

    /// Lets a crash from now on send the notice with this number, or send nothing.
    public func arm(_ isArmed: Bool, number: UInt32) { cposix_arm_crash_notice(isArmed ? 1 : 0, offset, number) }
}
