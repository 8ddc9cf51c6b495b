import Glibc
import Posix

/// The bytes of one connection on the client's side: connect, read, write, shut down.
///
/// A plain socket is the only case today. Another transport, such as TLS, is another case here; the rest of the library
/// keeps to the methods below. An enumeration costs no allocation and no dynamic dispatch on each read.
enum ClientTransport: ~Copyable {
    /// A TCP or Unix stream socket.
    case plain(Descriptor)

    /// The descriptor's number, borrowed, for epoll(7).
    var number: Int32 {
        switch self {
        case .plain(let socket): socket.number
        }
    }

    /// Throws the reason where the attempt to connect to `address` has failed (SO_ERROR in socket(7)).
    func checkConnected(to address: SocketAddress) throws(TransportError) {
        switch self {
        case .plain(let socket):
            do throws(SystemError) {
                try socket.checkConnected()
            } catch {
                throw .system(error)
            }
            // On loopback, connect(2) may choose the port that it dials as its own, and the socket meets itself.
            if !address.isUnix, socket.localAddress.description == address.description {
                throw .system(SystemError("connect", ECONNREFUSED))
            }
        }
    }

    /// Reads into `buffer` from its start (recv(2)).
    mutating func read(into buffer: inout [UInt8]) throws(TransportError) -> TransportResult {
        switch self {
        case .plain(let socket):
            try TransportResult(waitingFor: .read) { () throws(SystemError) in try socket.receive(into: &buffer) }
        }
    }

    /// Writes as many of `bytes` as the kernel accepts (send(2)).
    mutating func write(_ bytes: ArraySlice<UInt8>) throws(TransportError) -> TransportResult {
        switch self {
        case .plain(let socket):
            try TransportResult(waitingFor: .write) { () throws(SystemError) in try socket.send(bytes) }
        }
    }

    /// How many bytes are written and not acknowledged by the server's kernel.
    var unacknowledged: Int {
        switch self {
        case .plain(let socket): socket.unacknowledged
        }
    }

    /// Whether a second read may find bytes after one that read `count` of at most `capacity`.
    func mayHoldMore(afterReading count: Int, of capacity: Int) -> Bool {
        switch self {
        case .plain: count == capacity
        }
    }

    /// Ends this side's stream (SHUT_WR in shutdown(2)).
    mutating func shutdownWriting() {
        switch self {
        case .plain(let socket): socket.shutdownWriting()
        }
    }
}

/// The result of a read or write of a transport. Neither ever blocks.
enum TransportResult: Equatable, Sendable {
    /// This many bytes were moved, at least one.
    case bytes(Int)
    /// Nothing can be moved until the socket is ready like this. A write of TLS may have to wait for bytes to read.
    case wouldBlock(SocketReadiness)
    /// The server's end of stream. A write never returns it.
    case end
}

/// What an event loop waits for on a socket.
enum SocketReadiness: Sendable {
    case read, write
}

extension TransportResult {
    /// The result of a call on a plain socket, which waits for nothing but `readiness`.
    fileprivate init(
        waitingFor readiness: SocketReadiness, _ call: () throws(SystemError) -> Transfer
    ) throws(TransportError) {
        do throws(SystemError) {
            self =
                switch try call() {
                case .bytes(let count): .bytes(count)
                case .wouldBlock: .wouldBlock(readiness)
                case .end: .end
                }
        } catch {
            throw .system(error)
        }
    }
}

/// Why a transport can move no more bytes.
enum TransportError: Error, CustomStringConvertible {
    case system(SystemError)

    /// The failed call and its error: `recv: Connection reset by peer`.
    var description: String {
        switch self {
        case .system(let error): "\(error)"
        }
    }

    /// The error alone: `Connection refused`.
    var text: String {
        switch self {
        case .system(let error): error.text
        }
    }
}
