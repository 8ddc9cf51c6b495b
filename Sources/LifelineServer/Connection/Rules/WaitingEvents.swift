import Basics
import Framing

/// The requests and messages that wait for the handler, first in, first out, in little more memory than their bytes.
///
/// A short one lies in a block behind those before it, with its id and its length in front. What is handed out is a slice
/// of the block. A long one is memory of its own. So nothing that waits keeps the receive buffer, which has 64 KiB, but
/// for a message that fills most of it.
struct WaitingEvents {
    /// The id, and the length.
    private static let headerLength = 8
    /// From this length on a message has memory of its own: the end of a block that it does not fit into is lost.
    private static let leastLong = 8192
    /// From this length on a message is not copied: the memory that it came in has a third more at most.
    private static let leastKept = 49152
    /// With the header of an array this is the most that malloc(3) gives from its quickest lists.
    private static let leastBlock = 1000
    private static let mostBlock = 65536
    /// The part of what waits that the next block has, at least.
    private static let growth = 4

    /// The blocks that are full, and those of which a slice was handed out while more lay in them.
    private var blocks = Queue<[UInt8]>()
    /// The block that the next event goes into.
    private var tail: [UInt8] = []
    /// Where the first event lies in the first block, or in `tail` where that is the first.
    private var head = 0
    /// Whether a slice of `tail` was handed out: to append to it would copy it.
    private var tailIsShared = false
    private var long = Queue<ArraySlice<UInt8>>()
    /// How many bytes of the blocks wait, headers included.
    private var packed = 0
    private(set) var count = 0

    @inline(__always) var isEmpty: Bool { count == 0 }

    /// Adds `event`, a request or a message, at the end.
    mutating func append(_ event: ServerConnection.Event) {
        switch event {
        case .request(let id, let bytes): append(id, bytes)
        case .message(let bytes): append(0, bytes)
        case .opened, .cancelled, .asked, .news: preconditionFailure("an event that does not wait for the handler")
        }
    }

    private mutating func append(_ id: UInt32, _ bytes: ArraySlice<UInt8>) {
        let isLong = bytes.count >= WaitingEvents.leastLong
        let needed = WaitingEvents.headerLength + (isLong ? 0 : bytes.count)
        makeRoom(for: needed)
        count += 1
        packed += needed
        withUnsafeBytes(of: UInt64(id) << 32 | UInt64(bytes.count)) { tail.append(contentsOf: $0) }
        if isLong { long.append(WaitingEvents.kept(bytes)) } else { tail.append(contentsOf: bytes) }
    }

    /// Memory that has little more than these bytes.
    static func kept(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard bytes.count < leastKept else { return bytes }
        // An array of a slice may share the slice's memory, and more than the slice with it.
        return [UInt8](unsafeUninitializedCapacity: bytes.count) { memory, count in
            count = memory.initialize(fromContentsOf: bytes)
        }[...]
    }

    private mutating func makeRoom(for needed: Int) {
        guard tailIsShared || tail.capacity - tail.count < needed else { return }
        if !tail.isEmpty { blocks.append(tail) }
        tail = []
        tailIsShared = false
        let size = min(max(packed / WaitingEvents.growth, WaitingEvents.leastBlock), WaitingEvents.mostBlock)
        tail.reserveCapacity(max(size, needed))
    }

    /// Takes out the first event; nil where none waits.
    mutating func removeFirst() -> ServerConnection.Event? {
        guard count > 0 else { return nil }
        let isInTail = blocks.isEmpty
        let block = blocks.first ?? tail
        let header = block.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: head, as: UInt64.self) }
        let (id, length) = (UInt32(header >> 32), Int(UInt32(truncatingIfNeeded: header)))
        let start = head + WaitingEvents.headerLength
        let bytes: ArraySlice<UInt8>
        if length >= WaitingEvents.leastLong, let first = long.first {
            bytes = first
            long.removeFirst()
            head = start
        } else {
            bytes = length == 0 ? [] : block[start..<(start + length)]
            head = start + length
            tailIsShared = tailIsShared || isInTail
        }
        count -= 1
        packed -= WaitingEvents.headerLength + (length >= WaitingEvents.leastLong ? 0 : length)
        if head == block.count { removeFirstBlock(isTail: isInTail) }
        return id == 0 ? .message(bytes) : .request(id, bytes)
    }

    private mutating func removeFirstBlock(isTail: Bool) {
        head = 0
        guard isTail else { return blocks.removeFirst() }
        tail = []
        tailIsShared = false
    }

    /// Takes out the requests for whose ids `condition` holds, or the messages where it holds for 0, and returns how many
    /// there were. It copies all that stays.
    @discardableResult
    mutating func remove(where condition: (UInt32) -> Bool) -> Int {
        var stays = WaitingEvents()
        let before = count
        while let event = removeFirst() {
            if case .request(let id, _) = event { if condition(id) { continue } } else if condition(0) { continue }
            stays.append(event)
        }
        self = stays
        return before - count
    }
}
