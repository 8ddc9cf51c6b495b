import Basics
import Posix

/// The children that have a connection, as the parent knows them, by slot and by process.
///
/// The table lies in memory that is the parent's alone. A fork copies nothing of it, however many children there are,
/// and what the parent writes there costs neither of them a page.
struct ChildTable {
    struct Record: BitwiseCopyable {
        /// 0 where nobody has taken the slot.
        fileprivate(set) var pid: ProcessID
        let slot: Int
        let connection: UInt64
        let peer: SocketAddress
        let acceptedAt: Instant
        /// Whether it has said that it is done with the connection.
        fileprivate(set) var isDone = false
    }

    private let bySlot: UnsafeMutablePointer<Record>
    /// The first slot of each chain, from 1, or 0: a process is in the chain of its last bits.
    private let chains: UnsafeMutablePointer<Int32>
    /// The slot that follows each in its chain, from 1, or 0.
    private let following: UnsafeMutablePointer<Int32>
    private let mask: Int
    /// No slot at or above this one was ever taken.
    private(set) var end = 0
    private(set) var count = 0

    /// For so many slots.
    init(_ slots: Int) throws(SystemError) {
        var chains = 1
        while chains < slots { chains *= 2 }
        mask = chains - 1
        bySlot = try ownMemory(of: slots, Record.self)
        self.chains = try ownMemory(of: chains, Int32.self)
        following = try ownMemory(of: slots, Int32.self)
    }

    var isEmpty: Bool { count == 0 }

    /// All of them, by slot.
    var records: [Record] {
        var records: [Record] = []
        records.reserveCapacity(count)
        for slot in 0..<end where bySlot[slot].pid != 0 { records.append(bySlot[slot]) }
        return records
    }

    subscript(pid: ProcessID) -> Record? {
        var link = chains[chain(of: pid)]
        while link != 0 {
            let slot = Int(link - 1)
            if bySlot[slot].pid == pid { return bySlot[slot] }
            link = following[slot]
        }
        return nil
    }

    /// The child with a slot says that it is done with its connection: which it is, where it says so for the first time.
    mutating func markDone(_ slot: Int) -> ProcessID? {
        guard bySlot[slot].pid != 0, !bySlot[slot].isDone else { return nil }
        bySlot[slot].isDone = true
        return bySlot[slot].pid
    }

    /// Neither the record's slot nor its process may be in the table.
    mutating func insert(_ record: Record) {
        let chain = chain(of: record.pid)
        bySlot[record.slot] = record
        following[record.slot] = chains[chain]
        chains[chain] = Int32(record.slot + 1)
        end = max(end, record.slot + 1)
        count += 1
    }

    mutating func remove(_ pid: ProcessID) -> Record? {
        var link = chains + chain(of: pid)
        while link.pointee != 0 {
            let slot = Int(link.pointee - 1)
            if bySlot[slot].pid == pid {
                link.pointee = following[slot]
                count -= 1
                defer { bySlot[slot].pid = 0 }
                return bySlot[slot]
            }
            link = following + slot
        }
        return nil
    }

    private func chain(of pid: ProcessID) -> Int { Int(pid) & mask }
}
