import Glibc
import Posix
import SystemTLS

/// The socket of one connection, with the bytes that the kernel has not accepted yet.
struct LoadSocket: ~Copyable {
    private var descriptor: Descriptor?
    /// TLS over the socket, which it owns in place of `descriptor`.
    private var tls: TLSSocket?
    /// Why TLS has failed.
    private(set) var tlsError: TLSError?
    /// Counts the sockets of this connection. It tells an event of an old socket from one of the present socket.
    private(set) var generation: UInt32 = 0
    /// Whether the event loop watches for room to write.
    var waitsToWrite = false
    /// Whether the writing side is shut down.
    private(set) var isShut = false
    private var pending: [UInt8] = []
    private var head = 0

    init() {}

    /// The descriptor's number; nil where there is no socket.
    var number: Int32? {
        if let tls { return tls.number }
        return switch descriptor {
        case .some(let descriptor): descriptor.number
        case .none: nil
        }
    }

    var hasPending: Bool { head < pending.count }
    /// Whether the loop has to watch for room to write: not while TLS waits for what the server says.
    var needsRoom: Bool {
        guard let tls else { return hasPending }
        return tls.hasUnsent || hasPending && (!isConnected || tls.isEstablished)
    }
    private var isConnected = false

    /// Stores bytes that the kernel did not accept, for `sendPending`.
    mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        pending.removeAll(keepingCapacity: true)
        head = 0
        pending.append(contentsOf: bytes)
    }

    /// Begins with a socket that connects, and with TLS over it where there is an `engine`.
    mutating func open(_ descriptor: consuming Descriptor, _ engine: TLSEngine?) {
        if let engine {
            tls = TLSSocket(descriptor, engine)
        } else {
            self.descriptor = consume descriptor
        }
        tlsError = nil
        isConnected = false
        generation &+= 1
        waitsToWrite = false
        isShut = false
        pending.removeAll(keepingCapacity: true)
        head = 0
    }

    /// Closes the socket. Its events no longer count.
    mutating func close() {
        descriptor = nil
        tls = nil
        generation &+= 1
    }

    /// Throws the reason where the attempt to connect has failed.
    mutating func checkConnected() throws(SystemError) {
        if let tls { try tls.checkConnected() } else { try descriptor?.checkConnected() }
        isConnected = true
    }

    @inline(__always)
    mutating func receive(into memory: UnsafeMutableRawBufferPointer) throws(SystemError) -> Transfer {
        if let tls { return try moving { () throws(TLSSocketError) in try tls.read(into: memory) } }
        return try descriptor?.receive(into: memory) ?? .wouldBlock
    }

    @inline(__always)
    mutating func send(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Transfer {
        if let tls { return try moving { () throws(TLSSocketError) in try tls.write(bytes) } }
        return try descriptor?.send(bytes) ?? .wouldBlock
    }

    /// Sends pending bytes.
    mutating func sendPending() throws(SystemError) -> Transfer {
        guard hasPending else { return .wouldBlock }
        let result: Transfer
        if let tls {
            let rest = pending[head...]
            result = try moving { () throws(TLSSocketError) in try tls.write(rest) }
        } else {
            result = try descriptor?.send(pending[head...]) ?? .wouldBlock
        }
        if case .bytes(let count) = result { head += count }
        return result
    }

    /// Sends the records of TLS that wait.
    mutating func flush() throws(SystemError) {
        guard let tls, isConnected else { return }
        _ = try moving { () throws(TLSSocketError) in try tls.flush() ? .needsBytes : .needsRoom }
    }

    /// The result of a call of TLS. A failure of TLS is kept in `tlsError`, and thrown as an error of the protocol.
    private mutating func moving(_ call: () throws(TLSSocketError) -> TLSTransfer) throws(SystemError) -> Transfer {
        do throws(TLSSocketError) {
            return switch try call() {
            case .bytes(let count): .bytes(count)
            case .needsBytes, .needsRoom: .wouldBlock
            case .end: .end
            }
        } catch {
            switch error {
            case .system(let error): throw error
            case .tls(let error):
                tlsError = error
                throw SystemError("SSL", EPROTO)
            }
        }
    }

    /// Ends this side's stream. With TLS it may have to be tried again, when there is room to write.
    mutating func shutdownWriting() {
        if let tls {
            isShut = tls.shutdownWriting()
        } else {
            descriptor?.shutdownWriting()
            isShut = true
        }
    }

    /// Makes `close` send a reset.
    func resetWhenClosed() {
        descriptor?.resetWhenClosed()
        tls?.resetWhenClosed()
    }

    /// The key of this socket's events.
    func key(_ index: Int) -> UInt64 { UInt64(generation) << 32 | UInt64(index) }
}
