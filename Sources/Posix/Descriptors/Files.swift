import Glibc

/// Reads the file at `path`: all of it, or `most` + 1 bytes where it is longer (open(2), read(2)).
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

/// The names in the folder at `path`, without `.` and `..`; none where it cannot be read (readdir(3)).
public func fileNames(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}

/// Where the symbolic link at `path` leads; nil where it is none (readlink(2)).
public func linkTarget(of path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes {
        readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
}

/// The absolute path of `path`, which is relative to `directory` unless it begins with a slash (path_resolution(7)).
public func absolute(_ path: String, in directory: String) -> String {
    path.hasPrefix("/") ? path : directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
}

/// Replaces the contents of the file at `path` by `bytes` (open(2), write(2)). The file is made where there is none.
public func writeFile(at path: String, _ bytes: [UInt8]) throws(SystemError) {
    let number = retryingInterrupted(.open) { open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666) }
    guard number >= 0 else { throw SystemError("open") }
    let file = Descriptor(owning: number)
    try file.write(bytes)
}

/// Opens the file at `path` for writing and closes it, so that trouble shows before there is something to write (open(2)).
/// What is in the file stays; where there is none an empty one is made. A FIFO that nobody reads yet is no trouble.
public func ensureWritable(_ path: String) throws(SystemError) {
    let number = retryingInterrupted(.open) { open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0o666) }
    if number >= 0 {
        _ = Descriptor(owning: number)
    } else if errno != ENXIO {
        throw SystemError("open")
    }
}

/// The state of a file, by which a later look tells whether it has changed (stat(2)).
public struct FileState: Equatable, Sendable {
    private let device: UInt64, number: UInt64, size: Int64
    private let changed: Duration
    private let mode: UInt32
    private let group: UInt32
    /// Whether it is a regular file, so that reading it never waits.
    public var isRegular: Bool { mode & S_IFMT == S_IFREG }

    /// Whether all users may read it, or its group may, unless that is `group`.
    public func isOpenToOthers(but group: UInt32?) -> Bool {
        mode & S_IROTH != 0 || mode & S_IRGRP != 0 && self.group != group
    }

    /// The state of the file at `path`; of a symbolic link, the state of its target.
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

/// The process that holds a write lock on the file at `path` (F_GETLK in fcntl(2)).
///
/// Returns 0 where the kernel does not tell which process holds it, and nil where none does or there is no file.
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
