import Framing

/// One connection's side of the protocol, told bytes and instants, as lean as a client can be: nothing is copied and
/// nothing allocated for a request, and the frames that are not RESPONSE are read elsewhere.
struct LoadConnection {
    enum Phase {
        /// There is no connection.
        case away
        /// It is being made.
        case connecting
        /// WELCOME has not come.
        case greeting
        case open
        /// CLOSE is in line or sent; the server's end is waited for.
        case closing
        /// The socket is to be closed.
        case over
    }

    var phase = Phase.away
    /// Why it ended, from `closing` on.
    var ending: LoadConnectionEnd?
    /// What the server said of coming back.
    var retryAfter = Nanoseconds.zero
    var spread = Nanoseconds.zero
    /// Whether a code of the server says that there is no sense in coming back.
    var isUnwanted = false
    /// Attempts since the last stable connection.
    var attempts = 0
    /// Whether this is not the first attempt.
    var isReturning = false
    /// Whether WELCOME has ever come.
    var wasOpen = false
    var owesFarewell = false

    let slots: UnsafeMutablePointer<Slot>
    var lastID: UInt32 = 0
    var inFlight = 0
    /// Requests that may be without an answer at once.
    var window = 1
    var isSent = false
    var isGreeted = false
    /// `--silent`: whether it says nothing any more.
    var isSilent = false

    // What the server allows.
    var maxMessage = UInt32.max
    var maxInFlight = UInt32.max
    var maxFrame = 256
    var pingEvery = Nanoseconds.zero
    var deadAfter = Nanoseconds.zero

    // Reading.
    var matched = 0
    /// Bytes of the payload that are to come yet of a frame whose header was read.
    var remaining = 0
    /// The request that they answer, or -1 where they are skipped.
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
    var isLeaving: Code?
    /// The kernel takes no more since then.
    var stuckSince = Nanoseconds.never

    // Times.
    var begun = Nanoseconds.zero
    /// When the last byte was sent.
    var spokeAt = Nanoseconds.zero
    var welcomedAt = Nanoseconds.zero
    /// What the first PING's instant is drawn with.
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
    /// The request of a SHORT connection was due then.
    var due = Nanoseconds.zero

    init(_ index: Int, _ slots: UnsafeMutablePointer<Slot>) {
        self.slots = slots
        arrival = UInt64(index)
    }

    // MARK: The beginning and the end

    /// A connection is being made, for a request of a SHORT one that was due at `due`.
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
        (pong, owesPing, owesClose, isLeaving) = (nil, false, nil, nil)
        (stuckSince, unprovenSince, closeBy) = (.never, .never, .never)
        (pings, ponged) = (0, 0)
    }

    /// The connection is made.
    mutating func connected() { if phase == .connecting { phase = .greeting } }

    /// There is no room for it now.
    mutating func postpone() { phase = .away }

    /// The socket is closed.
    mutating func closed(at now: Nanoseconds) {
        phase = .away
        isReturning = true
        // Open for dead_after, and proved (7.7-9).
        if wasOpen, pings > 0, ponged > 0, now - welcomedAt >= deadAfter { attempts = 0 }
    }

    /// How long to stay away (7.7-7, 7.7-8).
    mutating func pause(_ chance: inout SeededRandom) -> Nanoseconds {
        let most = min(30, 0.5 * Double(1 << min(attempts, 10)))
        attempts += 1
        return retryAfter + spread * chance.share() + .seconds(most * chance.share())
    }

    /// Whether the server's CLOSE is to be answered with one before the socket is closed; once.
    mutating func takeFarewell() -> Bool {
        defer { owesFarewell = false }
        return owesFarewell
    }

    /// The connection is lost, or given up: every request in flight has its outcome.
    mutating func end(
        _ ending: LoadConnectionEnd, _ tally: inout LoadCounters, _ script: borrowing LoadProfile, lastID: UInt32 = .max
    ) {
        if phase == .open { tally.isConnected -= 1 }
        if self.ending == nil { self.ending = ending }
        if script.options.isShort, self.lastID == 0 {
            tally.fail(.notSent(ending))
        }
        phase = .over
        guard inFlight > 0 else { return }
        for index in 0...Int(script.mask) where slots[index].id != 0 {
            if !isSent {
                tally.fail(.notSent(ending))
            } else if slots[index].id > lastID {
                tally.fail(.refused(ending))
            } else {
                tally.fail(.lost(ending))
            }
            slots[index].id = 0
        }
        inFlight = 0
    }

    /// This side drops the server (Protocol.md, section 7.5).
    mutating func drop(
        _ code: Code, _ tally: inout LoadCounters, _ script: borrowing LoadProfile, at now: Nanoseconds,
        because ending: LoadConnectionEnd? = nil
    ) {
        end(ending ?? .dropped(code), &tally, script)
        isUnwanted = [.protocolError, .badPreface, .frameTooLarge, .tooManyPings].contains(code)
        linger(code, at: now)
    }

    mutating func linger(_ code: Code, at now: Nanoseconds) {
        phase = .closing
        owesClose = code
        offset = 0
        closeBy = now + .seconds(1)
    }

    /// No request is begun any more; CLOSE goes out behind the last answer.
    mutating func leave() { if isLeaving == nil { isLeaving = .normal } }

    /// CLOSE goes out as soon as nothing is unanswered (7.4-3).
    mutating func leaveIfDone(_ tally: inout LoadCounters, at now: Nanoseconds) {
        guard let code = isLeaving, phase == .open, inFlight == 0 else { return }
        tally.isConnected -= 1
        ending = code == .normal ? .finished : .sentAway(code)
        linger(.normal, at: now)
    }

    /// The stream of the server ended.
    mutating func streamEnded(_ tally: inout LoadCounters, _ script: borrowing LoadProfile) {
        if phase == .closing { phase = .over } else { end(.endOfStream, &tally, script) }
    }
}
