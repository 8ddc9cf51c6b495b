import Basics

/// The descriptors that one turn of an event loop waits for (poll(2)).
///
/// Each turn begins with `removeAll` and adds what it waits for anew; the memory stays. `add` returns a token, by which
/// the caller finds its own descriptor after the wait, whatever others have added before it.
public struct PollSet: Sendable {
    /// Stands for one descriptor until the next `removeAll`; from then on it is neither readable nor writable.
    public struct Token: Sendable {
        @usableFromInline let index: Int32
        @usableFromInline let turn: UInt32

        @inlinable init(index: Int32, turn: UInt32) { (self.index, self.turn) = (index, turn) }
    }

    @usableFromInline var entries: [PollEntry] = []
    @usableFromInline var turn: UInt32 = 0

    /// An empty set, without memory of its own.
    public init() {}

    /// Begins a turn: no descriptor is waited for. Memory for `count` descriptors is there afterwards.
    @inlinable public mutating func removeAll(reserving count: Int = 0) {
        turn &+= 1
        entries.removeAll(keepingCapacity: true)
        if count > 0 { entries.reserveCapacity(count) }
    }

    /// Adds a descriptor, which must be open until the wait is over. poll(2) passes over a descriptor of -1, and over
    /// nothing else; one without `reading` and `writing` still tells of an error or a hang-up.
    @inlinable public mutating func add(_ descriptor: Int32, reading: Bool = true, writing: Bool = false) -> Token {
        entries.append(PollEntry(descriptor, reading: reading, writing: writing))
        return Token(index: Int32(truncatingIfNeeded: entries.count - 1), turn: turn)
    }

    /// Whether bytes, the end or an error can be read, as the last wait found. False of no token.
    @inlinable public func isReadable(_ token: Token?) -> Bool {
        guard let token, token.turn == turn else { return false }
        return entries[Int(token.index)].isReadable
    }

    /// Whether bytes or an error can be written, as the last wait found. False of no token.
    @inlinable public func isWritable(_ token: Token?) -> Bool {
        guard let token, token.turn == turn else { return false }
        return entries[Int(token.index)].isWritable
    }

    /// Waits until a descriptor is ready or `deadline` has come; nil waits for ever. Throws where the system lacks
    /// memory for the call.
    public mutating func wait(until deadline: Instant?) throws(SystemError) { try poll(&entries, until: deadline) }
}
