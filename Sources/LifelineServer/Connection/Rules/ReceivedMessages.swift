import Framing

/// The one-way messages of the client: how many came and are handled, and the credit for them (Protocol.md, section 3.8).
///
/// Without credit it counts alone.
struct ReceivedMessages {
    /// What both sides count where credit is in force, in the cost of messages since the connection began.
    private struct Offer {
        /// How much may wait here.
        let window: UInt64
        /// The highest limit that the client was told.
        var limit: UInt64
        /// What the messages cost that have begun to come.
        var begun: UInt64 = 0
        /// Whether the last of them is not whole.
        var isComing = false
        /// What those cost that take no room any more.
        var released: UInt64 = 0
        /// The count of handled messages that the client was told.
        var told: UInt64 = 0
    }

    private var offer: Offer?
    /// How many have come whole.
    private(set) var count: UInt64 = 0
    /// How many of them the handler is done with.
    private(set) var handled: UInt64 = 0
    /// How many of them were thrown away.
    private(set) var discarded: UInt64 = 0

    /// Whether credit is in force.
    @inline(__always) var hasCredit: Bool { offer != nil }
    /// How many of those that came are neither handled nor thrown away.
    @inline(__always) var pending: UInt64 { count - handled - discarded }
    /// How many of those that came are not handled.
    var unhandled: UInt64 { count - handled }

    /// Whether a message comes in chunks and is not whole.
    var isComing: Bool { offer?.isComing ?? false }

    /// Puts credit in force. The client was told the first `limit`, of the `window` that may wait here at most.
    mutating func offer(_ limit: UInt64, of window: UInt64? = nil) {
        offer = Offer(window: window ?? limit, limit: limit)
    }

    /// The first frame of a message begins; throws where the client was to wait (3.8-1).
    mutating func begin() throws(Violation) {
        guard let offer else { return }
        guard offer.begun < offer.limit else {
            throw Violation(
                .protocolError,
                "a message came without credit: those before it cost \(offer.begun), and the limit is \(offer.limit)")
        }
        self.offer?.begun += UInt64(Credit.cost(of: 0))
        self.offer?.isComing = true
    }

    /// `count` bytes of the message came.
    @inline(__always) mutating func add(_ count: Int) { if offer != nil { offer!.begun += UInt64(count) } }

    /// The message is whole.
    mutating func end() {
        count += 1
        if offer != nil { offer!.isComing = false }
    }

    /// The handler is done with a message of this cost.
    mutating func handle(cost: Int) {
        handled += 1
        release(cost)
    }

    /// A message of this cost takes no room any more, before it is handled or thrown away.
    mutating func free(cost: Int) { release(cost) }

    /// A message of this cost is thrown away: it gives its room back.
    mutating func discard(cost: Int) {
        discarded += 1
        release(cost)
    }

    /// These many are thrown away, and nothing is to come any more.
    mutating func discard(count: Int) { discarded += UInt64(count) }

    private mutating func release(_ cost: Int) {
        precondition(handled + discarded <= count, "a message was handled twice")
        if offer != nil { offer!.released += UInt64(cost) }
    }

    /// The CREDIT that is due because half of what can be offered is free again; the client is told it then. The client
    /// can begin a message, once no other waits, by this alone: what it was told and has used up is more than half.
    ///
    /// No more than `room` is offered beside what waits: it is what the memory of the server has for more messages.
    @inline(__always) mutating func due(room: Int = .max) -> Credit? {
        guard let offer else { return nil }
        let step = min(offer.window, UInt64(room)) / 2
        guard limit(of: offer, room) >= offer.limit + max(step, 1) else { return nil }
        return tell(room)
    }

    /// The CREDIT that tells how many are handled, where the client does not know that yet; it is told it then.
    @inline(__always) mutating func news(room: Int = .max) -> Credit? {
        guard let offer, offer.told < handled else { return nil }
        return tell(room)
    }

    private func limit(of offer: Offer, _ room: Int) -> UInt64 {
        min(offer.released + offer.window, offer.begun + UInt64(room))
    }

    private mutating func tell(_ room: Int) -> Credit? {
        guard var offer else { return nil }
        offer.limit = max(offer.limit, limit(of: offer, room))
        offer.told = handled
        self.offer = offer
        return Credit(limit: offer.limit, handled: handled)
    }
}
