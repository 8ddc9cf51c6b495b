import Glibc

/// The bytes of the file at `path` (open(2), read(2)).
public func readFile(at path: String) throws(SystemError) -> [UInt8] {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw SystemError("open") }
    let file = Descriptor(owning: number)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = buffer.withUnsafeMutableBytes { buffer in
            retryingInterrupted { read(file.number, buffer.baseAddress, buffer.count) }
        }
        guard count >= 0 else { throw SystemError("read") }
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
    }
}

/// Writes `bytes` to the file at `path`, in place of what was in it (open(2), write(2)).
public func writeFile(at path: String, _ bytes: [UInt8]) throws(SystemError) {
    let number = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard number >= 0 else { throw SystemError("open") }
    let file = Descriptor(owning: number)
    var left = bytes[...]
    while !left.isEmpty {
        let count = left.withUnsafeBytes { bytes in
            retryingInterrupted { write(file.number, bytes.baseAddress, bytes.count) }
        }
        guard count >= 0 else { throw SystemError("write") }
        left = left.dropFirst(count)
    }
}
