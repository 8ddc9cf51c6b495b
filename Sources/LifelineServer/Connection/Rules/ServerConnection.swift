import Basics
import Framing
import Liveness

/// The server's side of one connection, from accept to its last byte: bytes and instants in, events and bytes out.
///
/// The loop that carries it out reports what the clock and the socket say (`resumed`, `received`, `endOfStream`,
/// `wrote`), takes events one by one (`next`), reports what the handler answers (`answer`, `fail`, `handlerReturned`),
/// sends `outbox`, and sleeps until `deadline`. The connection ends when it `isOver`.
///
/// Requests and answers are in ServerConnection+Requests.swift, the server's own requests in ServerConnection+Asks.swift,
/// the causes of an end in ServerConnection+Ending.swift, the table of what each cause does in each phase in EndCause.swift,
/// and what is due when in ServerConnection+Time.swift.
/// The properties that these files share are internal for that alone.
struct ServerConnection {
    /// What the loop has to bring to the handler.
    enum Event: Sendable {
        indirect case opened(Hello)
        case request(UInt32, ArraySlice<UInt8>)
        case message(ArraySlice<UInt8>)
        /// No answer to this request is awaited any more: it has its ending, or the connection has.
        case cancelled(UInt32)
        /// What became of a request of the server, by the token that `ask` was given.
        indirect case asked(UInt64, ServerRequests.AskOutcome)
        /// Others have said something, or what they said was lost.
        indirect case news(HandlerNews.NewsItem)
    }

    /// How far the connection has come. It only ever goes forward.
    enum Phase: UInt8, Comparable {
        /// HELLO has not come whole.
        case greeting
        /// Requests are served.
        case open
        /// Requests are served on, and CLOSE follows when each has its ending.
        case finishing
        /// CLOSE is queued; what is unsent and the client's end are waited for.
        case closing
        /// The socket can be closed.
        case over

        @inline(__always) static func < (one: Phase, other: Phase) -> Bool { one.rawValue < other.rawValue }
    }

    /// What is known about the end.
    struct ServerClosing {
        /// The GOAWAY that the client got, or gets behind WELCOME.
        var goAway: GoAway?
        /// The retry_after of a CLOSE that no GOAWAY precedes (section 7.7).
        var retryAfter: UInt32 = 0
        /// Why the connection ends.
        var reason = CloseReason.closed(.normal, "", by: .server)
        /// While finishing: whether the request or the message that comes in chunks is finished first (7.4-4).
        var awaitsIncoming = false
        /// While finishing: whether the handler is done with all messages first (3.8-9).
        var awaitsMessages = false
        /// When what came before the end, and is not answered and handled, is given up; nil where nothing bounds it yet.
        var handlingUntil: Instant?
        /// Whether the client itself has ended its stream, or reset the connection.
        var clientLeft = false
        /// Whether the client's CLOSE or the end of its stream has come.
        var clientIsDone = false
        /// Whether nothing that still comes is decoded: behind the client's CLOSE, and after a drop.
        var ignoresInput = false
        /// Set once CLOSE is queued.
        var linger: LingeringClose?
    }

    /// What HELLO says that is looked up with each request. The whole HELLO owns memory, and each look at it would
    /// count a reference.
    struct ClientTerms {
        let isShort: Bool
        let maxMessage: Int
    }

    let id: UInt64
    let terms: Terms
    /// The tokens of the clients that may connect; nil for all clients.
    private let tokens: Tokens?
    /// The name of the client's certificate, if it has a proved one; nil where none stands for a token.
    private let provedName: String??
    /// How long the handler gets what came before an end.
    let grace: Duration
    var heartbeat: ServerHeartbeat
    var decoder: FrameDecoder
    var incoming = IncomingMessage()
    var requests: RequestQueue
    var received = ReceivedMessages()
    var sentMessages = SentMessages()
    var outbox = Outbox()
    /// Nil where no empty message ever waits.
    var heldMessages: HeldMessages?
    /// Nil where the client answers no requests.
    var asks: ServerRequests?
    /// Nil where others have said nothing that the handler hears of.
    var news: HandlerNews?
    /// How many empty messages were lost at the end, because the client's bucket did not pay for them.
    var unpaidMessages = 0
    var phase = Phase.greeting
    var closing = ServerClosing()

    /// The client's name for itself, where it has one.
    private(set) var clientName: String?
    private(set) var client: ClientTerms?
    /// The name of the client's TOKEN, or of the certificate that stands for it, where it has one.
    private(set) var tokenName: String?
    /// What of the bytes received last is not decoded yet.
    private var undecoded = 0..<0
    /// Events for the handler that need not wait until it returns.
    var pendingEvents: [Event] = []
    /// Requests that have a response.
    var requestsAnswered: UInt64 = 0
    var counts = ConnectionCounts()
    private(set) var bytesIn: UInt64 = 0
    /// Bytes of the frames of requests and messages, headers included.
    private var messageBytesIn: UInt64 = 0
    /// The round trips that were proved and not fetched yet.
    private var roundTrips: [Duration] = []
    /// Nil where nothing limits it.
    var lifetime: ConnectionLifetime?
    /// How much it may hold of what all connections share.
    var share = MemoryShare.unlimited
    /// Why the client was sent away, until the loop has taken it.
    var sentAwayFor: ConnectionLifetime.Limit?
    /// How long after dead_after a client was dropped for its silence.
    var lateness: Duration?

    /// A connection that was accepted at an instant.
    ///
    /// - Parameters:
    ///   - id: The connection's number, which WELCOME tells the client.
    ///   - terms: What the server offers.
    ///   - handshakeTimeout: How long after `acceptedAt` HELLO must be whole.
    ///   - tokens: Which clients may connect; nil for all.
    ///   - provedName: The proved name of the client's certificate, if it has one, where that stands for a token; nil
    ///     where it does not.
    ///   - handlerTimeout: How long the handler may take for one request; nil for any time.
    ///   - lifetime: How long the connection may stay; nil for any time.
    ///   - grace: How long an orderly end waits for the messages that came before it.
    init(
        id: UInt64, terms: Terms, handshakeTimeout: Duration, acceptedAt: Instant, tokens: Tokens? = nil,
        provedName: String?? = nil, handlerTimeout: Duration? = nil,
        lifetime: ConnectionLifetime? = nil,
        grace: Duration = .seconds(10)
    ) {
        self.id = id
        self.grace = grace
        self.lifetime = lifetime
        self.terms = terms
        self.tokens = tokens
        self.provedName = provedName
        heartbeat = ServerHeartbeat(acceptedAt: acceptedAt, handshakeTimeout: handshakeTimeout)
        requests = RequestQueue(timeout: handlerTimeout)
        requests.now = acceptedAt
        decoder = FrameDecoder(from: .client, maxFrame: terms.maxFrame, maxMessage: terms.maxMessage)
    }

    // MARK: State
    // What is looked at each turn is inlined: for a call the whole connection would be copied.

    /// Whether HELLO has come and is accepted.
    @inline(__always) var hasGreeted: Bool { client != nil }
    @inline(__always) var isShort: Bool { client?.isShort ?? false }
    /// The longest message that the client accepts.
    @inline(__always) var longestAnswer: Int { client?.maxMessage ?? 0 }
    /// How many requests have no ending with the kernel yet.
    @inline(__always) var inFlight: Int {
        requests.count + (incoming.request == nil ? 0 : 1) + outbox.endings
    }
    /// Their bytes (3.6-7).
    @inline(__always) var queued: Int {
        requests.bytes + (incoming.request?.bytes ?? 0) + outbox.cost - outbox.messageCost
    }
    /// Whether the handler has not returned from what it was given last.
    @inline(__always) var isHandlerBusy: Bool { requests.isHandlerBusy }
    /// Requests that have their ending, but for those that were refused.
    @inline(__always) var requestsServed: UInt64 { counts.requests(answered: requestsAnswered) }
    /// Whether the handler overran its time, and is not waited for.
    var isStuck: Bool { requests.isStuck }
    /// Whether the handler has been given all that came for it: only then can it learn of the end.
    @inline(__always) var hasDispatchedAll: Bool { pendingEvents.isEmpty && requests.hasDispatchedAll }

    /// Whether a message that came is neither handled nor thrown away.
    @inline(__always) var hasPendingMessages: Bool { received.pending > 0 }
    /// Whether `next(at:)` has an event that need not wait for the handler.
    @inline(__always) var hasEvents: Bool { !pendingEvents.isEmpty }

    /// What an operator sees of it.
    @inline(__always) var activity: ConnectionActivity {
        if isClosing { return .closing }
        guard hasGreeted else { return .greeting }
        return inFlight > 0 ? .working : .idle
    }

    /// The round trips that were proved since the last call.
    mutating func fetchRoundTrips() -> [Duration] {
        guard !roundTrips.isEmpty else { return [] }
        defer { roundTrips = [] }
        return roundTrips
    }

    // MARK: What comes

    /// `count` bytes were read into the buffer that `next` gets.
    mutating func received(_ count: Int, at now: Instant) {
        bytesIn += UInt64(count)
        requests.now = now
        undecoded = 0..<count
        if !isClosing { heartbeat.heard(at: now) }
    }

    /// The next event in the bytes received; nil when they are used up.
    mutating func next(in buffer: [UInt8], at now: Instant) -> Event? {
        while !closing.ignoresInput {
            var offset = undecoded.lowerBound
            do throws(Violation) {
                let frame = try decoder.next(in: buffer.span.extracting(0..<undecoded.upperBound), at: &offset)
                undecoded = offset..<undecoded.upperBound
                guard let frame else {
                    heartbeat.frame(decoder.framesBegun, unfinishedLength: decoder.unfinishedLength, at: now)
                    return nil
                }
                if isClosing {
                    handleWhileClosing(frame, at: now)
                } else if let event = try handle(frame, of: buffer, at: now),
                    let dispatched = requests.dispatch(event, at: now)
                {
                    return dispatched
                }
            } catch {
                end(for: .violation, CloseCause(error), at: now)
            }
        }
        return nil
    }

    /// The next event that did not come with the bytes just received: a cancellation, or what waited until the handler
    /// returned.
    mutating func next(at now: Instant) -> Event? {
        guard pendingEvents.isEmpty else { return pendingEvents.removeFirst() }
        if phase == .finishing { beginGrace(at: now) }
        if news != nil, let event = nextNews() { return event }
        return requests.next(at: now)
    }

    private mutating func handle(_ frame: Frame, of buffer: [UInt8], at now: Instant) throws(Violation) -> Event? {
        switch frame {
        case .hello(let hello):
            try greet(hello, at: now)
            return .opened(hello)
        case .ping(let nonce):
            try heartbeat.spendToken(for: .ping(behind: messageBytesIn), at: now)
            tellHandled()
            outbox.answer(with: pong(nonce, at: now))
        case .pong(let pong):
            let time = try heartbeat.ponged(pong.nonce, at: now)
            if let time { roundTrips.append(time) }
            proved(pong.nonce, roundTrip: time, at: now)
        case .part(let part):
            messageBytesIn += part.frameLength
            lifetime?.active(at: now)
            switch part.type {
            case .request: return try receiveRequest(part, of: buffer, at: now)
            case .response: try receiveAnswer(part, of: buffer)
            default: return try receiveMessage(part, of: buffer, at: now)
            }
        case .cancel(let id):
            try heartbeat.spendToken(for: .cancel, at: now)
            cancel(id)
        case .failure(let id, let failure):
            try receiveFailure(failure, of: id, at: now)
        case .goAway:
            stopAsking(at: now)
            end(for: .clientGoAway, CloseCause(.normal, "the client went away"), at: now)
        case .close(let close):
            clientClosed(close, at: now)
        case .credit(let credit):
            sentMessages.grant(credit)
        case .welcome:
            preconditionFailure("the decoder refuses what a client may not send")
        }
        return nil
    }

    /// Handles what comes while the last answers and CLOSE are on their way: PINGs are answered, PONGs let more of the
    /// answers go, and the client's CLOSE ends the wait for it. The rest is discarded (section 9, E9).
    private mutating func handleWhileClosing(_ frame: Frame, at now: Instant) {
        switch frame {
        case .ping(let nonce): outbox.answer(with: pong(nonce, at: now))
        case .pong(let pong):
            do throws(Violation) {
                proved(pong.nonce, roundTrip: try heartbeat.ponged(pong.nonce, at: now), at: now)
            } catch {}  // Nothing is judged any more.
        case .close: end(for: .clientClose, CloseCause(.normal), at: now)
        default: break
        }
    }

    // It is not inlined: its frame would be part of that of each frame that comes.
    @inline(never) private mutating func greet(_ hello: Hello, at now: Instant) throws(Violation) {
        tokenName = try Tokens.name(of: hello.options.token, in: tokens, provedName)
        let welcome = negotiate(hello, with: termsNow, connection: id)
        clientName = hello.options.name
        client = ClientTerms(isShort: hello.short, maxMessage: Int(hello.maxMessage))
        phase = .open
        decoder.agreement = welcome.agreement(with: hello)
        if decoder.agreement.credit, let own = welcome.options.credit, let theirs = hello.options.credit {
            received.offer(own, of: terms.credit ?? own)
            sentMessages.start(limit: theirs)
        }
        outbox.greet(welcome, maxFrame: hello.maxFrame)
        if let goAway = closing.goAway, !hello.short { outbox.goAway(goAway) }
        let times = Heartbeat(welcome)
        heartbeat.welcomed(times, at: now)
        if decoder.agreement.answers { startAsking(hello, times) }
        if times.isBounded {
            outbox.startWindow(deadAfter: welcome.deadAfter)
        } else {
            let held = HeldMessages()
            held.charge(times)
            heldMessages = held
        }
    }

    private mutating func proved(_ nonce: UInt64, roundTrip: Duration?, at now: Instant) {
        let isNews = outbox.proved(nonce, roundTrip: roundTrip, at: now)
        heartbeat.heldBack(outbox.isHeldBack, proved: isNews, at: now)
    }

    private func pong(_ nonce: UInt64, at now: Instant) -> Pong {
        let longest = (requests.oldest ?? incoming.request?.since).map { (now - $0) / .milliseconds(1) } ?? 0
        return Pong(
            nonce: nonce, queued: UInt32(clamping: queued), inFlight: UInt32(clamping: inFlight),
            longest: UInt32(clamping: Int(longest)))
    }

    // MARK: What goes

    /// Adds the PINGs that measure the way to the client: called before `outbox.unsent` is looked at (section 5.12).
    @inline(__always) mutating func prepareWrite(at now: Instant) {
        if let lifetime, lifetime.notesActivity { lifetime.served(requestsServed, at: now) }
        while outbox.wantsPing { outbox.ping(heartbeat.probe(at: now)) }
        heartbeat.heldBack(outbox.isHeldBack, at: now)
    }

    /// The kernel took `count` bytes of the outbox, or none because it is full.
    mutating func wrote(_ count: Int, at now: Instant) {
        if count > 0 {
            outbox.wrote(count)
            if let nonce = outbox.takeLeftPing() { heartbeat.pingLeft(nonce, at: now) }
            requests.clientRead(at: now)
        }
        heartbeat.wrote(any: count > 0, waiting: !outbox.isEmpty, at: now)
        if outbox.isDone { linger { $0.flushed(at: now) } }
        prepareWrite(at: now)
    }
}
