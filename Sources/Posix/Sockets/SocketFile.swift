import Glibc

/// Whether the file of a Unix socket at `address` has no listener. A server that was killed leaves such a file.
public func isAbandonedSocket(at address: SocketAddress) -> Bool {
    guard let path = address.unixPath else { return false }
    var status = stat()
    guard calling(.lstat, { lstat(path, &status) }) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
    do {
        _ = try Descriptor.connecting(to: address)
        return false
    } catch {
        return error.code == ECONNREFUSED
    }
}

/// The file of a Unix socket, known by its number: another file of the same name is left alone.
public struct SocketFile: Sendable {
    private let path: String
    private let number: UInt64

    /// The file that is at `path` now; nil where there is none.
    public init?(at path: String) {
        guard let number = fileNumber(at: path) else { return nil }
        self.path = path
        self.number = number
    }

    /// Removes the file, unless another has taken its place.
    public func remove() {
        if fileNumber(at: path) == number { removeFile(at: path) }
    }
}

/// Removes the file at `path`; a failure is ignored (unlink(2)).
public func removeFile(at path: String) { unlink(path) }

/// The inode number of the file at `path`, by which a later look tells whether it is still the same file; nil where there
/// is none (lstat(2)).
public func fileNumber(at path: String) -> UInt64? {
    var status = stat()
    return calling(.lstat) { lstat(path, &status) } == 0 ? UInt64(status.st_ino) : nil
}
