import Glibc

/// Both ends of a pipe(2), with CLOEXEC.
public struct Pipe: ~Copyable {
    let reading: Descriptor
    let writing: Descriptor

    /// Makes both ends (pipe(2)). Throws EMFILE and ENFILE.
    public init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard calling(.pipe, { pipe(&ends) }) == 0 else { throw SystemError("pipe") }
        reading = Descriptor(owning: ends[0])
        writing = Descriptor(owning: ends[1])
        reading.closeOnExec()
        writing.closeOnExec()
    }

    /// Keeps the end that reads, and closes the other in this process.
    public consuming func onlyReading() -> Descriptor { reading }
    /// Keeps the end that writes, and closes the other in this process.
    public consuming func onlyWriting() -> Descriptor { writing }
}

extension Descriptor {
    /// Reads into `buffer` from a non-blocking end of a pipe (read(2)).
    public func readPipe(into buffer: inout [UInt8]) throws(SystemError) -> Transfer {
        let count = buffer.withUnsafeMutableBytes { bytes in
            transferring(.read, bytes.count) { Glibc.read(number, bytes.baseAddress, $0) }
        }
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        if errno == EAGAIN { return .wouldBlock }
        throw SystemError("read")
    }

    /// Writes the first of `bytes` that fit to a non-blocking end of a pipe (write(2)); `end` where it has no reader (EPIPE).
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
