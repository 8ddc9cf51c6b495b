import Basics

/// Which message of an outbox it is. The requests of both sides have ids of their own, so an id alone may stand for two.
@usableFromInline
struct MessageKey: Equatable, Sendable {
    /// The id of the request; 0 for a one-way message.
    let id: UInt32
    /// Whether it is a request of this side, and not the ending of one of the other.
    let isRequest: Bool

    init(_ type: FrameType, _ id: UInt32) {
        self.id = id
        isRequest = type == .request || type == .cancel
    }

    /// Of a frame that is part of no message.
    static let none = MessageKey(.message, 0)
    static func request(_ id: UInt32) -> MessageKey { MessageKey(.request, id) }
    static func ending(_ id: UInt32) -> MessageKey { MessageKey(.response, id) }
}

/// The frames that one side has put into bytes and the kernel has not taken, with their places in the stream.
///
/// A place in the stream counts from the connection's first byte, so it stays right when bytes that are gone are
/// cleared away.
@usableFromInline
struct StagedFrames: Sendable {
    /// Where a message, from its first chunk to its last, or a frame that stands for one, lies in the stream.
    struct Mark {
        let key: MessageKey
        var start: UInt64
        var end: UInt64
        /// What the message counts until its last byte is gone.
        let cost: Int
        var isRefusal = false
    }

    /// A place where bytes were removed.
    struct Gap {
        let start: UInt64
        let length: UInt64

        /// Where what lay at `place` lies now.
        func closed(at place: UInt64) -> UInt64 { place > start ? place - length : place }
    }

    /// Messages are staged while fewer bytes than this are.
    static let most = 16384
    /// All that a short connection sends as a rule, so that its memory is allocated once.
    private static let firstSize = 224

    @usableFromInline var bytes: [UInt8] = []
    /// How many of `bytes` the kernel has taken.
    @usableFromInline var head = 0
    /// Where in the stream `bytes` begins.
    @usableFromInline var base: UInt64 = 0
    /// A start of a frame in `bytes`, at or before `head`; the preface counts as part of what is before it.
    private var boundary = 0
    private var marks = Queue<Mark>()
    /// The end of the staged PONG, until it is gone.
    private var pongEnd: UInt64?

    /// Bytes that the kernel has taken since the start.
    @inline(__always) var sent: UInt64 { base + UInt64(head) }
    /// Where in the stream the next frame begins.
    @inline(__always) var end: UInt64 { base + UInt64(bytes.count) }
    /// Whether another frame of a message may be staged.
    @inline(__always) var hasRoom: Bool { bytes.count - head < StagedFrames.most }

    // MARK: What is put in

    /// Appends the preface, and the first frame behind it.
    mutating func greet(_ appendFrame: (inout [UInt8]) -> Void) {
        bytes.reserveCapacity(StagedFrames.firstSize)
        bytes.append(contentsOf: Preface.bytes)
        boundary = bytes.count
        appendFrame(&bytes)
    }

    /// Lets `cutOff` keep all that is staged now.
    mutating func keepAll() { boundary = bytes.count }

    /// Appends a chunk of a message.
    mutating func append(_ type: FrameType, _ flags: FrameFlags, _ id: UInt32, _ payload: ArraySlice<UInt8>) {
        bytes.append(header: type, flags, id: id, length: payload.count)
        bytes.append(contentsOf: payload)
    }

    /// Marks the message that lies between `start` and the end of what is staged.
    mutating func mark(_ key: MessageKey, from start: UInt64, cost: Int, isRefusal: Bool = false) {
        marks.append(Mark(key: key, start: start, end: end, cost: cost, isRefusal: isRefusal))
    }

    /// Whether a PONG is staged.
    var hasPong: Bool { pongEnd != nil }

    mutating func append(_ pong: Pong) {
        pong.append(to: &bytes)
        pongEnd = end
    }

    // MARK: What goes

    /// Records that the kernel accepted `count` bytes. The caller then calls `nextSent` until nil, and `pongIsSent`.
    mutating func wrote(_ count: Int) {
        head += count
        if head == bytes.count {
            base = sent
            bytes.removeAll(keepingCapacity: true)
            head = 0
            boundary = 0
        } else if head > 4 * StagedFrames.most, boundary < head {
            // After a drop the boundary is ahead, and only one frame and CLOSE are left: nothing has to be cleared.
            advanceBoundary(stopBefore: head)
            bytes.removeFirst(boundary)
            base += UInt64(boundary)
            head -= boundary
            boundary = 0
        }
    }

    /// Nothing is staged: gives the memory back.
    mutating func releaseMemory() {
        if bytes.isEmpty { bytes = [] }
    }

    /// Removes and returns the mark of a message whose last byte is gone.
    mutating func nextSent() -> Mark? {
        guard let mark = marks.first, mark.end <= sent else { return nil }
        marks.removeFirst()
        return mark
    }

    /// Whether the staged PONG has gone since the last call.
    mutating func pongIsSent() -> Bool {
        guard let pongEnd, pongEnd <= sent else { return false }
        self.pongEnd = nil
        return true
    }

    // MARK: What is taken out

    /// Whether the message `key` is marked and no byte of it is gone.
    func isUntouched(_ key: MessageKey) -> Bool { marks.contains { $0.key == key && $0.start >= sent } }

    /// Whether the message `key` is marked and its last byte is not gone.
    func isComing(_ key: MessageKey) -> Bool { marks.contains { $0.key == key && $0.end > sent } }

    /// Removes the frames of the message `key`, and moves up what is behind them; no frame may be begun. Returns the
    /// marks of the message, and each gap after the one before it was closed.
    mutating func unstage(_ key: MessageKey) -> (marks: [Mark], gaps: [Gap]) {
        let removed = marks.remove { $0.key == key }
        var gaps: [Gap] = []
        var index = boundary
        while index < bytes.count {
            let length = FrameHeader.length + Int(bytes.span.bigEndian(at: index, as: UInt32.self))
            guard index >= head, self.key(at: index) == key else {
                index += length
                continue
            }
            bytes.removeSubrange(index..<(index + length))
            close(Gap(start: base + UInt64(index), length: UInt64(length)))
            gaps.append(Gap(start: base + UInt64(index), length: UInt64(length)))
        }
        return (removed, gaps)
    }

    /// The message that the frame at `index` is a part of.
    private func key(at index: Int) -> MessageKey? {
        FrameType(rawValue: bytes[index + 4]).map { MessageKey($0, bytes.span.bigEndian(at: index + 8)) }
    }

    private mutating func close(_ gap: Gap) {
        for var mark in marks.remove(where: { $0.start >= gap.start }) {
            mark.start -= gap.length
            mark.end -= gap.length
            marks.append(mark)
        }
        pongEnd = pongEnd.map(gap.closed(at:))
    }

    /// Removes all but the frames that are begun.
    mutating func cutOff() {
        marks.removeAll()
        pongEnd = nil
        advanceBoundary(stopBefore: nil)
        bytes.removeSubrange(boundary...)
    }

    /// Moves `boundary` over the frames that have been begun: to the end of the last, or to the start of the one that
    /// `index` lies in.
    private mutating func advanceBoundary(stopBefore index: Int?) {
        while boundary < head {
            let length: UInt32 = bytes.span.bigEndian(at: boundary)
            let next = boundary + FrameHeader.length + Int(length)
            if let index, next > index { return }
            boundary = next
        }
    }
}
