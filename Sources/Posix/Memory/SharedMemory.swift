import CPosix

/// Memory that this process shares with the processes that it forks from now on (MAP_SHARED in mmap(2)).
///
/// It begins as zeros, which must be a valid `Value`. Several processes write to it at once, so `Value` must allow that,
/// as `Synchronization.Atomic` does. It is never unmapped. Throws ENOMEM.
public func sharedMemory<Value: ~Copyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    let size = count * MemoryLayout<Value>.stride
    guard let memory = mapping(.mmap, { cposix_share(size) }) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
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
