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

/// The bytes that a process sends over a socket when it crashes. A process has one notice, or a table of them
/// (`CrashNotices`).
///
/// The handler of the signal sends them past whatever writes to the socket otherwise. So they suit a socket whose peer
/// reads plain bytes, and no other.
public struct CrashNotice {
    private let offset: Int
    /// Its place in the process's table; nil for the process's own notice.
    private let entry: UnsafeMutablePointer<cposix_crash_entry>?
    private let socket: Int32

    /// Makes the process's notice go over `socket`, not armed yet.
    ///
    /// - Parameters:
    ///   - offset: Where the big-endian 32-bit number of the notice stands.
    ///   - socket: Borrowed until the process ends or forgets the notice.
    ///   - size: Where a crash writes the bytes of the process's address space. Borrowed as well.
    public init(numberAt offset: Int, to socket: borrowing Descriptor, sizeAt size: UnsafeMutablePointer<UInt64>) {
        self.offset = offset
        entry = nil
        self.socket = -1
        UnsafeMutableRawPointer(size).withMemoryRebound(to: CUnsignedLongLong.self, capacity: 1) {
            cposix_bind_crash_notice(socket.number, $0)
        }
    }

    /// Lets a crash of this process send and write nothing any more: socket and memory are the owners' again.
    public static func forget() { cposix_forget_crash_notice() }

    /// Lets a crash from now on send the notice with this number, or send nothing.
    @inline(__always) public func arm(_ isArmed: Bool, number: UInt32) {
        guard let entry else { return cposix_arm_crash_notice(isArmed ? 1 : 0, offset, number) }
        entry.pointee.number = number
        entry.pointee.socket = isArmed ? socket : -1
    }

    // MARK: In a table

    fileprivate init(
        _ entry: UnsafeMutablePointer<cposix_crash_entry>, to socket: borrowing Descriptor,
        sizeAt size: UnsafeMutablePointer<UInt64>
    ) {
        offset = 0
        self.entry = entry
        self.socket = socket.number
        entry.pointee.socket = -1
        entry.pointee.size = UnsafeMutableRawPointer(size).assumingMemoryBound(to: CUnsignedLongLong.self)
    }

    /// The connection is over: a crash sends and writes nothing of it any more.
    public func release() {
        entry?.pointee.socket = -1
        entry?.pointee.size = nil
    }

    /// From now on a crash of the calling thread is the fault of this connection, where the notice is one of a table.
    @inline(__always) public func blame() { if let entry { cposix_at_fault(entry) } }

    /// From now on a crash of the calling thread is no connection's fault.
    @inline(__always) public static func blameNone() { cposix_at_fault(nil) }

    /// Runs `body`, whose crash is the fault of the notice's connection.
    @inline(__always) public static func blaming<Result>(_ notice: CrashNotice?, _ body: () -> Result) -> Result {
        notice?.blame()
        defer { blameNone() }
        return body()
    }
}

/// The notices of a process with several connections: a crash sends all that are armed, and says whose fault it is.
public struct CrashNotices: @unchecked Sendable {
    private let entries: UnsafeMutablePointer<cposix_crash_entry>

    /// Makes a table for `count` connections, each with its number in the notice at `offset`. It costs 16 bytes for each, once
    /// it is used, and stays until the process ends (mmap(2)).
    public init(_ count: Int, numberAt offset: Int) throws(SystemError) {
        entries = try ownMemory(of: count, cposix_crash_entry.self)
        cposix_use_crash_table(entries, count, offset)
    }

    /// The notice of a connection, not armed yet.
    ///
    /// - Parameters:
    ///   - index: Its place in the table, which no other connection has.
    ///   - socket: Borrowed until the notice is released.
    ///   - size: Where a crash that is the connection's fault writes the bytes of the address space. Borrowed as well.
    public func notice(
        _ index: Int, to socket: borrowing Descriptor, sizeAt size: UnsafeMutablePointer<UInt64>
    ) -> CrashNotice {
        CrashNotice(entries + index, to: socket, sizeAt: size)
    }
}
