import Glibc

/// The contents of the file at `path`, or its first `most` + 1 bytes where it is longer (open(2), read(2)).
public func contents(ofFile path: String, most: Int) throws(SystemError) -> [UInt8] {
    let number = retryingInterrupted { open(path, O_RDONLY | O_CLOEXEC) }
    guard number >= 0 else { throw SystemError("open") }
    let file = Descriptor(owning: number)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while bytes.count <= most {
        let count = buffer.withUnsafeMutableBytes { buffer in
            retryingInterrupted { read(file.number, buffer.baseAddress, min(buffer.count, most + 1 - bytes.count)) }
        }
        guard count >= 0 else { throw SystemError("read") }
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return bytes
}

/// `path` from the root on, where `directory` is what it was relative to (path_resolution(7)).
public func absolute(_ path: String, in directory: String) -> String {
    path.hasPrefix("/") ? path : directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
}

/// Writes `bytes` to the file at `path`, in place of what was in it (open(2), write(2)).
public func writeFile(at path: String, _ bytes: [UInt8]) throws(SystemError) {
    let number = retryingInterrupted { open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666) }
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
