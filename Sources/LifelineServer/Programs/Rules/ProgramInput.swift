import Basics

/// What waits to be written to the standard input of a program, and how much of it the program has read.
///
/// A position counts the bytes that were added before it since the program was started.
struct ProgramInput {
    /// While this many bytes wait, no message is accepted.
    private static let most = 65536

    private var bytes: [UInt8] = []
    /// How many of `bytes` are written.
    private var written = 0
    /// Whether the input ends behind what waits.
    private var ends = false
    /// Whether the input does not end before the program has come back to it.
    var isHeld = false
    /// Whether the program reads no more.
    private(set) var isBroken = false

    /// The position behind all that was added.
    private(set) var end = 0
    /// How many bytes of that were thrown away.
    private var lost = 0
    /// How far the program had read when it was looked at last.
    private(set) var readTo = 0
    /// How far it had read when it came back for more: with that it is done. What it has read since may lie in its memory.
    private(set) var handledTo = 0
    /// Whether the program is gone, and comes back to nothing.
    private var isGone = false
    private struct Message {
        /// From the end of the message before it to its own.
        let distance: UInt32
        let cost: UInt32
    }

    /// The one-way messages that are not known to be read, and those that are read and were not taken out.
    private var messages = Queue<Message>()
    /// Where those end that were taken out as read, and not as handled.
    private var unhandled = Queue<Int>()
    /// Where the last message ended that was taken out, and the last that was added.
    private var messageEnds = (taken: 0, added: 0)

    /// What is to be written next.
    var unwritten: ArraySlice<UInt8> { bytes[written...] }
    /// Whether the program's standard input is to be closed now.
    var isOver: Bool { isBroken || ends && unwritten.isEmpty && !isHeld }
    var hasRoom: Bool { unwritten.count < ProgramInput.most }
    /// Whether a message is not known to be read.
    @inline(__always) var hasUnreadMessages: Bool { !messages.isEmpty && messageEnds.added > readTo }

    /// Whether the program has to read messages, or to come back from those that it has read.
    var awaitsProgram: Bool { hasUnreadMessages || handledTo < readTo && !(messages.isEmpty && unhandled.isEmpty) }

    /// Adds a request or a message in its framing.
    mutating func append(_ framed: [UInt8]) {
        end += framed.count
        // A long one is not copied where none waits before it.
        if bytes.isEmpty, framed.count > bytes.capacity { bytes = framed } else { bytes += framed }
    }

    /// Adds a one-way message of this `cost` in its framing.
    mutating func append(message framed: [UInt8], cost: Int) {
        // Only what is unread lies between two of them, so a distance has a bound.
        if messages.isEmpty { messageEnds = (end, end) }
        append(framed)
        messages.append(Message(distance: UInt32(clamping: end - messageEnds.added), cost: UInt32(clamping: cost)))
        messageEnds.added = end
    }

    /// Begins the input of a program for one request, which ends behind that.
    mutating func begin(_ request: [UInt8]) {
        (lost, end, readTo, handledTo) = (0, 0, 0, 0)
        bytes = []
        append(request)
        ends = true
    }

    /// Ends the input behind what waits.
    mutating func finish() { ends = true }

    mutating func wrote(_ count: Int) {
        written += count
        if written == bytes.count {
            drop()
        } else if written >= ProgramInput.most {
            bytes.removeFirst(written)
            written = 0
        }
    }

    /// Records how far the program has read: `unread` bytes of what was written are still in the pipe.
    mutating func look(unread: Int) {
        let position = end - lost - unwritten.count - unread
        guard position > readTo else { return }
        (handledTo, readTo) = (readTo, position)
    }

    /// The program waits for its input, or has ended in order: it is done with what it has read.
    mutating func cameBack() { handledTo = readTo }

    /// Takes out the next message of which the program has read all bytes; returns its cost. `takeHandledMessage` follows.
    @inline(__always) mutating func takeReadMessage() -> Int? { messages.isEmpty ? nil : takeFirstIfRead() }

    private mutating func takeFirstIfRead() -> Int? {
        guard let first = messages.first, messageEnds.taken + Int(first.distance) <= readTo else { return nil }
        messageEnds.taken += Int(first.distance)
        messages.removeFirst()
        unhandled.append(messageEnds.taken)
        return Int(first.cost)
    }

    /// Takes out the next message that the program is done with; false where there is none.
    @inline(__always) mutating func takeHandledMessage() -> Bool { unhandled.isEmpty ? false : takeFirstIfHandled() }

    private mutating func takeFirstIfHandled() -> Bool {
        guard let end = unhandled.first, end <= handledTo else { return false }
        unhandled.removeFirst()
        return true
    }

    /// Takes out the next message that the program will not be done with any more; returns what it still costs, which is
    /// nothing where it was read.
    mutating func takeLostMessage() -> Int? {
        if isGone, !unhandled.isEmpty {
            unhandled.removeFirst()
            return 0
        }
        guard isBroken, let first = messages.first else { return nil }
        messages.removeFirst()
        return Int(first.cost)
    }

    /// Whether a byte that was added is not read.
    var hasUnread: Bool { readTo < end - lost }

    /// Lets go of what waits.
    mutating func drop() {
        lost += unwritten.count
        bytes.removeAll(keepingCapacity: bytes.capacity <= ProgramInput.most)
        written = 0
    }

    /// The program has closed its standard input, or is gone: `isGone`.
    mutating func broke(isGone: Bool = false) {
        isBroken = true
        self.isGone = isGone
        drop()
    }

    /// How many bytes were not read by a program of whose input `unread` bytes are still in the pipe.
    func left(unread: Int) -> Int { unread + unwritten.count + lost }

    /// The next program reads.
    mutating func started() { (isBroken, isGone) = (false, false) }
}
