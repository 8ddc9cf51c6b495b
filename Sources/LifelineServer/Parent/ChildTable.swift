import Basics
import Posix

/// The children that have a connection, by slot and by process.
///
/// The table lies in memory that is the parent's alone (MADV_DONTFORK in madvise(2)). A fork copies nothing of it,
/// however many children there are, and what the parent writes there costs neither process a page.
struct ChildTable {
    /// What is known of a connection's client.
    enum Standing: BitwiseCopyable {
        /// The client has connected itself.
        case direct
        /// A proxy has connected, and no client's source is known, or none was judged yet.
        case unidentified
        /// A proxy's client, which was let in.
        case admitted
        /// A proxy's client, which was refused and is being told.
        case refused
        /// A back-end has connected, which admission does not count.
        case backEnd
    }

    struct Record: BitwiseCopyable {
        /// 0 where the slot is free.
        fileprivate(set) var pid: ProcessID
        /// Whether its process serves others too: then the process does not lead to it.
        let isShared: Bool
        let slot: Int
        let connection: UInt64
        /// The peer of the socket: the client, or a proxy.
        fileprivate let socketPeer: SocketAddress
        let acceptedAt: Instant
        fileprivate(set) var standing: Standing
        /// The client of a proxy; nil where it is not known.
        fileprivate(set) var source: ClientSource?
        /// Whether it has said that the connection is complete.
        fileprivate(set) var isCompleted = false

        init(
            pid: ProcessID, slot: Int, connection: UInt64, peer: SocketAddress, acceptedAt: Instant,
            standing: Standing = .direct, isShared: Bool = false
        ) {
            self.pid = pid
            self.isShared = isShared
            self.slot = slot
            self.connection = connection
            socketPeer = peer
            self.acceptedAt = acceptedAt
            self.standing = standing
        }

        /// The client, or the proxy where that has named none.
        @inline(__always) var peer: SocketAddress { source.map(SocketAddress.init) ?? socketPeer }
        /// The proxy; nil where the client has connected itself.
        @inline(__always) var via: SocketAddress? { standing == .direct || standing == .backEnd ? nil : socketPeer }
        /// The address that the connection is counted by; nil where it has none, or was not let in.
        @inline(__always) var countedAddress: UInt128? {
            switch standing {
            case .direct: socketPeer.ipNumber
            case .admitted: source?.address
            case .unidentified, .refused, .backEnd: nil
            }
        }
    }

    private let bySlot: UnsafeMutablePointer<Record>
    /// The first slot of each chain, counted from 1, or 0. The last bits of a process's number choose its chain.
    private let chains: UnsafeMutablePointer<Int32>
    /// The slot that follows each in its chain, counted from 1, or 0.
    private let following: UnsafeMutablePointer<Int32>
    private let mask: Int
    /// No slot at or above this one was ever taken.
    private(set) var end = 0
    private(set) var count = 0

    /// Maps memory for `slots` children (mmap(2)).
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

    /// The slots that are not free. They are looked for one by one: an array of a million records would take longer than what
    /// is done with them.
    var takenSlots: some Collection<Int> { (0..<end).lazy.filter { [bySlot] in bySlot[$0].pid != 0 } }

    /// The connection of this number, where it is still the one in the slot.
    func record(ofSlot slot: Int, connection: UInt64) -> Record? {
        bySlot[slot].pid != 0 && bySlot[slot].connection == connection ? bySlot[slot] : nil
    }

    /// The connections of a process with several.
    func records(of pid: ProcessID) -> [Record] {
        var records: [Record] = []
        for slot in 0..<end where bySlot[slot].pid == pid { records.append(bySlot[slot]) }
        return records
    }

    /// The connection of a process that has no other.
    subscript(pid: ProcessID) -> Record? {
        var link = chains[chain(of: pid)]
        while link != 0 {
            let slot = Int(link - 1)
            if bySlot[slot].pid == pid { return bySlot[slot] }
            link = following[slot]
        }
        return nil
    }

    /// The child in a slot says that its connection is complete. Returns the record; nil where it has said so before.
    mutating func markCompleted(_ slot: Int) -> Record? {
        guard bySlot[slot].pid != 0, !bySlot[slot].isCompleted else { return nil }
        bySlot[slot].isCompleted = true
        return bySlot[slot]
    }

    /// The child in a slot has announced its client. Returns its record, which knows the source from now on; nil where a
    /// source is not waited for.
    mutating func identify(_ source: ClientSource, in slot: Int) -> Record? {
        guard bySlot[slot].pid != 0, bySlot[slot].standing == .unidentified, bySlot[slot].source == nil else {
            return nil
        }
        bySlot[slot].source = source
        return bySlot[slot]
    }

    /// The client of the child in a slot was judged.
    mutating func judged(_ slot: Int, isAdmitted: Bool) { bySlot[slot].standing = isAdmitted ? .admitted : .refused }

    /// Neither the record's slot nor its process may be in the table yet; a process with several connections may.
    mutating func insert(_ record: Record) {
        bySlot[record.slot] = record
        end = max(end, record.slot + 1)
        count += 1
        guard !record.isShared else { return }
        let chain = chain(of: record.pid)
        following[record.slot] = chains[chain]
        chains[chain] = Int32(record.slot + 1)
    }

    /// The connection in a slot goes to another process with several.
    mutating func move(_ slot: Int, to pid: ProcessID) { bySlot[slot].pid = pid }

    /// Removes the connection in a slot, of a process with several; nil where there is none.
    mutating func remove(slot: Int) -> Record? {
        guard bySlot[slot].pid != 0 else { return nil }
        count -= 1
        defer { bySlot[slot].pid = 0 }
        return bySlot[slot]
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
