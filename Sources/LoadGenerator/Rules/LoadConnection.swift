import Framing

/// The client's side of one connection, as a value that is given bytes and instants.
///
/// It is as lean as a client can be: a request costs no allocation, and its bytes are not copied.
struct LoadConnection {
    enum Phase {
        /// There is no connection.
        case away
        /// connect(2) is under way.
        case connecting
        /// WELCOME has not arrived.
        case greeting
        case open
        /// CLOSE is queued or sent; the server's end of stream is missing.
        case closing
        /// The socket is to be closed.
        case over
    }

    var phase = Phase.away
    /// Why the connection ended, from `closing` on.
    var ending: LoadConnectionEnd?
    /// The server's wish for the next attempt (Protocol.md, section 7.7).
    var retryAfter = Nanoseconds.zero
    var spread = Nanoseconds.zero
    /// Whether the server's code makes another attempt useless.
    var isUnwanted = false
    /// Attempts since the last stable connection.
    var attempts = 0
    /// Whether this is not the first attempt.
    var isReturning = false
    /// Whether WELCOME has ever come.
    var wasOpen = false
    var owesCloseAnswer = false

    let slots: UnsafeMutablePointer<RequestSlot>
    var lastID: UInt32 = 0
    var inFlight = 0
    /// Unanswered requests, at most.
    var window = 1
    var isSent = false
    var isGreeted = false
    /// `--silent`: whether the connection has fallen silent.
    var isSilent = false

    // What the server allows.
    var maxMessage = UInt32.max
    var maxInFlight = UInt32.max
    var maxFrame = 256
    var pingEvery = Nanoseconds.zero
    var deadAfter = Nanoseconds.zero

    // Reading.
    var matched = 0
    /// Bytes of the current frame's payload that are still missing.
    var remaining = 0
    /// The slot of the request that they answer, or -1 where they are skipped.
    var reading = -1
    var isLast = false
    /// A header or control frame that is not whole.
    var partial: [UInt8] = []
    var frameLength: UInt32 = 0
    var frameBegun = Nanoseconds.never

    // Sending.
    /// How much of the last request is sent; 0 where it is whole.
    var offset = 0
    var pong: UInt64?
    var owesPing = false
    var owesClose: Code?
    var leavingCode: Code?
    /// Since when the kernel accepts no bytes.
    var stuckSince = Nanoseconds.never

    // Times.
    var begun = Nanoseconds.zero
    /// When the last byte was sent.
    var spokeAt = Nanoseconds.zero
    var welcomedAt = Nanoseconds.zero
    /// The random factor of the first PING's instant.
    var random = 1.0
    var lastHeard = Nanoseconds.zero
    var lastProof = Nanoseconds.zero
    var lastPing = Nanoseconds.zero
    var nextPingAfter = Nanoseconds.zero
    var unprovenSince = Nanoseconds.never
    var closeBy = Nanoseconds.never
    var pings: UInt64 = 0
    var ponged: UInt64 = 0

    // An open loop.
    /// Requests that are due and not sent.
    var waiting = 0
    var arrival: UInt64
    /// SHORT: the instant at which the request was due.
    var due = Nanoseconds.zero

    init(_ index: Int, _ slots: UnsafeMutablePointer<RequestSlot>) {
        self.slots = slots
        arrival = UInt64(index)
    }

    // MARK: The beginning and the end

    /// Starts a connection. `due` is the instant at which a SHORT connection's request was due.
    mutating func connect(due: Nanoseconds, random: Double, at now: Nanoseconds) {
        phase = .connecting
        ending = nil
        (retryAfter, spread) = (.zero, .zero)
        (begun, lastHeard, lastProof, lastPing) = (now, now, now, now)
        self.due = due
        self.random = random
        (lastID, inFlight, window, isSent, isGreeted, isSilent) = (0, 0, 1, false, false, false)
        (matched, remaining, reading, offset) = (0, 0, -1, 0)
        partial.removeAll(keepingCapacity: true)
        frameBegun = .never
        maxFrame = 256
        (pong, owesPing, owesClose, leavingCode) = (nil, false, nil, nil)
        (stuckSince, unprovenSince, closeBy) = (.never, .never, .never)
        (pings, ponged) = (0, 0)
    }

    /// The socket is connected.
    mutating func connected() { if phase == .connecting { phase = .greeting } }

    /// The backlog of a Unix socket is full: the attempt is made again later.
    mutating func postpone() { phase = .away }

    /// The socket is closed.
    mutating func socketClosed(at now: Nanoseconds) {
        phase = .away
        isReturning = true
        // Open for dead_after, and proved (7.7-9).
        if wasOpen, pings > 0, ponged > 0, now - welcomedAt >= deadAfter { attempts = 0 }
    }

    /// The wait before the next attempt (7.7-7, 7.7-8).
    mutating func backoff(_ random: inout SeededRandom) -> Nanoseconds {
        let most = min(30, 0.5 * Double(1 << min(attempts, 10)))
        attempts += 1
        return retryAfter + spread * random.share() + .seconds(most * random.share())
    }

    /// Whether a CLOSE has to answer that of the server before the socket is closed; true once.
    mutating func mustAnswerClose() -> Bool {
        defer { owesCloseAnswer = false }
        return owesCloseAnswer
    }

    /// Ends the connection, and counts the outcome of each request in flight.
    mutating func end(
        _ ending: LoadConnectionEnd, _ counters: inout LoadCounters, _ profile: borrowing LoadProfile,
        lastID: UInt32 = .max
    ) {
        if phase == .open { counters.isConnected -= 1 }
        if self.ending == nil { self.ending = ending }
        if profile.options.isShort, self.lastID == 0 {
            counters.requestEnded(.notSent(ending))
        }
        phase = .over
        guard inFlight > 0 else { return }
        for index in 0...Int(profile.mask) where slots[index].id != 0 {
            if !isSent {
                counters.requestEnded(.notSent(ending))
            } else if slots[index].id > lastID {
                counters.requestEnded(.refused(ending))
            } else {
                counters.requestEnded(.lost(ending))
            }
            slots[index].id = 0
        }
        inFlight = 0
    }

    /// Drops the server (Protocol.md, section 7.5).
    mutating func drop(
        _ code: Code, _ counters: inout LoadCounters, _ profile: borrowing LoadProfile, at now: Nanoseconds,
        because ending: LoadConnectionEnd? = nil
    ) {
        end(ending ?? .dropped(code), &counters, profile)
        isUnwanted = [.protocolError, .badPreface, .frameTooLarge, .tooManyPings].contains(code)
        linger(code, at: now)
    }

    mutating func linger(_ code: Code, at now: Nanoseconds) {
        phase = .closing
        owesClose = code
        offset = 0
        closeBy = now + .seconds(1)
    }

    /// Begins no more requests; CLOSE follows the last answer.
    mutating func closeWhenAnswered() { if leavingCode == nil { leavingCode = .normal } }

    /// Queues CLOSE once no request is in flight (7.4-3).
    mutating func closeIfAnswered(_ counters: inout LoadCounters, at now: Nanoseconds) {
        guard let code = leavingCode, phase == .open, inFlight == 0 else { return }
        counters.isConnected -= 1
        ending = code == .normal ? .finished : .sentAway(code)
        linger(.normal, at: now)
    }

    /// The stream of the server ended.
    mutating func streamEnded(_ counters: inout LoadCounters, _ profile: borrowing LoadProfile) {
        if phase == .closing { phase = .over } else { end(.endOfStream, &counters, profile) }
    }
}
