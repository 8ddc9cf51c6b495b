/// One step of a decoder: a whole control frame, or a stretch of a message.
///
/// The frames that are rare and own memory are indirect, so that the common ones are few bytes to hand over.
public enum Frame: Equatable, Sendable {
    /// HELLO (section 4.1).
    indirect case hello(Hello)
    /// WELCOME (section 4.2).
    indirect case welcome(Welcome)
    /// PING (section 4.3).
    case ping(nonce: UInt64)
    /// PONG (section 4.4).
    case pong(Pong)
    /// A stretch of a REQUEST, RESPONSE or MESSAGE.
    case part(MessagePart)
    /// CANCEL (section 4.8).
    case cancel(id: UInt32)
    /// FAILURE (section 4.9).
    indirect case failure(id: UInt32, Failure)
    /// GOAWAY (section 4.10).
    indirect case goAway(GoAway)
    /// CLOSE (section 4.11).
    indirect case close(Close)
    /// CREDIT (section 4.13).
    case credit(Credit)
}

/// A stretch of one message, still where the caller put the bytes: nothing is copied.
public struct MessagePart: Equatable, Sendable {
    /// `.request`, `.response` or `.message`.
    public let type: FrameType
    /// The request's id; 0 for a one-way message.
    public let id: UInt32
    /// Where it stands in the bytes that the decoder was given.
    public let range: Range<Int>
    /// Whether the message begins here.
    public let isFirst: Bool
    /// Whether the message ends here.
    public let isLast: Bool
    /// Whether its frame begins here. A frame that comes in pieces has a part for each.
    public internal(set) var beginsFrame = true
    /// The bytes of its frame that it stands for: its own, and those of the header where the frame begins here.
    public var frameLength: UInt64 { UInt64(range.count + (beginsFrame ? FrameHeader.length : 0)) }
}

/// Joins the parts of one message after another. A message that came in one part is not copied.
///
/// The length of a message is not known before its last chunk. So a long one is kept in blocks, and joined in memory of
/// its own length when it is whole: one array that grows would have up to twice as much.
public struct MessageAssembler: Sendable {
    private static let blockSize = 65536
    /// A message that is longer than this gets a whole block.
    private static let mostGrown = 16384

    /// What came, in blocks that are full.
    private var blocks: [[UInt8]] = []
    /// What came behind them.
    private var rest: [UInt8] = []

    /// How many bytes have come of a message that is not whole.
    public var count: Int { blocks.count * MessageAssembler.blockSize + rest.count }

    /// An assembler with no message begun.
    public init() {}

    /// Adds `part`, which stands in `bytes`, and returns the message if this was its end.
    public mutating func add(_ part: MessagePart, of bytes: [UInt8]) -> ArraySlice<UInt8>? {
        if part.isFirst {
            if part.isLast { return bytes[part.range] }
            abandon()
        }
        append(bytes[part.range])
        guard part.isLast else { return nil }
        defer { abandon() }
        return blocks.isEmpty ? rest[...] : join()
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        var bytes = bytes
        while rest.count + bytes.count > MessageAssembler.blockSize {
            let fitting = bytes.prefix(MessageAssembler.blockSize - rest.count)
            rest.reserveCapacity(MessageAssembler.blockSize)
            rest.append(contentsOf: fitting)
            bytes = bytes.dropFirst(fitting.count)
            blocks.append(rest)
            rest = []
        }
        if !blocks.isEmpty || rest.count + bytes.count > MessageAssembler.mostGrown {
            rest.reserveCapacity(MessageAssembler.blockSize)
        }
        rest.append(contentsOf: bytes)
    }

    /// Copies the blocks behind each other, and lets go of each that is copied.
    private mutating func join() -> ArraySlice<UInt8> {
        let length = blocks.count * MessageAssembler.blockSize + rest.count
        return [UInt8](unsafeUninitializedCapacity: length) { memory, count in
            for index in blocks.indices {
                count = memory[count...].initialize(fromContentsOf: blocks[index])
                blocks[index] = []
            }
            count = memory[count...].initialize(fromContentsOf: rest)
        }[...]
    }

    /// Forgets a message that will not be ended.
    public mutating func abandon() {
        if !blocks.isEmpty { blocks = [] }
        rest = []
    }
}
