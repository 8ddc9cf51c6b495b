import Posix

/// A socket that the event loop watches, with its transport.
final class Socket {
    /// The key of its events, unique among all sockets of the process.
    let key: UInt64
    private var transport: ClientTransport
    private var interest = SocketInterest()
    /// Whether the loop watches for room to write, as well as for bytes to read.
    var watchesWriting: Bool

    init(_ transport: consuming ClientTransport, key: UInt64, watchesWriting: Bool) {
        self.transport = transport
        self.key = key
        self.watchesWriting = watchesWriting
    }

    /// The descriptor's number, borrowed.
    var number: Int32 { transport.number }

    /// Throws the reason where the attempt to connect to `address` has failed.
    func checkConnected(to address: SocketAddress) throws(TransportError) {
        try transport.checkConnected(to: address)
    }

    func read(into buffer: inout [UInt8]) throws(TransportError) -> TransportResult {
        let result = try transport.read(into: &buffer)
        interest.noteRead(result)
        return result
    }

    func write(_ bytes: ArraySlice<UInt8>) throws(TransportError) -> TransportResult {
        let result = try transport.write(bytes)
        interest.noteWrite(result)
        return result
    }

    /// Whether a second read may find bytes after one that read `count` of at most `capacity`.
    func mayHoldMore(afterReading count: Int, of capacity: Int) -> Bool {
        transport.mayHoldMore(afterReading: count, of: capacity)
    }

    /// How many bytes are written and not acknowledged by the server's kernel.
    var unacknowledged: Int { transport.unacknowledged }

    /// Hands the kernel what was written and is still here.
    func flush() throws(TransportError) { try transport.flush() }

    /// Ends this side's stream. Returns false where that has to be tried again when there is room to write.
    func shutdownWriting() -> Bool { transport.shutdownWriting() }

    /// Whether `event` lets a read go on.
    func canRead(after event: ReadyEvent) -> Bool {
        interest.canRead(isReadable: event.isReadable, isWritable: event.isWritable)
    }

    /// Whether the loop has to watch for room to write. `hasUnsent` says whether bytes wait to be written.
    func needsWriting(hasUnsent: Bool) -> Bool {
        transport.hasUnsent || interest.needsWriting(hasUnsent: hasUnsent)
    }
}
