import Basics

/// The queue of what one side has yet to send: staged frames, and the messages that wait behind them.
///
/// Little more than one frame is ever staged as bytes. Messages wait behind it, and are cut into chunks as room comes.
/// So a PONG, which is staged at once, waits behind 16,384 staged bytes and one frame at most (Protocol.md, section
/// 5.4). A message is copied once, into the staged bytes. Once the send window is on, messages wait for that too: what
/// lies beyond the kernel is bounded as well (section 5.12).
///
/// Heartbeats and the send window are in Outbox+Heartbeats.swift, and what is sent in Outbox+Messages.swift. The properties
/// that these files share are internal for that alone.
public struct Outbox: Sendable {
    /// A message, or a frame that keeps its place among the messages.
    @usableFromInline enum Waiting: Sendable {
        case message(Message)
        case frame([UInt8], MessageKey, isRefusal: Bool)

        var key: MessageKey {
            switch self {
            case .message(let message): message.key
            case .frame(_, let key, _): key
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

    @usableFromInline struct Message: Sendable {
        let type: FrameType
        let id: UInt32
        var key: MessageKey { MessageKey(type, id) }
        /// What is yet to be staged.
        var rest: ArraySlice<UInt8>
        /// Where in the stream its first chunk lies, once that is staged.
        var start: UInt64?
        var cost: Int
        /// Whether more of it will come: a response that is sent in parts.
        var isOpen = false
    }

    /// What is next on its way to the kernel.
    @usableFromInline var staged = StagedFrames()
    /// What is staged when there is room.
    @usableFromInline var waiting = Queue<Waiting>()
    /// The PONG that follows the staged one: of several PINGs the latest wins.
    var owedPong: Pong?
    private var isGreeted = false
    @usableFromInline var window = SendWindow()
    /// The longest chunk that the peer accepts and heartbeats allow.
    private var maxFrame = Int(Limits.leastMaxFrame)
    /// The longest chunk now: a part of the send window, so that a PING comes between two chunks.
    var maxChunk = Int(Limits.leastMaxFrame)
    /// The least `maxChunk`: below it the headers would be too large a share.
    private static let leastChunk = 512
    /// The PINGs that the kernel has not accepted whole.
    var pings = Queue<StagedPing>()
    /// The nonce of the last PING that left since `takeLeftPing`; 0 where none did.
    var leftPing: UInt64 = 0

    struct StagedPing {
        let nonce: UInt64
        /// Where in the stream it ends.
        var end: UInt64
    }

    /// Whether CLOSE is queued: nothing may follow it.
    public private(set) var isClosed = false
    /// How many requests, or their endings, the kernel has not accepted whole; one-way messages do not count.
    public private(set) var count = 0
    /// How many of them are requests of this side.
    public private(set) var requests = 0
    /// How many of them are endings of the other side's requests.
    public var endings: Int { count - requests }
    /// The sum of the costs of all that the kernel has not accepted whole, as the caller gave them.
    public private(set) var cost = 0
    /// The part of `cost` that is of one-way messages.
    public private(set) var messageCost = 0
    /// How many refusals the kernel has not accepted whole; they count in nothing else (section 3.6).
    public internal(set) var refusals = 0
    /// Bytes that the kernel has accepted since the start.
    @inlinable public var sent: UInt64 { staged.base + UInt64(staged.head) }

    /// An outbox with nothing in it, before the handshake.
    public init() {}

    /// The bytes to hand to the kernel next; empty when there is nothing to send.
    @inlinable public var unsent: ArraySlice<UInt8> { staged.bytes[staged.head...] }
    /// Whether there is nothing to send now.
    @inlinable public var isEmpty: Bool { staged.head == staged.bytes.count }
    /// How many messages and frames wait to be staged.
    public var waitingCount: Int { waiting.count }
    /// Whether messages wait for a PONG, and not for the kernel.
    @inlinable public var isHeldBack: Bool { window.staged >= window.closesAt && !nothingWaits }
    // Inlined: for a call the whole outbox would be copied.
    /// Whether there is nothing to send now, and nothing waits for a PONG.
    @inlinable @inline(__always) public var isDone: Bool { isEmpty && !isHeldBack && !wantsPing }

    /// Whether `unsent` ends with CLOSE, so that nothing is ever sent behind it.
    @inlinable public var endsWithClose: Bool { isClosed && nothingWaits }
    @inlinable var nothingWaits: Bool { waiting.isEmpty }

    /// Records that the kernel has accepted `count` bytes of `unsent`, and stages what there is room for.
    public mutating func wrote(_ count: Int) {
        staged.wrote(count)
        while let mark = staged.nextSent() {
            if mark.isRefusal { refusals -= 1 } else { uncount(mark.key, mark.cost) }
        }
        while let ping = pings.first, ping.end <= sent {
            leftPing = ping.nonce
            pings.removeFirst()
        }
        if staged.pongIsSent(), let owedPong {
            self.owedPong = nil
            answer(with: owedPong)
        }
        stage()
    }

    /// Gives back the memory of bytes that are gone, where nothing is to be sent: the next frame allocates anew.
    public mutating func releaseMemory() {
        if isEmpty, waiting.isEmpty { staged.releaseMemory() }
    }

    /// A message of which some chunks are staged and others are not.
    public struct Unfinished: Equatable, Sendable {
        /// A request of this side, an answer to one of the other, or a one-way message.
        public let type: FrameType
        /// The id of its request; 0 for a one-way message.
        public let id: UInt32
        /// Where in the stream its first chunk lies. No other message has it.
        public let start: UInt64
        /// Its cost, as the caller gave it.
        public let cost: Int
        /// How many bytes of it are not staged.
        public let rest: Int
    }

    /// The message that has begun and of which more waits; nil where there is none.
    public var unfinished: Unfinished? {
        guard case .message(let message)? = waiting.first, let start = message.start else { return nil }
        return Unfinished(
            type: message.type, id: message.id, start: start, cost: message.cost, rest: message.rest.count)
    }

    // MARK: The handshake

    /// Stages the client's preface and HELLO.
    public mutating func greet(_ hello: Hello) {
        greet { hello.append(to: &$0) }
        staged.keepAll()  // A client says nothing, not even CLOSE, before its HELLO.
    }

    /// Stages the server's preface and WELCOME; `maxFrame` is what the client accepts.
    public mutating func greet(_ welcome: Welcome, maxFrame: UInt32) {
        greet { welcome.append(to: &$0) }
        setMaxFrame(maxFrame)
    }

    /// Sets the longest chunk from now on: what the peer accepts, but no more than keeps heartbeats quick.
    public mutating func setMaxFrame(_ maxFrame: UInt32) {
        self.maxFrame = Int(min(maxFrame, Limits.defaultMaxFrame))
        updateMaxChunk()
    }

    mutating func updateMaxChunk() {
        maxChunk = min(maxFrame, max(window.limit / (window.limit < SendWindow.mostAtFirst ? 4 : 2), Outbox.leastChunk))
    }

    private mutating func greet(_ append: (inout [UInt8]) -> Void) {
        isGreeted = true
        staged.greet(append)
    }

    // MARK: Counts

    mutating func count(_ key: MessageKey, _ cost: Int) {
        if key.id != 0 { count += 1 } else { messageCost += cost }
        if key.isRequest { requests += 1 }
        self.cost += cost
    }

    mutating func uncount(_ key: MessageKey, _ cost: Int) {
        if key.id != 0 { count -= 1 } else { messageCost -= cost }
        if key.isRequest { requests -= 1 }
        self.cost -= cost
    }

    // MARK: The end

    /// Queues CLOSE behind everything that waits: an orderly end.
    public mutating func close(_ close: Close) {
        guard !isClosed else { return }
        greetForClose()
        if mayStage {
            close.append(to: &staged.bytes)
        } else {
            waiting.append(.frame(close.frame, .none, isRefusal: false))
            stage()
        }
        isClosed = true
    }

    /// Stages CLOSE, and GOAWAY before it where there is one, behind the frame that is begun, and discards the rest: a
    /// drop (section 7.5).
    public mutating func cutOff(_ close: Close, behind goAway: GoAway? = nil) {
        guard !isClosed else { return }
        waiting.removeAll()
        staged.cutOff()
        window.stop()
        pings.removeAll()
        (count, requests, cost, messageCost, refusals) = (0, 0, 0, 0, 0)
        owedPong = nil
        greetForClose()
        goAway?.append(to: &staged.bytes)
        close.append(to: &staged.bytes)
        isClosed = true
    }

    private mutating func greetForClose() {
        if !isGreeted { greet { _ in } }
    }

    // MARK: Staging

    /// Whether something can be staged at once.
    var mayStage: Bool { waiting.isEmpty && staged.hasRoom && window.isOpen && !window.wantsProbe }

    mutating func stage() {
        while staged.hasRoom, let first = waiting.first {
            switch first {
            case .frame:
                waiting.removeFirst()
                stage(first)
            case .message(let message) where message.rest.isEmpty && message.isOpen:
                // Its next part is not there yet. Only frames may pass it: chunks of two messages are never mixed.
                for frame in waiting.remove(where: { if case .frame = $0 { true } else { false } }) { stage(frame) }
                return
            case .message where !window.isOpen:
                return window.holdBack()
            case .message where window.wantsProbe:
                return
            case .message(let message) where message.rest.count <= maxChunk && !message.isOpen:
                waiting.removeFirst()
                stage(message.type, message.id, message.rest, start: message.start, cost: message.cost)
            case .message(var message):
                message.start = message.start ?? staged.end
                let chunk = message.rest.prefix(maxChunk)
                staged.append(message.type, .more, message.id, chunk)
                window.stage(FrameHeader.length + chunk.count)
                message.rest = message.rest.dropFirst(maxChunk)
                waiting.replaceFirst(with: .message(message))
            }
        }
    }

    private mutating func stage(_ waiting: Waiting) {
        guard case .frame(let frame, let key, let isRefusal) = waiting else { return }
        let start = staged.end
        staged.bytes.append(contentsOf: frame)
        staged.mark(key, from: start, cost: 0, isRefusal: isRefusal)
    }

    /// Stages the last or only chunk of a message; `start` is where its first lies, if it has another.
    mutating func stage(
        _ type: FrameType, _ id: UInt32, _ payload: ArraySlice<UInt8>, start: UInt64?, cost: Int
    ) {
        let start = start ?? staged.end
        staged.append(type, [], id, payload)
        window.stage(FrameHeader.length + payload.count)
        staged.mark(MessageKey(type, id), from: start, cost: cost)
    }
}
