import Glibc

/// Whether there is a Unix socket at `address` that nobody listens on, as a server that was killed leaves it.
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

/// The file of a Unix socket, as long as it is the same.
public struct SocketFile: Sendable {
    private let path: String
    private let number: UInt64

    /// The file that is at `path` now.
    public init?(at path: String) {
        guard let number = fileNumber(at: path) else { return nil }
        self.path = path
        self.number = number
    }

    /// Removes it, where another has not taken its place.
    public func remove() {
        if fileNumber(at: path) == number { removeFile(at: path) }
    }
}

/// unlink(2), as far as it is possible.
public func removeFile(at path: String) { unlink(path) }

/// The number of the file at `path`, to tell whether it is still the same (stat(2)).
public func fileNumber(at path: String) -> UInt64? {
    var status = stat()
    return calling(.lstat) { lstat(path, &status) } == 0 ? UInt64(status.st_ino) : nil
}
