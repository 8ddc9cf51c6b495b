import Glibc

/// The contents of the file at `path`, or its first `most` + 1 bytes where it is longer (open(2), read(2)).
public func contents(ofFile path: String, most: Int) throws(SystemError) -> [UInt8] {
    let number = retryingInterrupted(.open) { open(path, O_RDONLY | O_CLOEXEC) }
    guard number >= 0 else { throw SystemError("open") }
    let file = Descriptor(owning: number)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while bytes.count <= most {
        let count = buffer.withUnsafeMutableBytes { buffer in
            transferring(.read, min(buffer.count, most + 1 - bytes.count)) { read(file.number, buffer.baseAddress, $0) }
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
    let number = retryingInterrupted(.open) { open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666) }
    guard number >= 0 else { throw SystemError("open") }
    let file = Descriptor(owning: number)
    try file.write(bytes)
}

/// What tells one state of a file from another (stat(2)).
public struct FileState: Equatable, Sendable {
    private let device: UInt64, number: UInt64, size: Int64
    private let changed: Duration
    private let mode: UInt32
    private let group: UInt32
    /// Neither a directory nor a pipe: reading it never waits.
    public var isRegular: Bool { mode & S_IFMT == S_IFREG }

    /// Whether everybody may read it, or its group, where that is not `group`.
    public func isOpenToOthers(but group: UInt32?) -> Bool {
        mode & S_IROTH != 0 || mode & S_IRGRP != 0 && self.group != group
    }

    /// The state of the file at `path`, or of what a link there leads to.
    public init(ofFile path: String) throws(SystemError) {
        var status = Glibc.stat()
        guard calling(.stat, { stat(path, &status) }) == 0 else { throw SystemError("stat") }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
        size = Int64(status.st_size)
        mode = status.st_mode
        group = status.st_gid
        // Its contents cannot be changed without this time, while its other times can be set.
        changed = .seconds(status.st_ctim.tv_sec) + .nanoseconds(status.st_ctim.tv_nsec)
    }
}

/// The process that has locked the file at `path` for writing, 0 where the system does not tell which; nil where none
/// has, or there is no file (F_GETLK in fcntl(2)).
public func lockHolder(ofFile path: String) throws(SystemError) -> ProcessID? {
    let number = retryingInterrupted(.open) { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard number >= 0 else {
        if errno == ENOENT { return nil }
        throw SystemError("open")
    }
    let file = Descriptor(owning: number)
    var lock = flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    guard calling(.fcntl, { fcntl(file.number, F_GETLK, &lock) }) == 0 else { throw SystemError("fcntl") }
    return lock.l_type == Int16(F_UNLCK) ? nil : max(0, lock.l_pid)
}
