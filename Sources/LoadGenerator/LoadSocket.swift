import Posix

/// The socket of one connection, and the bytes that the kernel has not taken yet.
struct LoadSocket: ~Copyable {
    var socket: Descriptor?
    /// Counts the sockets: an event of an old one is not taken for one of the new.
    var generation: UInt32 = 0
    var waitsToWrite = false
    var isShut = false
    private var pending: [UInt8] = []
    private var head = 0

    init() {}

    var hasPending: Bool { head < pending.count }

    mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        pending.removeAll(keepingCapacity: true)
        head = 0
        pending.append(contentsOf: bytes)
    }

    mutating func open(_ socket: consuming Descriptor) {
        self.socket = consume socket
        generation &+= 1
        waitsToWrite = false
        isShut = false
        pending.removeAll(keepingCapacity: true)
        head = 0
    }

    /// Writes what waits; nil where nothing could be.
    mutating func sendPending() throws(SystemError) -> Transfer {
        guard hasPending else { return .wouldBlock }
        let result = try socket?.send(pending[head...]) ?? .wouldBlock
        if case .bytes(let count) = result { head += count }
        return result
    }

    /// What comes back with an event of this socket.
    func key(_ index: Int) -> UInt64 { UInt64(generation) << 32 | UInt64(index) }
}
