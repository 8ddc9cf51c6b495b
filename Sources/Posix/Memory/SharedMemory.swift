import CPosix

/// Memory that this process and all that it forks from now on write to and read from (mmap(2) with MAP_SHARED), so it
/// may hold nothing but values that are meant for that, such as `Synchronization.Atomic`. It is never given back.
///
/// It is all zero at first, which must be a valid `Value`.
public func sharedMemory<Value: ~Copyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    guard let memory = SharedPage.take(count * MemoryLayout<Value>.stride) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
}

/// Small pieces of shared memory lie on one page: each page is a fault for every process that is forked.
private enum SharedPage {
    private static let line = 64
    /// It need not be the system's: where that has larger ones all the better.
    private static let size = 4096
    /// What is left of the page. It is taken before the first fork, by the one thread that there is.
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

/// Memory of this process that those that it forks do not have (mmap(2), MADV_DONTFORK in madvise(2)), all zero at
/// first, which must be a valid `Value`. It is never given back.
public func ownMemory<Value: BitwiseCopyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    let size = count * MemoryLayout<Value>.stride
    guard let memory = mapping(.mmap, { cposix_keep(size) }) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
}
