import Posix

/// The socket of one connection, with the bytes that the kernel has not accepted yet.
///
/// All bytes of the connection pass through its methods, so another transport is a change of this file alone.
struct LoadSocket: ~Copyable {
    private var descriptor: Descriptor?
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
        switch descriptor {
        case .some(let descriptor): descriptor.number
        case .none: nil
        }
    }

    var hasPending: Bool { head < pending.count }

    /// Stores bytes that the kernel did not accept, for `sendPending`.
    mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        pending.removeAll(keepingCapacity: true)
        head = 0
        pending.append(contentsOf: bytes)
    }

    mutating func open(_ descriptor: consuming Descriptor) {
        self.descriptor = consume descriptor
        generation &+= 1
        waitsToWrite = false
        isShut = false
        pending.removeAll(keepingCapacity: true)
        head = 0
    }

    /// Closes the socket. Its events no longer count.
    mutating func close() {
        descriptor = nil
        generation &+= 1
    }

    /// Throws the reason where the attempt to connect has failed.
    func checkConnected() throws(SystemError) { try descriptor?.checkConnected() }

    @inline(__always)
    func receive(into memory: UnsafeMutableRawBufferPointer) throws(SystemError) -> Transfer {
        try descriptor?.receive(into: memory) ?? .wouldBlock
    }

    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Transfer {
        try descriptor?.send(bytes) ?? .wouldBlock
    }

    /// Sends pending bytes.
    mutating func sendPending() throws(SystemError) -> Transfer {
        guard hasPending else { return .wouldBlock }
        let result = try descriptor?.send(pending[head...]) ?? .wouldBlock
        if case .bytes(let count) = result { head += count }
        return result
    }

    mutating func shutdownWriting() {
        descriptor?.shutdownWriting()
        isShut = true
    }

    /// Makes `close` send a reset.
    func resetWhenClosed() { descriptor?.resetWhenClosed() }

    /// The key of this socket's events.
    func key(_ index: Int) -> UInt64 { UInt64(generation) << 32 | UInt64(index) }
}
