import Basics

/// What one side has yet to send, in the order in which it must leave.
///
/// The rule of this file: only a little more than one frame is ever staged as bytes; messages wait behind it and are
/// cut into chunks as room comes. So a PONG, which is staged at once, never waits behind more than `stagedMost` bytes
/// and the frame that goes over it (Protocol.md, section 5.4), and a message is copied once, into the staged bytes.
public struct Outbox: Sendable {
    /// A message, or a frame that keeps its place among the messages.
    private enum Waiting {
        case message(Message)
        case frame([UInt8], id: UInt32, isRefusal: Bool)

        var id: UInt32 {
            switch self {
            case .message(let message): message.id
            case .frame(_, let id, _): id
            }
        }
        var cost: Int {
            if case .message(let message) = self { message.cost } else { 0 }
        }
        var start: UInt64? {
            if case .message(let message) = self { message.start } else { nil }
        }
        var isBegun: Bool { start != nil }
    }

    private struct Message {
        let type: FrameType
        let id: UInt32
        /// What is yet to be staged.
        var rest: ArraySlice<UInt8>
        /// Where in the stream its first chunk lies, once that is staged.
        var start: UInt64?
        var cost: Int
        /// Whether more of it will come: a response that is sent in parts.
        var isOpen = false
    }

    /// Where a message, from its first chunk to its last, lies in the stream.
    private struct Mark {
        let id: UInt32
        let start: UInt64
        let end: UInt64
        let cost: Int
        var isRefusal = false

        /// The same, `count` bytes nearer.
        func moved(by count: Int) -> Mark {
            Mark(
                id: id, start: start - UInt64(count), end: end - UInt64(count), cost: cost, isRefusal: isRefusal)
        }
    }

    /// Messages are staged while fewer bytes than this are.
    private static let stagedMost = 16384
    /// What a short connection is told in all, so that this is allocated once.
    private static let firstSize = 224

    @usableFromInline var staged: [UInt8] = []
    /// How much of `staged` the kernel has taken.
    @usableFromInline var head = 0
    /// A start of a frame in `staged`, at or before `head`; the preface counts as part of what is before it.
    private var boundary = 0
    /// Where in the stream `staged` begins.
    @usableFromInline var base: UInt64 = 0
    private var waiting = Queue<Waiting>()
    private var marks = Queue<Mark>()
    /// The end of the staged PONG in the stream, until it is gone.
    private var pongEnd: UInt64?
    /// The PONG that follows it: of several PINGs the latest wins.
    private var owedPong: Pong?
    private var isGreeted = false
    private var maxChunk = Int(Limits.leastMaxFrame)

    /// Whether CLOSE has been put in: nothing may follow it.
    public private(set) var isClosed = false
    /// Requests or their endings of which the last byte is not with the kernel yet; one-way messages do not count.
    public private(set) var count = 0
    /// The sum of their costs, as the caller gave them.
    public private(set) var cost = 0
    /// Refusals of which the last byte is not with the kernel yet; they count in nothing else (section 3.6).
    public private(set) var refusals = 0
    /// Bytes that the kernel has taken since the start.
    @inlinable public var sent: UInt64 { base + UInt64(head) }

    /// An outbox with nothing in it, before the handshake.
    public init() {}

    /// The bytes to hand to the kernel next; empty when there is nothing to send.
    @inlinable public var unsent: ArraySlice<UInt8> { staged[head...] }
    /// Whether there is nothing to send now.
    @inlinable public var isEmpty: Bool { head == staged.count }

    /// Whether `unsent` ends with CLOSE, so that nothing is ever sent behind it.
    @inlinable public var endsWithClose: Bool { isClosed && nothingWaits }
    @usableFromInline var nothingWaits: Bool { waiting.isEmpty }

    /// The kernel has taken `count` bytes of `unsent`.
    public mutating func wrote(_ count: Int) {
        head += count
        let sent = self.sent
        while let mark = marks.first, mark.end <= sent {
            marks.removeFirst()
            if mark.isRefusal { refusals -= 1 } else { uncount(mark.id, mark.cost) }
        }
        if head == staged.count {
            base = sent
            staged.removeAll(keepingCapacity: true)
            head = 0
            boundary = 0
        } else if head > 4 * Outbox.stagedMost, boundary < head {
            // After a drop the boundary is ahead, and only one frame and CLOSE are left: nothing has to be cleared.
            advanceBoundary(stopBefore: head)
            staged.removeFirst(boundary)
            base += UInt64(boundary)
            head -= boundary
            boundary = 0
        }
        if let pongEnd, pongEnd <= sent {
            self.pongEnd = nil
            if let owedPong {
                self.owedPong = nil
                answer(with: owedPong)
            }
        }
        stage()
    }

    // MARK: The handshake

    /// The client's preface and HELLO.
    public mutating func greet(_ hello: Hello) {
        greet { hello.append(to: &$0) }
        boundary = staged.count  // A client says nothing, not even CLOSE, before its HELLO.
    }

    /// The server's preface and WELCOME; `maxFrame` is what the client accepts.
    public mutating func greet(_ welcome: Welcome, maxFrame: UInt32) {
        greet { welcome.append(to: &$0) }
        setMaxFrame(maxFrame)
    }

    /// The longest chunk from now on: what the peer accepts, but no more than keeps heartbeats quick.
    public mutating func setMaxFrame(_ maxFrame: UInt32) {
        maxChunk = Int(min(maxFrame, Limits.defaultMaxFrame))
    }

    private mutating func greet(_ append: (inout [UInt8]) -> Void) {
        isGreeted = true
        staged.reserveCapacity(Outbox.firstSize)
        staged.append(contentsOf: Preface.bytes)
        boundary = staged.count
        append(&staged)
    }

    // MARK: Heartbeats, and frames that overtake messages

    /// Sends a PING ahead of the messages that wait.
    public mutating func ping(_ nonce: UInt64) {
        guard !isClosed else { return }
        staged.append(header: .ping, length: 8)
        staged.append(words: [nonce.high, nonce.low])
    }

    /// Answers a PING. At most one PONG is owed: while one is on its way out, the latest takes the next place. While
    /// CLOSE waits behind a long message, hearts go on beating.
    public mutating func answer(with pong: Pong) {
        guard !endsWithClose else { return }
        if pongEnd != nil {
            owedPong = pong
        } else {
            pong.append(to: &staged)
            pongEnd = base + UInt64(staged.count)
        }
    }

    /// Cancels a request; what is left of one that is being sent in chunks is not sent any more.
    public mutating func cancel(_ id: UInt32) {
        guard !isClosed else { return }
        removeWaiting(id)
        staged.append(header: .cancel, id: id, length: 0)
    }

    /// Sends GOAWAY ahead of the messages that wait.
    public mutating func goAway(_ goAway: GoAway) {
        guard !isClosed else { return }
        goAway.append(to: &staged)
    }

    // MARK: Messages

    /// Queues a message, in as many chunks as the peer's max_frame asks for. `cost` is counted in `cost` until the
    /// last byte of it is with the kernel.
    public mutating func send(_ type: FrameType, id: UInt32 = 0, _ payload: ArraySlice<UInt8>, cost: Int) {
        guard !isClosed else { return }
        count(id, cost)
        if mayStage, payload.count <= maxChunk {
            stage(type, id, payload, start: nil, cost: cost)
        } else {
            waiting.append(.message(Message(type: type, id: id, rest: payload, cost: cost)))
            stage()
        }
    }

    /// Queues a part of the response `id`, which begins with the first of them and ends with the one that `isLast`.
    ///
    /// Its parts are one message: they are cut into chunks as room comes. It is counted, with `cost`, from its last
    /// part on; until then it is `streamed` that says how much of it waits.
    public mutating func send(part payload: ArraySlice<UInt8>, of id: UInt32, isLast: Bool, cost: Int) {
        guard !isClosed else { return }
        if isLast { count(id, cost) }
        let known = waiting.replaceFirst { waiting in
            guard case .message(var message) = waiting, message.id == id else { return nil }
            message.rest += payload
            message.isOpen = !isLast
            message.cost = isLast ? cost : 0
            return .message(message)
        }
        if !known {
            waiting.append(
                .message(
                    Message(type: .response, id: id, rest: payload, cost: isLast ? cost : 0, isOpen: !isLast)))
        }
        stage()
    }

    /// How many bytes of the response `id` wait that is sent in parts.
    public func streamed(of id: UInt32) -> Int {
        var bytes = 0
        _ = waiting.contains {
            guard case .message(let message) = $0, message.id == id else { return false }
            bytes = message.rest.count
            return true
        }
        return bytes
    }

    /// Queues a FAILURE behind the messages that wait; it is counted in `count`, and costs nothing.
    ///
    /// A response that is sent in parts it ends where that is (section 4.9): messages that wait behind the response would
    /// else come between its chunks.
    public mutating func fail(_ id: UInt32, _ failure: Failure) {
        guard !isClosed else { return }
        count(id, 0)
        var frame: [UInt8] = []
        failure.append(id: id, to: &frame)
        let ending = Waiting.frame(frame, id: id, isRefusal: false)
        let isInPlace = waiting.replaceFirst { waiting in
            if case .message(let message) = waiting, message.id == id, message.isOpen { ending } else { nil }
        }
        if !isInPlace { waiting.append(ending) }
        stage()
    }

    /// Queues the FAILURE of a request that was not taken; it is counted in `refusals` alone.
    public mutating func refuse(_ id: UInt32, _ failure: Failure) {
        guard !isClosed else { return }
        refusals += 1
        var frame: [UInt8] = []
        failure.append(id: id, to: &frame)
        waiting.append(.frame(frame, id: id, isRefusal: true))
        stage()
    }

    /// Whether no byte of the message `id` has been handed to the kernel: it can be promised never to arrive.
    public func isUntouched(_ id: UInt32) -> Bool {
        waiting.contains { $0.id == id && $0.start ?? sent >= sent }
            || marks.contains { $0.id == id && $0.start >= sent }
    }

    /// Takes the message `id` out, unless the kernel has a byte of it (false) or it is not here (false).
    public mutating func withdraw(_ id: UInt32) -> Bool {
        guard isUntouched(id) else { return false }
        unstage(id)
        removeWaiting(id)
        stage()
        return true
    }

    /// Takes the staged frames of the message `id` out, of which none is begun, and moves up what is behind them.
    private mutating func unstage(_ id: UInt32) {
        for removed in marks.remove(where: { $0.id == id }) { uncount(id, removed.cost) }
        var index = boundary
        while index < staged.count {
            let length = FrameHeader.length + Int(staged.span.bigEndian(at: index, as: UInt32.self))
            guard index >= head, staged.span.bigEndian(at: index + 8, as: UInt32.self) == id else {
                index += length
                continue
            }
            staged.removeSubrange(index..<(index + length))
            let start = base + UInt64(index)
            for mark in marks.remove(where: { $0.start >= start }) { marks.append(mark.moved(by: length)) }
            if let pongEnd, pongEnd > start { self.pongEnd = pongEnd - UInt64(length) }
            if case .message(var message) = waiting.first, let begun = message.start, begun > start {
                message.start = begun - UInt64(length)
                waiting.replaceFirst(with: .message(message))
            }
        }
    }

    /// Whether chunks of the message `id` are staged and others are not.
    public func isUnfinished(_ id: UInt32) -> Bool { waiting.contains { $0.id == id && $0.isBegun } }

    /// Whether the kernel has not taken the last byte of the message `id` yet.
    public func isComing(_ id: UInt32) -> Bool {
        !isEmpty && (waiting.contains { $0.id == id } || marks.contains { $0.id == id && $0.end > sent })
    }

    private mutating func removeWaiting(_ id: UInt32) {
        for removed in waiting.remove(where: { $0.id == id }) { uncount(id, removed.cost) }
    }

    private mutating func count(_ id: UInt32, _ cost: Int) {
        if id != 0 { count += 1 }
        self.cost += cost
    }

    private mutating func uncount(_ id: UInt32, _ cost: Int) {
        if id != 0 { count -= 1 }
        self.cost -= cost
    }

    // MARK: The end

    /// Puts CLOSE behind everything that waits (an orderly end).
    public mutating func close(_ close: Close) {
        guard !isClosed else { return }
        greetForClose()
        if mayStage {
            close.append(to: &staged)
        } else {
            waiting.append(.frame(close.frame, id: 0, isRefusal: false))
            stage()
        }
        isClosed = true
    }

    /// Puts CLOSE, and GOAWAY before it where there is one, behind the frame that has been begun and discards the rest (a
    /// drop, section 7.5).
    public mutating func cutOff(_ close: Close, behind goAway: GoAway? = nil) {
        guard !isClosed else { return }
        waiting.removeAll()
        marks.removeAll()
        count = 0
        cost = 0
        refusals = 0
        owedPong = nil
        pongEnd = nil
        advanceBoundary(stopBefore: nil)
        staged.removeSubrange(boundary...)
        greetForClose()
        goAway?.append(to: &staged)
        close.append(to: &staged)
        isClosed = true
    }

    private mutating func greetForClose() {
        if !isGreeted { greet { _ in } }
    }

    /// Moves `boundary` over the frames that have been begun: to the end of the last, or to the start of the one that
    /// `index` lies in.
    private mutating func advanceBoundary(stopBefore index: Int?) {
        while boundary < head {
            let length: UInt32 = staged.span.bigEndian(at: boundary)
            let next = boundary + FrameHeader.length + Int(length)
            if let index, next > index { return }
            boundary = next
        }
    }

    // MARK: Staging

    /// Whether something can be staged at once.
    private var mayStage: Bool { waiting.isEmpty && staged.count - head < Outbox.stagedMost }

    private mutating func stage() {
        while staged.count - head < Outbox.stagedMost, let first = waiting.first {
            switch first {
            case .frame:
                waiting.removeFirst()
                stage(first)
            case .message(let message) where message.rest.isEmpty && message.isOpen:
                // Its next part is not there yet. Only frames may pass it: chunks of two messages are never mixed.
                for frame in waiting.remove(where: { if case .frame = $0 { true } else { false } }) { stage(frame) }
                return
            case .message(let message) where message.rest.count <= maxChunk && !message.isOpen:
                waiting.removeFirst()
                stage(message.type, message.id, message.rest, start: message.start, cost: message.cost)
            case .message(var message):
                message.start = message.start ?? base + UInt64(staged.count)
                append(message.type, .more, message.id, message.rest.prefix(maxChunk))
                message.rest = message.rest.dropFirst(maxChunk)
                waiting.replaceFirst(with: .message(message))
            }
        }
    }

    private mutating func stage(_ waiting: Waiting) {
        guard case .frame(let frame, let id, let isRefusal) = waiting else { return }
        let start = base + UInt64(staged.count)
        staged.append(contentsOf: frame)
        marks.append(Mark(id: id, start: start, end: base + UInt64(staged.count), cost: 0, isRefusal: isRefusal))
    }

    /// Stages the last or only chunk of a message; `start` is where its first lies, if it has another.
    private mutating func stage(
        _ type: FrameType, _ id: UInt32, _ payload: ArraySlice<UInt8>, start: UInt64?, cost: Int
    ) {
        let start = start ?? base + UInt64(staged.count)
        append(type, [], id, payload)
        marks.append(Mark(id: id, start: start, end: base + UInt64(staged.count), cost: cost))
    }

    private mutating func append(_ type: FrameType, _ flags: FrameFlags, _ id: UInt32, _ payload: ArraySlice<UInt8>) {
        staged.append(header: type, flags, id: id, length: payload.count)
        staged.append(contentsOf: payload)
    }
}
