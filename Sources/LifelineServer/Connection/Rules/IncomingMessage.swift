import Basics
import Framing

/// The message that comes in chunks: a request that is served or refused, or a one-way message.
struct IncomingMessage {
    struct IncomingRequest {
        let id: UInt32
        /// How many bytes have come.
        var bytes = 0
        /// When its first frame came.
        let since: Instant
    }

    private var assembler = MessageAssembler()
    /// The request that comes in chunks; nil for a message, and for a request that was refused.
    private(set) var request: IncomingRequest?
    /// The refused request whose chunks are thrown away as they come (3.6-10).
    private var refused: UInt32?

    /// The bytes of the message that comes in chunks.
    @inline(__always) var held: Int { assembler.count }

    /// The first chunk of the request `id` has come.
    mutating func begin(_ id: UInt32, at now: Instant) { request = IncomingRequest(id: id, since: now) }

    /// The request `id` is refused: what has come of it, and what still comes, is thrown away.
    mutating func refuse(_ id: UInt32) {
        abandon()
        refused = id
    }

    /// Throws `part` away where it belongs to the refused request: true.
    mutating func discards(_ part: MessagePart) -> Bool {
        guard refused == part.id else { return false }
        if part.isLast { refused = nil }
        return true
    }

    /// Adds `part`, which stands in `buffer`. Returns the message where this was its last chunk, and when its first one
    /// came.
    @inline(__always) mutating func add(
        _ part: MessagePart, of buffer: [UInt8], at now: Instant
    ) -> (bytes: ArraySlice<UInt8>, since: Instant)? {
        request?.bytes += part.range.count
        guard let bytes = assembler.add(part, of: buffer) else { return nil }
        defer { request = nil }
        return (bytes, request?.since ?? now)
    }

    /// The client takes the request `id` back: true where its chunks were coming and it was to be served.
    mutating func cancel(_ id: UInt32) -> Bool {
        if refused == id { refused = nil }
        guard request?.id == id else { return false }
        abandon()
        return true
    }

    /// Forgets what has come: the rest of it will not be used.
    mutating func abandon() {
        request = nil
        assembler.abandon()
    }
}
