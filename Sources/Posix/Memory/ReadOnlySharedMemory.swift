import CPosix

/// Numbers that this process writes, and that the processes forked from it can only read.
///
/// A store costs no system call, and no child can change what another one reads.
public struct ReadOnlySharedMemory: @unchecked Sendable {
    private let written: UnsafeMutablePointer<UInt32>
    private let read: UnsafePointer<UInt32>

    /// Maps `count` numbers, all of them 0 (memfd_create(2), mmap(2)). Children see them from their fork on.
    public init(_ count: Int) throws(SystemError) {
        var written: UnsafeMutableRawPointer?
        var read: UnsafeRawPointer?
        let size = count * MemoryLayout<UInt32>.stride
        let result = calling(.mmap) { cposix_make_board(size, &written, &read) }
        guard result == 0 else { throw SystemError("mmap") }
        self.written = written!.bindMemory(to: UInt32.self, capacity: count)
        self.read = read!.bindMemory(to: UInt32.self, capacity: count)
    }

    /// The number at `index`. Only the process that mapped the memory may write it.
    public subscript(index: Int) -> UInt32 {
        get { read[index] }
        nonmutating set { written[index] = newValue }
    }
}
