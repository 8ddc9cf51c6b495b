import Glibc

/// Both ends of a pipe(2), CLOEXEC.
public struct Pipe: ~Copyable {
    let reading: Descriptor
    let writing: Descriptor

    /// pipe(2).
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard calling(.pipe, { pipe(&ends) }) == 0 else { throw SystemError("pipe") }
        reading = Descriptor(owning: ends[0])
        writing = Descriptor(owning: ends[1])
        reading.closeOnExec()
        writing.closeOnExec()
    }

    /// One end; the other is closed in this process.
    public consuming func onlyReading() -> Descriptor { reading }
    /// One end; the other is closed in this process.
    public consuming func onlyWriting() -> Descriptor { writing }
}

extension Descriptor {
    /// read(2) into `buffer` of a pipe's end that does not block.
    public func readPipe(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        let count = buffer.withUnsafeMutableBytes { bytes in
            transferring(.read, bytes.count) { Glibc.read(number, bytes.baseAddress, $0) }
        }
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("read")
    }

    /// write(2) of `bytes` to a pipe's end that does not block; `end` where nobody reads it any more (EPIPE).
    public func writePipe(_ bytes: ArraySlice<UInt8>) throws(SystemError) -> Transfer {
        let count = bytes.withUnsafeBytes { bytes in
            transferring(.write, bytes.count) { Glibc.write(number, bytes.baseAddress, $0) }
        }
        if count >= 0 { return .bytes(count) }
        if errno == EAGAIN { return .wouldBlock }
        if errno == EPIPE { return .end }
        throw SystemError("write")
    }
}
