import Glibc

/// How many descriptors this process has open (/proc/self/fd in proc(5)).
public struct DescriptorCount: ~Copyable {
    private let directory: Descriptor

    /// open(2); it is one of them itself.
    public init() throws(SystemError) {
        let number = calling(.open) { open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard number >= 0 else { throw SystemError("open") }
        directory = Descriptor(owning: number)
    }

    /// How many there are now (fstat(2)); 0 where the kernel does not say it, which those before 6.2 do not.
    public var now: Int {
        var status = stat()
        return calling(.fstat, { fstat(directory.number, &status) }) == 0 ? Int(status.st_size) : 0
    }
}
