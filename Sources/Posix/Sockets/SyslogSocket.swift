import CPosix
import Glibc

/// The socket of a daemon of syslog(3) on this machine. It takes datagrams, as syslogd and the journal do, or a stream,
/// as syslog-ng may. A send never waits.
///
/// A line of a stream ends with LF (RFC 6587, section 3.4.2). Processes that are forked share the connection, and each
/// makes one of its own when the daemon was restarted.
public final class SyslogSocket {
    private let socket: Descriptor
    private let path: String
    private var isStream: Bool
    /// The last line of the stream has no end.
    private var isTorn = false

    /// Connects to the socket at `path`. A path that begins with `@` names an abstract socket, which has no file.
    /// Throws ENOENT or ECONNREFUSED where no daemon receives there.
    public init(to path: String) throws(SystemError) {
        let made = try SyslogSocket.connected(to: path)
        isStream = made.isStream
        socket = made.takeSocket()
        self.path = path
    }

    private struct Made: ~Copyable {
        let socket: Descriptor
        let isStream: Bool
        consuming func takeSocket() -> Descriptor { socket }
    }

    private static func connected(to path: String) throws(SystemError) -> Made {
        do throws(SystemError) {
            return Made(
                socket: try connected(to: path, calling(.socket) { cposix_datagram_socket() }), isStream: false)
        } catch {
            guard error.code == EPROTOTYPE else { throw error }
        }
        let number = calling(.socket) { cposix_stream_socket(AF_UNIX) }
        return Made(socket: try connected(to: path, number), isStream: true)
    }

    private static func connected(to path: String, _ number: Int32) throws(SystemError) -> Descriptor {
        guard number >= 0 else { throw SystemError("socket") }
        let socket = Descriptor(owning: number)
        try socket.connectToSocket(at: path)
        return socket
    }

    /// Sends one line. Returns false where it is lost, because the daemon is full or gone. Connects again to a daemon that
    /// was restarted.
    public func send(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        if trySend(line) { return true }
        guard isReceiverGone(), let made = try? SyslogSocket.connected(to: path) else { return false }
        isStream = made.isStream
        isTorn = false
        let new = made.takeSocket()
        guard (try? new.takePlace(of: socket.number)) != nil else { return false }
        return trySend(line)
    }

    private func trySend(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        guard isStream else { return sendOnce(line, to: socket.number) == line.count }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: line.count + 2) { buffer in
            let start = isTorn ? 1 : 0
            buffer[0] = UInt8(ascii: "\n")
            let end = buffer[start...].initialize(fromContentsOf: line)
            buffer.initializeElement(at: end, to: UInt8(ascii: "\n"))
            let count = sendOnce(UnsafeBufferPointer(rebasing: buffer[...end]), to: socket.number)
            if count > 0 { isTorn = count <= end }
            return count == end + 1
        }
    }
}
