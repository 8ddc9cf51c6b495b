import Basics
import Glibc

/// Why a file that a person names cannot be read.
public enum FileReadError: Error, Equatable, Sendable {
    /// A call failed, such as open(2) with ENOENT.
    case system(SystemError)
    case directory
    /// A FIFO, where a file is needed that can be read again.
    case fifo
    /// A FIFO or a device that did not come to its end in time.
    case unending
    /// It has more bytes than this.
    case tooLong(Int)

    /// For a person, behind the path and a colon.
    public var text: String {
        switch self {
        case .system(let error): "\(error.text) (\(error.call))"
        case .directory: "it is a directory"
        case .fifo: "it is a FIFO, and not a regular file, which can be read again"
        case .unending: "it is a FIFO or a device, and its end does not come"
        case .tooLong(let most): "it is over \(most) bytes"
        }
    }

    /// What the system said, where it did.
    public var cause: SystemError? { if case .system(let error) = self { error } else { nil } }
}

/// Reads the whole file at `path` without ever waiting for a writer of a FIFO for longer than `patience` (open(2) with
/// O_NONBLOCK, fstat(2), read(2)).
///
/// - Parameters:
///   - path: The file's; a symbolic link is followed.
///   - most: More bytes are an error.
///   - patience: How long the end of a FIFO or a device may take; nil where the file will be read again.
public func contents(
    ofTextFile path: String, most: Int, patience: Duration? = nil
) throws(FileReadError) -> [UInt8] {
    let number = retryingInterrupted(.open) { open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) }
    guard number >= 0 else { throw .system(SystemError("open")) }
    let file = Descriptor(owning: number)
    var status = stat()
    guard calling(.fstat, { fstat(file.number, &status) }) == 0 else { throw .system(SystemError("fstat")) }
    let isFIFO = status.st_mode & S_IFMT == S_IFIFO
    if status.st_mode & S_IFMT == S_IFDIR { throw .directory }
    if isFIFO, patience == nil { throw .fifo }
    let deadline = Instant.now + (patience ?? .zero)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    var hasWaited = false
    while bytes.count <= most {
        let count = buffer.withUnsafeMutableBytes { buffer in
            transferring(.read, min(buffer.count, most + 1 - bytes.count)) { read(file.number, buffer.baseAddress, $0) }
        }
        if count > 0 {
            bytes += buffer[..<count]
            continue
        }
        // A FIFO has no writer yet, or one that has not written. read(2) says the first as it says the end.
        let mayGoOn = count < 0 ? errno == EAGAIN : isFIFO && bytes.isEmpty && !hasWaited
        guard mayGoOn else {
            if count < 0 { throw .system(SystemError("read")) }
            return bytes
        }
        hasWaited = true
        if try isReadable(file, until: deadline) { continue }
        throw .unending
    }
    throw .tooLong(most)
}

private func isReadable(_ file: borrowing Descriptor, until deadline: Instant) throws(FileReadError) -> Bool {
    var entries = [PollEntry(file.number)]
    do throws(SystemError) {
        return try poll(&entries, until: deadline) > 0
    } catch {
        throw .system(error)
    }
}
