import CPosix
import Glibc

/// The clean pages of this program's data: those that it has read and never written.
///
/// A fork copies the page table entry of each mapped page, and the child's end takes it back. Unmapping clean pages saves
/// both. Make this value before privileges are given up: afterwards a process may not read its own page map
/// (PR_SET_DUMPABLE in prctl(2)). It does nothing where the kernel has no page map, and under a sanitizer, whose thread
/// may write meanwhile.
public struct CleanData: ~Copyable {
    private let map: Descriptor?

    /// Opens the page map of this process (/proc/pid/pagemap in proc(5)).
    public init() {
        let number = isSanitized ? -1 : retryingInterrupted(.open) { open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) }
        map = number < 0 ? nil : Descriptor(owning: number)
    }

    /// The descriptor of the page map, borrowed, which a child closes; nil where there is none.
    public var number: Int32? {
        switch map {
        case .some(let map): map.number
        case nil: nil
        }
    }

    /// Unmaps the clean pages. They are read from the file again at the next use.
    public func forget() { if let number { cposix_forget_clean_data(number) } }
}

/// Moves the program's code to huge pages, so that children share it without page faults.
///
/// Call it before any thread is started. Where the kernel gives no huge pages the code stays where it is.
public func moveCodeToHugePages() { cposix_move_code_to_huge_pages() }

/// Fills the holes of the heap, so that later allocations of this process and its children lie together.
///
/// It costs this process the memory of the holes, up to 1 MiB.
public func fillHeap() { cposix_fill_heap() }

/// Gives the kernel back the pages of the stack that earlier, deeper calls have left. Only the main thread may call it.
public func releaseStack() { cposix_release_stack() }

/// Gives the kernel back the pages that lie in free memory of the heap (malloc_trim(3)).
public func releaseFreeMemory() { cposix_release_free_memory() }
