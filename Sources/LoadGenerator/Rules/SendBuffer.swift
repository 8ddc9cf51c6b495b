/// The bytes of one send(2). One buffer serves all connections in turn.
struct SendBuffer: ~Copyable {
    /// No frame is added from this length on, so that no PONG waits behind more than 5.4-3 allows.
    static let enough = 16384
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: 65536, alignment: 16)
    private(set) var count = 0

    deinit { memory.deallocate() }

    var isFull: Bool { count >= SendBuffer.enough }
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    mutating func clear() { count = 0 }

    /// A header; `type` is type and flags.
    @inline(__always)
    mutating func add(header type: UInt16, id: UInt32 = 0, length: Int) {
        memory.storeBytes(
            of: (UInt64(length) << 32 | UInt64(type) << 16).bigEndian, toByteOffset: count, as: UInt64.self)
        memory.storeBytes(of: id.bigEndian, toByteOffset: count + 8, as: UInt32.self)
        count += 12
    }

    @inline(__always)
    mutating func add(_ value: UInt64) {
        memory.storeBytes(of: value.bigEndian, toByteOffset: count, as: UInt64.self)
        count += 8
    }

    @inline(__always)
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        (memory + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func add(_ bytes: some Collection<UInt8>) {
        for byte in bytes {
            memory.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
            count += 1
        }
    }
}
