import Framing
import Posix

/// What of a transport an event loop waits for. Without either it still waits for the connection to break.
struct TransportInterest: Equatable {
    let reading: Bool
    let writing: Bool
}

/// The bytes of one connection with a client, as the connection's process reads and writes them.
///
/// All that this process reads and writes passes through here, so an encrypted connection is one more case. Two writers
/// go past it, each with one whole frame of plain bytes. The parent refuses a connection that it gives to no process
/// (`RefusedConnections`, `ConnectionAcceptor`). A crash sends the process's notice from a signal handler (`CrashNotice`). An encrypted
/// connection can have neither: its peer would take the bytes for a forged record. So a case without plain bytes has no
/// crash notice.
enum ServerTransport: ~Copyable {
    /// The bytes go over the socket as they are.
    case plain(Descriptor)

    /// Reads what has come into `buffer`, without blocking (recv(2)).
    func read(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        switch self {
        case .plain(let socket): try socket.receive(into: &buffer)
        }
    }

    /// Writes as much of `bytes` as is taken now, without blocking (send(2)). With `endFollows` the bytes may wait for
    /// `endWriting`, and leave together with the end of the stream.
    func write(_ bytes: ArraySlice<UInt8>, endFollows: Bool) throws(SystemError) -> Transfer {
        switch self {
        case .plain(let socket): try socket.send(bytes, endFollows: endFollows)
        }
    }

    /// How many bytes are written and not acknowledged by the client's kernel.
    var unacknowledged: Int {
        switch self {
        case .plain(let socket): socket.unacknowledged
        }
    }

    /// Ends the stream behind what was written; reading goes on (shutdown(2)).
    func endWriting() {
        switch self {
        case .plain(let socket): socket.shutdownWriting()
        }
    }

    /// Ends both directions: the client learns that nothing more is read or written (shutdown(2)).
    func shutDown() {
        switch self {
        case .plain(let socket): socket.shutdown()
        }
    }

    /// Adds to `set` what lets the next `read` or `write` move bytes. Without either, the set still tells that the
    /// connection has broken.
    func addInterest(to set: inout PollSet, reading: Bool, writing: Bool) -> PollSet.Token {
        switch self {
        case .plain(let socket): set.add(socket.number, reading: reading, writing: writing)
        }
    }

    /// The descriptor by which epoll(7) tells that bytes can be moved, or that the connection has broken. Borrowed.
    var eventNumber: Int32 {
        switch self {
        case .plain(let socket): socket.number
        }
    }

    /// Makes a crash of this process tell the client, once the notice is armed; nil where plain bytes would not reach it.
    func crashNotice(sizeAt size: UnsafeMutablePointer<UInt64>) -> CrashNotice? {
        switch self {
        case .plain(let socket): CrashNotice(numberAt: Close.lastIDOffset, to: socket, sizeAt: size)
        }
    }
}
