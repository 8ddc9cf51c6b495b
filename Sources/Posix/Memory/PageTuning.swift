import CPosix
import Glibc

/// The pages of the program's data that it has only read: a fork copies the page table's entry of each that is there, and
/// a child's end takes it back.
///
/// It is made before privileges are given up, for a process that has done so may not ask for its own pages any more
/// (PR_SET_DUMPABLE in prctl(2)). Where the system does not tell, and under a sanitizer, of which a thread may write
/// meanwhile, nothing is forgotten.
public struct CleanData: ~Copyable {
    private let map: Descriptor?

    /// Those of this process (open(2), /proc/pid/pagemap in proc(5)).
    public init() {
        let number = isSanitized ? -1 : retryingInterrupted(.open) { open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) }
        map = number < 0 ? nil : Descriptor(owning: number)
    }

    /// Of no use in a child, which closes it; nil where there is none.
    public var number: Int32? {
        switch map {
        case .some(let map): map.number
        case nil: nil
        }
    }

    /// Lets go of them.
    public func forget() { if let number { cposix_forget_clean_data(number) } }
}

/// Puts the program's code on huge pages, so that children that are forked from now on share it without a page fault;
/// where the system does not give them it stays where it is. Before any thread is started.
public func moveCodeToHugePages() { cposix_move_code_to_huge_pages() }

/// What is allocated from now on, here and in children that are forked, lies together: the holes between what was
/// allocated before are filled up, at the price of as much memory of this process (at most 1 MiB).
public func fillHeap() { cposix_fill_heap() }
