import Glibc
import Posix
import SystemTLS

/// The bytes of one connection on the client's side: connect, read, write, shut down.
///
/// The rest of the library keeps to the methods below, whatever the case is. An enumeration costs no allocation and no
/// dynamic dispatch on each read.
enum ClientTransport: ~Copyable {
    /// A TCP or Unix stream socket.
    case plain(Descriptor)
    /// A stream socket with TLS, whose handshake goes with the first writes and reads.
    case tls(TLSSocket)

    /// The descriptor's number, borrowed, for epoll(7).
    var number: Int32 {
        switch self {
        case .plain(let socket): socket.number
        case .tls(let socket): socket.number
        }
    }

    /// Throws the reason where the attempt to connect to `address` has failed (SO_ERROR in socket(7)).
    func checkConnected(to address: SocketAddress) throws(TransportError) {
        do throws(SystemError) {
            let own: SocketAddress
            switch self {
            case .plain(let socket):
                try socket.checkConnected()
                own = socket.localAddress
            case .tls(let socket):
                try socket.checkConnected()
                own = socket.localAddress
            }
            // On loopback, connect(2) may choose the port that it dials as its own, and the socket meets itself.
            if !address.isUnix, own.description == address.description { throw SystemError("connect", ECONNREFUSED) }
        } catch {
            throw .system(error)
        }
    }

    /// Reads into `buffer` from its start (recv(2)).
    mutating func read(into buffer: inout [UInt8]) throws(TransportError) -> TransportResult {
        switch self {
        case .plain(let socket):
            try TransportResult(waitingFor: .read) { () throws(SystemError) in try socket.receive(into: &buffer) }
        case .tls(let socket):
            try TransportResult { () throws(TLSSocketError) in
                try socket.read(into: &buffer)
            }
        }
    }

    /// Writes as many of `bytes` as the kernel accepts (send(2)).
    mutating func write(_ bytes: ArraySlice<UInt8>) throws(TransportError) -> TransportResult {
        switch self {
        case .plain(let socket):
            try TransportResult(waitingFor: .write) { () throws(SystemError) in try socket.send(bytes) }
        case .tls(let socket):
            try TransportResult { () throws(TLSSocketError) in
                try socket.write(bytes)
            }
        }
    }

    /// Hands the kernel what was written and is still here. A plain socket keeps nothing.
    mutating func flush() throws(TransportError) {
        switch self {
        case .plain: return
        case .tls(let socket):
            do throws(TLSSocketError) { try socket.flush() } catch { throw TransportError(error) }
        }
    }

    /// Whether something that was written waits for room in the kernel.
    var hasUnsent: Bool {
        switch self {
        case .plain: false
        case .tls(let socket): socket.hasUnsent
        }
    }

    /// How many bytes are written and not acknowledged by the server's kernel.
    var unacknowledged: Int {
        switch self {
        case .plain(let socket): socket.unacknowledged
        case .tls(let socket): socket.unacknowledged
        }
    }

    /// Whether a second read may find bytes after one that read `count` of at most `capacity`.
    func mayHoldMore(afterReading count: Int, of capacity: Int) -> Bool {
        switch self {
        case .plain: count == capacity
        // The end, or a failure, may lie behind what was read.
        case .tls: true
        }
    }

    /// Ends this side's stream (SHUT_WR in shutdown(2)). Returns false where the end has to wait for room to write.
    mutating func shutdownWriting() -> Bool {
        switch self {
        case .plain(let socket):
            socket.shutdownWriting()
            return true
        case .tls(let socket): return socket.shutdownWriting()
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

    /// The result of a call on a socket with TLS.
    fileprivate init(_ call: () throws(TLSSocketError) -> TLSTransfer) throws(TransportError) {
        do throws(TLSSocketError) {
            self =
                switch try call() {
                case .bytes(let count): .bytes(count)
                case .needsBytes: .wouldBlock(.read)
                case .needsRoom: .wouldBlock(.write)
                case .end: .end
                }
        } catch {
            throw TransportError(error)
        }
    }
}

/// Why a transport can move no more bytes.
enum TransportError: Error, CustomStringConvertible {
    case system(SystemError)
    case tls(TLSError)

    init(_ failure: TLSSocketError) {
        self =
            switch failure {
            case .system(let error): .system(error)
            case .tls(let error): .tls(error)
            }
    }

    /// The failed call and its error: `recv: Connection reset by peer`.
    var description: String {
        switch self {
        case .system(let error): "\(error)"
        case .tls(let error): error.text
        }
    }

    /// The error alone: `Connection refused`.
    var text: String {
        switch self {
        case .system(let error): error.text
        case .tls(let error): error.text
        }
    }
}
