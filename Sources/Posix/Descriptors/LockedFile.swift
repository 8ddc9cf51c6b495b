import Glibc

/// A file of a few bytes that this process alone has locked, for as long as it lives (fcntl(2), F_SETLK).
///
/// A record lock belongs to the process: it ends with it, however that dies, and no child inherits it. Neither is so
/// with flock(2). It ends, too, when the process closes any descriptor of the same file, so nobody else here may open it.
public struct LockedFile: ~Copyable {
    /// Where a lock could not be had.
    public enum Failure: Error, Sendable {
        /// Another process has it; its number, as far as the system tells.
        case held(by: ProcessID?)
        /// It is a device, a pipe or a directory.
        case noFile
        case system(SystemError)
    }

    /// A file system on which a file has another number each time is no place for it.
    private static let tries = 100

    private let descriptor: Descriptor
    private let path: String
    /// Of its descriptor; borrowed.
    public var descriptorNumber: Int32 { descriptor.number }
    private let owner = processID

    /// Opens the file at `path`, which is made where it is not there, and locks it.
    public init(at path: String) throws(Failure) {
        self.path = path
        // A server that ends removes its file. Who has opened that one meanwhile locks a file without a name, which the
        // next one would not see, so it is opened again then.
        for _ in 0..<LockedFile.tries {
            let file = try LockedFile.open(path)
            try LockedFile.lock(file)
            guard number(of: file.number) == fileNumber(at: path) else { continue }
            descriptor = file
            return
        }
        throw .system(SystemError("fcntl", ESTALE))
    }

    private static func open(_ path: String) throws(Failure) -> Descriptor {
        let flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let number = retryingInterrupted(.open) { Glibc.open(path, flags, 0o644) }
        guard number >= 0 else { throw .system(SystemError("open")) }
        let file = Descriptor(owning: number)
        var status = stat()
        guard calling(.fstat, { fstat(number, &status) }) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .noFile
        }
        return file
    }

    private static func lock(_ file: borrowing Descriptor) throws(Failure) {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        guard calling(.fcntl, { fcntl(file.number, F_SETLK, &lock) }) != 0 else { return }
        guard errno == EAGAIN || errno == EACCES else { throw .system(SystemError("fcntl")) }
        let isTold = calling(.fcntl) { fcntl(file.number, F_GETLK, &lock) } == 0
        guard isTold, lock.l_type != Int16(F_UNLCK), lock.l_pid > 0 else {
            throw .held(by: nil)
        }
        throw .held(by: lock.l_pid)
    }

    /// Its first `most` bytes (pread(2)).
    public func contents(most: Int) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: most)
        let count = buffer.withUnsafeMutableBytes { buffer in
            transferring(.pread, buffer.count) { pread(descriptor.number, buffer.baseAddress, $0, 0) }
        }
        guard count >= 0 else { throw SystemError("read") }
        return Array(buffer.prefix(count))
    }

    /// Puts `bytes` in place of what is in it (ftruncate(2), pwrite(2)).
    public func replace(with bytes: [UInt8]) throws(SystemError) {
        guard calling(.ftruncate, { ftruncate(descriptor.number, 0) }) == 0 else { throw SystemError("ftruncate") }
        let count = bytes.withUnsafeBytes { bytes in
            transferring(.pwrite, bytes.count) { pwrite(descriptor.number, bytes.baseAddress, $0, 0) }
        }
        guard count >= 0 else { throw SystemError("write") }
        guard count == bytes.count else { throw SystemError("write", ENOSPC) }
    }

    /// Removes the file, if this process locked it and its name is still there; the lock is held until that is done. In
    /// a directory that this user may not change it is emptied.
    public func remove() {
        guard processID == owner, number(of: descriptor.number) == fileNumber(at: path) else { return }
        if calling(.unlink, { unlink(path) }) != 0 { _ = ftruncate(descriptor.number, 0) }
    }
}

private func number(of descriptor: Int32) -> UInt64? {
    var status = stat()
    return calling(.fstat, { fstat(descriptor, &status) }) == 0 ? UInt64(status.st_ino) : nil
}
