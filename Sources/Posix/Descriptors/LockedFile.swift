import Glibc

/// A small file on which this process holds a lock while it lives (F_SETLK in fcntl(2)).
///
/// A record lock belongs to the process: it ends when the process does, and no child inherits it. A lock of flock(2) has
/// neither property. The lock also ends when the process closes any descriptor of the file, so no other code of this
/// process may open it.
public struct LockedFile: ~Copyable {
    /// Why the file could not be locked.
    public enum LockError: Error, Sendable {
        /// Another process holds the lock; its number, where the kernel tells it.
        case held(by: ProcessID?)
        /// The path names a device, a pipe or a directory.
        case noFile
        case system(SystemError)
    }

    /// Bounds the attempts on a file system where a file has another number each time.
    private static let tries = 100

    private let descriptor: Descriptor
    private let path: String
    /// The descriptor; borrowed.
    public var descriptorNumber: Int32 { descriptor.number }
    private let owner = processID

    /// Opens the file at `path`, makes it where there is none, and locks it.
    public init(at path: String) throws(LockError) {
        self.path = path
        // A server that ends removes its file. A process that opened it just before would lock a file without a name,
        // which the next process does not see. So the name is checked after the lock, and opened again if need be.
        for _ in 0..<LockedFile.tries {
            let file = try LockedFile.open(path)
            try LockedFile.lock(file)
            guard number(of: file.number) == fileNumber(at: path) else { continue }
            descriptor = file
            return
        }
        throw .system(SystemError("fcntl", ESTALE))
    }

    private static func open(_ path: String) throws(LockError) -> Descriptor {
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

    private static func lock(_ file: borrowing Descriptor) throws(LockError) {
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

    /// The first bytes of the file, up to `most` (pread(2)).
    public func contents(most: Int) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: most)
        let count = buffer.withUnsafeMutableBytes { buffer in
            transferring(.pread, buffer.count) { pread(descriptor.number, buffer.baseAddress, $0, 0) }
        }
        guard count >= 0 else { throw SystemError("read") }
        return Array(buffer.prefix(count))
    }

    /// Replaces the contents by `bytes` (ftruncate(2), pwrite(2)). Throws ENOSPC where not all of them fit.
    public func replace(with bytes: [UInt8]) throws(SystemError) {
        guard calling(.ftruncate, { ftruncate(descriptor.number, 0) }) == 0 else { throw SystemError("ftruncate") }
        let count = bytes.withUnsafeBytes { bytes in
            transferring(.pwrite, bytes.count) { pwrite(descriptor.number, bytes.baseAddress, $0, 0) }
        }
        guard count >= 0 else { throw SystemError("write") }
        guard count == bytes.count else { throw SystemError("write", ENOSPC) }
    }

    /// Removes the file, if this process locked it and its name still leads to it. The lock is held meanwhile.
    ///
    /// In a directory that this user may not change the file is emptied instead.
    public func remove() {
        guard processID == owner, number(of: descriptor.number) == fileNumber(at: path) else { return }
        if calling(.unlink, { unlink(path) }) != 0 { _ = ftruncate(descriptor.number, 0) }
    }
}

private func number(of descriptor: Int32) -> UInt64? {
    var status = stat()
    return calling(.fstat, { fstat(descriptor, &status) }) == 0 ? UInt64(status.st_ino) : nil
}
