import CPosix

/// Memory that this process and all that it forks from now on write to and read from (mmap(2) with MAP_SHARED), so it
/// may hold nothing but values that are meant for that, such as `Synchronization.Atomic`. It is never given back.
///
/// It is all zero at first, which must be a valid `Value`.
public func sharedMemory<Value: ~Copyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    guard let memory = cposix_share(count * MemoryLayout<Value>.stride) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
}

/// Memory of this process that those that it forks do not have (mmap(2), MADV_DONTFORK in madvise(2)), all zero at
/// first, which must be a valid `Value`. It is never given back.
public func ownMemory<Value: BitwiseCopyable>(
    of count: Int, _ type: Value.Type
) throws(SystemError) -> UnsafeMutablePointer<Value> {
    guard let memory = cposix_keep(count * MemoryLayout<Value>.stride) else { throw SystemError("mmap") }
    return memory.bindMemory(to: Value.self, capacity: count)
}
