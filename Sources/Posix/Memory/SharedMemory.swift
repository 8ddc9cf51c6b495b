import CPosix

/// Memory that this process shares with the processes that it forks from now on (MAP_SHARED in mmap(2)).
///
/// It begins as zeros, which must be a valid `Value`. Several processes write to it at once, so `Value` must allow that,
/// as `Synchronization.Atomic` does. It is never unmapped. Throws ENOMEM.
public func sharedMemory<Value: ~Copyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    guard let memory = SharedPage.take(count * MemoryLayout<Value>.stride) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
}

/// Puts small pieces of shared memory on one page, because each page costs every forked process a page fault.
///
/// Without this a short connection takes 7 % more processor time, and one page fault more (tools/dev/cost).
private enum SharedPage {
    private static let line = 64
    /// The size of a page. The kernel's pages may be larger.
    private static let size = 4096
    /// The free rest of the page. Only the parent's one thread takes from it, before the first fork.
    nonisolated(unsafe) private static var rest: UnsafeMutableRawBufferPointer?

    static func take(_ size: Int) -> UnsafeMutableRawPointer? {
        let size = (size + line - 1) / line * line
        if size > SharedPage.size / 2 { return mapping(.mmap) { cposix_share(size) } }
        if rest == nil || rest!.count < size {
            guard let memory = mapping(.mmap, { cposix_share(SharedPage.size) }) else { return nil }
            rest = UnsafeMutableRawBufferPointer(start: memory, count: SharedPage.size)
        }
        defer { rest = UnsafeMutableRawBufferPointer(rebasing: rest![size...]) }
        return rest!.baseAddress
    }
}

/// Memory of this process alone: processes that it forks do not have it (mmap(2), MADV_DONTFORK in madvise(2)).
///
/// It begins as zeros, which must be a valid `Value`. It is never unmapped. Throws ENOMEM.
public func ownMemory<Value: BitwiseCopyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    let size = count * MemoryLayout<Value>.stride
    guard let memory = mapping(.mmap, { cposix_keep(size) }) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
}
