import Glibc

/// Counts the open descriptors of this process (/proc/self/fd in proc(5)).
public struct DescriptorCount: ~Copyable {
    private let directory: Descriptor

    /// Opens the folder, which is one of the descriptors itself (open(2)). Throws EMFILE and ENFILE.
    public init() throws(SystemError) {
        let number = calling(.open) { open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard number >= 0 else { throw SystemError("open") }
        directory = Descriptor(owning: number)
    }

    /// The number of open descriptors now (fstat(2)); 0 before Linux 6.2, which tells none.
    public var now: Int {
        var status = stat()
        return calling(.fstat, { fstat(directory.number, &status) }) == 0 ? Int(status.st_size) : 0
    }
}
