import Framing

/// A request that has no answer yet.
struct Slot {
    /// 0 where the place is free.
    var id: UInt32 = 0
    /// Bytes of the answer that have come.
    var got: UInt32 = 0
    var due = Nanoseconds.zero
    var sent = Nanoseconds.zero
}

/// What all connections have in common.
struct Script {
    let options: LoadOptions
    /// Preface and HELLO.
    let greeting: [UInt8]
    /// The bytes of every request; never freed.
    let payload: UnsafeRawBufferPointer
    /// One less than the number of slots of each connection, which is a power of two.
    let mask: UInt32

    var timeout: Nanoseconds { Nanoseconds(options.timeout) }

    init(_ options: LoadOptions) {
        self.options = options
        func milliseconds(_ duration: Duration) -> UInt32 { UInt32(clamping: Int64(duration / .milliseconds(1))) }
        var outbox = Outbox()
        outbox.greet(
            Hello(
                short: options.isShort, pingEvery: milliseconds(options.pingEvery),
                deadAfter: milliseconds(options.deadAfter), maxMessage: .max,
                options: Options(token: options.token, name: options.name, agent: "lifeline-bench/\(lifelineVersion)")))
        greeting = Array(outbox.unsent)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, options.size), alignment: 16)
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: 32 + index % 95) }
        payload = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<options.size])
        mask = UInt32(max(1, options.isShort ? 1 : options.inFlight) - 1)
            .nextPowerOfTwoMask
    }
}

extension UInt32 {
    fileprivate var nextPowerOfTwoMask: UInt32 { self == 0 ? 0 : ~0 >> UInt32(leadingZeroBitCount) }
}

/// One connection's side of the protocol, told bytes and instants, as lean as a client can be: nothing is copied and
/// nothing allocated for a request, and the frames that are not RESPONSE are read elsewhere.
struct Conversation {
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

    private(set) var phase = Phase.away
    /// Why it ended, from `closing` on.
    private(set) var ending: Ending?
    /// What the server said of coming back.
    private(set) var retryAfter = Nanoseconds.zero
    private(set) var spread = Nanoseconds.zero
    /// Whether a code of the server says that there is no sense in coming back.
    private(set) var isUnwanted = false
    /// Attempts since the last stable connection.
    var attempts = 0
    /// Whether this is not the first attempt.
    private(set) var isReturning = false
    /// Whether WELCOME has ever come.
    private(set) var wasOpen = false
    private var owesFarewell = false

    private let slots: UnsafeMutablePointer<Slot>
    private var lastID: UInt32 = 0
    private(set) var inFlight = 0
    /// Requests that may be without an answer at once.
    private var window = 1
    private var isSent = false
    private var isGreeted = false

    // What the server allows.
    private(set) var maxMessage = UInt32.max
    private(set) var maxInFlight = UInt32.max
    private var maxFrame = 256
    private var pingEvery = Nanoseconds.zero
    private(set) var deadAfter = Nanoseconds.zero

    // Reading.
    private var matched = 0
    /// Bytes of the payload that are to come yet of a frame whose header was read.
    private var remaining = 0
    /// The request that they answer, or -1 where they are skipped.
    private var reading = -1
    private var isLast = false
    /// A header or control frame that is not whole.
    private var partial: [UInt8] = []
    private var frameLength: UInt32 = 0
    private var frameBegun = Nanoseconds.never

    // Sending.
    /// How much of the last request is sent; 0 where it is whole.
    private var offset = 0
    private var pong: UInt64?
    private var owesPing = false
    private var owesClose: Code?
    private var isLeaving: Code?
    /// The kernel takes no more since then.
    private var stuckSince = Nanoseconds.never

    // Times.
    private var begun = Nanoseconds.zero
    /// When the last byte of the greeting was sent.
    private var greetedAt = Nanoseconds.zero
    private var welcomedAt = Nanoseconds.zero
    /// What the first PING's instant is drawn with.
    private var random = 1.0
    private var lastHeard = Nanoseconds.zero
    private var lastProof = Nanoseconds.zero
    private var lastPing = Nanoseconds.zero
    private var nextPingAfter = Nanoseconds.zero
    private var unprovenSince = Nanoseconds.never
    private var closeBy = Nanoseconds.never
    private var pings: UInt64 = 0
    private var ponged: UInt64 = 0

    // An open loop.
    /// Requests that are due and not sent.
    private(set) var waiting = 0
    private var arrival: UInt64
    /// The request of a SHORT connection was due then.
    private var due = Nanoseconds.zero

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
        (lastID, inFlight, window, isSent, isGreeted) = (0, 0, 1, false, false)
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

    /// The socket is closed.
    mutating func closed(at now: Nanoseconds) {
        phase = .away
        isReturning = true
        // Open for dead_after, and proved (7.7-9).
        if wasOpen, pings > 0, ponged > 0, now - welcomedAt >= deadAfter { attempts = 0 }
    }

    /// How long to stay away (7.7-7, 7.7-8).
    mutating func pause(_ chance: inout Chance) -> Nanoseconds {
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
    mutating func end(_ ending: Ending, _ tally: inout Tally, _ script: borrowing Script, lastID: UInt32 = .max) {
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
    private mutating func drop(
        _ code: Code, _ tally: inout Tally, _ script: borrowing Script, at now: Nanoseconds, because ending: Ending? = nil
    ) {
        end(ending ?? .dropped(code), &tally, script)
        isUnwanted = [.protocolError, .badPreface, .frameTooLarge, .tooManyPings].contains(code)
        linger(code, at: now)
    }

    private mutating func linger(_ code: Code, at now: Nanoseconds) {
        phase = .closing
        owesClose = code
        offset = 0
        closeBy = now + .seconds(1)
    }

    /// No request is begun any more; CLOSE goes out behind the last answer.
    mutating func leave() { if isLeaving == nil { isLeaving = .normal } }

    /// CLOSE goes out as soon as nothing is unanswered (7.4-3).
    private mutating func leaveIfDone(_ tally: inout Tally, at now: Nanoseconds) {
        guard let code = isLeaving, phase == .open, inFlight == 0 else { return }
        tally.isConnected -= 1
        ending = code == .normal ? .finished : .sentAway(code)
        linger(.normal, at: now)
    }

    /// The stream of the server ended.
    mutating func streamEnded(_ tally: inout Tally, _ script: borrowing Script) {
        if phase == .closing { phase = .over } else { end(.endOfStream, &tally, script) }
    }

    // MARK: Sending

    /// A request has become due.
    mutating func becomesDue() { waiting += 1 }

    /// `count` bytes are with the kernel, and more wait or not.
    mutating func sent(_ count: Int, waits: Bool, at now: Nanoseconds) {
        if count > 0 {
            isSent = true
            if phase == .connecting { phase = .greeting }
            if phase == .greeting { greetedAt = now }
        }
        if !waits {
            stuckSince = .never
        } else if count > 0 || stuckSince == .never {
            stuckSince = now
        }
    }

    /// Puts what is to be sent now into `buffer`.
    mutating func fill(
        _ buffer: inout SendBuffer, _ load: inout Load, _ script: borrowing Script, _ tally: inout Tally,
        at now: Nanoseconds
    ) {
        switch phase {
        case .open: break
        case .connecting, .greeting:
            // Where the kernel has made the connection already, the first write tells.
            if !isGreeted {
                buffer.add(script.greeting)
                isGreeted = true
                if script.options.isShort { begin(&buffer, script, due: due, at: now) }
            }
            while offset > 0, offset < 16384, !buffer.isFull { addChunk(&buffer, script) }
            return
        case .closing:
            guard let code = owesClose else { return }
            owesClose = nil
            buffer.add(Close(code).frame)
            return
        case .away, .over: return
        }
        if let nonce = pong {
            pong = nil
            buffer.add(header: UInt16(FrameType.pong.rawValue) << 8, length: 20)
            buffer.add(nonce)
            buffer.add(0)
            buffer.add([0, 0, 0, 0])
        }
        if owesPing {
            owesPing = false
            pings += 1
            buffer.add(header: UInt16(FrameType.ping.rawValue) << 8, length: 8)
            buffer.add(pings)
        }
        while !buffer.isFull {
            if offset > 0 {
                addChunk(&buffer, script)
                continue
            }
            guard inFlight < window, load.isOn, load.budget > 0, isLeaving == nil else { break }
            if load.isOpenLoop {
                guard waiting > 0 else { break }
                waiting -= 1
                begin(&buffer, script, due: load.instant(of: arrival), at: now)
                arrival += UInt64(script.options.connections)
            } else {
                begin(&buffer, script, due: now, at: now)
            }
            load.budget -= 1
        }
        leaveIfDone(&tally, at: now)
        if let code = owesClose {
            owesClose = nil
            buffer.add(Close(code).frame)
        }
    }

    @inline(__always)
    private mutating func begin(
        _ buffer: inout SendBuffer, _ script: borrowing Script, due: Nanoseconds, at now: Nanoseconds
    ) {
        // Ids have to rise, and may leave some out (3.6-1): one whose slot has an old request in it is left out.
        repeat { lastID &+= 1 } while slots[Int(lastID & script.mask)].id != 0
        slots[Int(lastID & script.mask)] = Slot(id: lastID, due: due, sent: now)
        inFlight += 1
        let size = script.payload.count
        if size <= maxFrame {
            buffer.add(header: UInt16(FrameType.request.rawValue) << 8, id: lastID, length: size)
            buffer.add(script.payload)
        } else {
            addChunk(&buffer, script)
        }
    }

    /// The next chunk of the last request.
    private mutating func addChunk(_ buffer: inout SendBuffer, _ script: borrowing Script) {
        let size = script.payload.count
        let length = min(maxFrame, size - offset)
        let isLast = offset + length == size
        let type = UInt16(FrameType.request.rawValue) << 8 | UInt16(isLast ? 0 : FrameFlags.more.rawValue)
        buffer.add(header: type, id: lastID, length: length)
        buffer.add(UnsafeRawBufferPointer(rebasing: script.payload[offset..<(offset + length)]))
        offset = isLast ? 0 : offset + length
    }

    // MARK: Reading

    /// Bytes have come.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ script: borrowing Script, _ tally: inout Tally, at now: Nanoseconds
    ) {
        guard phase == .greeting || phase == .open, let start = bytes.baseAddress else { return }
        lastHeard = now
        var place = 0
        let end = bytes.count
        var hasBegunFrame = false
        if matched < Preface.bytes.count {
            while matched < Preface.bytes.count, place < end {
                guard bytes[place] == Preface.bytes[matched] else {
                    return drop(.badPreface, &tally, script, at: now)
                }
                matched += 1
                place += 1
            }
        }
        while place < end {
            if remaining > 0 {
                let taken = min(remaining, end - place)
                if reading >= 0, !take(start + place, taken, script) {
                    return drop(.internal, &tally, script, at: now, because: .wrongAnswer)
                }
                remaining -= taken
                place += taken
                if remaining == 0, reading >= 0, isLast, !finish(reading, script, &tally, at: now) {
                    return drop(.internal, &tally, script, at: now, because: .wrongAnswer)
                }
                continue
            }
            if partial.isEmpty { hasBegunFrame = true }
            if partial.isEmpty, end - place >= 12 {
                let word = UInt64(bigEndian: (start + place).loadUnaligned(as: UInt64.self))
                let id = UInt32(bigEndian: (start + place + 8).loadUnaligned(as: UInt32.self))
                let length = Int(word >> 32)
                let kind = UInt32(truncatingIfNeeded: word) & ~0x0080_0000
                if kind & ~0x0001_0000 == UInt32(FrameType.response.rawValue) << 24, phase == .open {
                    let isLast = kind & 0x0001_0000 == 0
                    let slot = Int(id & script.mask)
                    guard id != 0, slots[slot].id == id, offset == 0 || id != lastID, length > 0 || isLast else {
                        return drop(.protocolError, &tally, script, at: now)
                    }
                    guard length <= Int(Limits.defaultMaxFrame) else {
                        return drop(.frameTooLarge, &tally, script, at: now)
                    }
                    place += 12
                    if slots[slot].got == 0 { prove(at: now) }
                    if length <= end - place {
                        guard take(slot, start + place, length, script), !isLast || finish(slot, script, &tally, at: now)
                        else { return drop(.internal, &tally, script, at: now, because: .wrongAnswer) }
                        place += length
                    } else {
                        (remaining, reading, self.isLast) = (length, slot, isLast)
                        frameLength = UInt32(length)
                    }
                    continue
                }
            }
            // Everything else is seldom, and may come in pieces.
            switch control(UnsafeRawBufferPointer(rebasing: bytes[place...]), script, &tally, at: now) {
            case .taken(let count): place += count
            case .violation(let violation): return drop(violation.code, &tally, script, at: now)
            case .ended: return
            }
        }
        if remaining == 0, partial.isEmpty {
            frameBegun = .never
        } else if hasBegunFrame || frameBegun == .never {
            frameBegun = now
        }
    }

    /// The same for the request that is being read.
    private mutating func take(_ bytes: UnsafeRawPointer, _ count: Int, _ script: borrowing Script) -> Bool {
        take(reading, bytes, count, script)
    }

    /// Takes bytes of the answer in `slot`; false where they are wrong.
    @inline(__always)
    private mutating func take(_ slot: Int, _ bytes: UnsafeRawPointer, _ count: Int, _ script: borrowing Script) -> Bool {
        let got = Int(slots[slot].got)
        slots[slot].got &+= UInt32(truncatingIfNeeded: count)
        guard script.options.verifies, count > 0 else { return true }
        guard got + count <= script.payload.count else { return false }
        return UnsafeRawBufferPointer(start: bytes, count: count).elementsEqual(script.payload[got..<(got + count)])
    }

    /// The answer in `slot` is whole; false where it is too short.
    @inline(__always)
    private mutating func finish(
        _ slot: Int, _ script: borrowing Script, _ tally: inout Tally, at now: Nanoseconds
    ) -> Bool {
        if script.options.verifies, Int(slots[slot].got) != script.payload.count { return false }
        tally.answer(due: slots[slot].due, at: now)
        slots[slot].id = 0
        inFlight -= 1
        return true
    }

    private mutating func prove(at now: Nanoseconds) {
        lastProof = now
        unprovenSince = .never
    }

    private enum Step {
        case taken(Int)
        case violation(Violation)
        case ended
    }

    /// Reads a frame that is not RESPONSE, or a piece of one.
    private mutating func control(
        _ bytes: UnsafeRawBufferPointer, _ script: borrowing Script, _ tally: inout Tally, at now: Nanoseconds
    ) -> Step {
        let before = partial.count
        // The header first; it says how much more there is.
        partial.append(contentsOf: bytes.prefix(max(0, 12 - before)))
        guard partial.count >= 12 else { return .taken(partial.count - before) }
        let (length, type, flags, reserved, id) = partial.withUnsafeBytes { header in
            (
                UInt32(bigEndian: header.loadUnaligned(as: UInt32.self)), header[4], header[5],
                header.loadUnaligned(fromByteOffset: 6, as: UInt16.self),
                UInt32(bigEndian: header.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            )
        }
        frameLength = length
        let header = partial.count - before
        func breach(_ text: String) -> Step { .violation(Violation(.protocolError, text)) }
        guard reserved == 0, flags & ~0x81 == 0 else { return breach("a header") }
        guard length <= Limits.defaultMaxFrame else { return .violation(Violation(.frameTooLarge, "\(length)")) }
        guard let type = FrameType(rawValue: type), type != .message else {
            // A MESSAGE, or a type of a later version, is passed over.
            guard phase == .open, flags & 0x80 != 0 || type == FrameType.message.rawValue else { return breach("a type") }
            partial.removeAll(keepingCapacity: true)
            (remaining, reading) = (Int(length), -1)
            return .taken(header)
        }
        if type == .response {
            // One whose header came in pieces; it is read again as a whole.
            guard phase == .open else { return breach("RESPONSE") }
            let whole = partial
            partial.removeAll(keepingCapacity: true)
            guard response(whole, length, isLast: flags & 1 == 0, id, script, &tally, at: now) else {
                return phase == .closing ? .ended : breach("RESPONSE")
            }
            return .taken(header)
        }
        let rule = FrameRule.of(type)
        guard rule.sender != .client, rule.lengths.contains(length), (id != 0) == rule.carriesID, flags & 1 == 0 else {
            return breach("a header")
        }
        guard phase == .open ? type != .welcome : type == .welcome || type == .close else { return breach("the order") }
        let missing = 12 + Int(length) - partial.count
        let taken = min(missing, bytes.count - header)
        partial.append(contentsOf: bytes[header..<(header + taken)])
        guard taken == missing else { return .taken(header + taken) }
        var frame: [UInt8] = []
        swap(&frame, &partial)
        defer {
            // Its memory serves again.
            frame.removeAll(keepingCapacity: true)
            swap(&frame, &partial)
        }
        do throws(Violation) {
            try read(type, id, frame.span.extracting(droppingFirst: 12), script, &tally, at: now)
        } catch {
            return .violation(error)
        }
        return phase == .over || phase == .closing ? .ended : .taken(header + taken)
    }

    /// The header of a RESPONSE that came in pieces; false where it is wrong.
    private mutating func response(
        _ header: [UInt8], _ length: UInt32, isLast: Bool, _ id: UInt32, _ script: borrowing Script,
        _ tally: inout Tally, at now: Nanoseconds
    ) -> Bool {
        let slot = Int(id & script.mask)
        guard id != 0, slots[slot].id == id, offset == 0 || id != lastID, length > 0 || isLast else { return false }
        if slots[slot].got == 0 { prove(at: now) }
        (remaining, reading, self.isLast) = (Int(length), slot, isLast)
        return length > 0 || finish(slot, script, &tally, at: now)
    }

    private mutating func read(
        _ type: FrameType, _ id: UInt32, _ payload: Span<UInt8>, _ script: borrowing Script, _ tally: inout Tally,
        at now: Nanoseconds
    ) throws(Violation) {
        switch type {
        case .welcome: welcomed(try Welcome(reading: payload), script, &tally, at: now)
        case .ping:
            guard !script.options.isSilent else { return }
            pong = (0..<8).reduce(0) { $0 << 8 | UInt64(payload[$1]) }
            tally.pings += 1
        case .pong:
            let nonce = (0..<8).reduce(UInt64(0)) { $0 << 8 | UInt64(payload[$1]) }
            guard nonce > ponged, nonce <= pings else { throw Violation(.protocolError, "PONG") }
            ponged = nonce
            tally.pongs += 1
            prove(at: now)
        case .goAway:
            let goAway = try GoAway(reading: payload)
            isLeaving = goAway.code
            (retryAfter, spread) = (.milliseconds(goAway.retryAfter), .milliseconds(goAway.spread))
        case .close: closed(try Close(reading: payload), script, &tally, at: now)
        case .failure:
            let failure = try Failure(reading: payload)
            let slot = Int(id & script.mask)
            guard slots[slot].id == id else { throw Violation(.protocolError, "FAILURE \(id)") }
            tally.fail(failure.code == .refused ? .refused(nil) : .failed(failure.code))
            slots[slot].id = 0
            inFlight -= 1
            // What is left of it is sent all the same, and discarded there (3.6-10).
        case .hello, .request, .response, .message, .cancel: throw Violation(.protocolError, "\(type)")
        }
    }

    private mutating func welcomed(
        _ welcome: Welcome, _ script: borrowing Script, _ tally: inout Tally, at now: Nanoseconds
    ) {
        phase = .open
        wasOpen = true
        (maxMessage, maxInFlight) = (welcome.maxMessage, welcome.maxInFlight)
        maxFrame = Int(min(welcome.maxFrame, Limits.defaultMaxFrame))
        pingEvery = .milliseconds(welcome.pingEvery)
        deadAfter = .milliseconds(welcome.deadAfter)
        let queued = Int(welcome.maxQueued) / max(1, script.options.size)
        window = script.options.isShort ? 0 : min(script.options.inFlight, Int(welcome.maxInFlight), max(1, queued))
        tally.isConnected += 1
        tally.everConnected += 1
        if isReturning { tally.returns.add(now - begun) } else { tally.handshakes.add(now - begun) }
        welcomedAt = now
        nextPingAfter = pingEvery * random
        lastProof = now
    }

    /// When the next PING is due: the first keeps its own instant whatever comes (5.2-1).
    private var nextPing: Nanoseconds {
        (pings == 0 && !owesPing ? welcomedAt : max(lastPing, lastProof)) + nextPingAfter
    }

    private mutating func closed(
        _ close: Close, _ script: borrowing Script, _ tally: inout Tally, at now: Nanoseconds
    ) {
        let wait = Nanoseconds.milliseconds(close.retryAfter)
        if isLeaving == nil { (retryAfter, spread) = (wait, .zero) } else { retryAfter = max(retryAfter, wait) }
        isUnwanted =
            [
                .protocolError, .badPreface, .unsupportedVersion, .frameTooLarge, .tooManyPings, .unauthorized,
                .unsupportedOption,
            ].contains(close.code) || (close.code == .kicked && wait == .zero)
        guard phase == .open else {
            return end(.refused(close.code), &tally, script, lastID: close.lastID)
        }
        if script.options.isSilent {
            let late = now - (greetedAt + deadAfter)
            if close.code == .silent, late >= .zero {
                tally.lateness.add(late)
            } else {
                tally.early += 1
            }
        }
        let ending: Ending =
            switch isLeaving {
            case let code? where code != .normal: .sentAway(code)
            default: .closed(close.code)
            }
        end(ending, &tally, script, lastID: close.lastID > lastID ? .max : close.lastID)
        if !script.options.isShort { owesFarewell = true }
    }

    // MARK: Time

    /// When `woke` is to be called; not too seldom, for deadlines also come about later.
    func deadline(_ script: borrowing Script, at now: Nanoseconds) -> Nanoseconds {
        switch phase {
        case .away, .over: return .never
        case .connecting, .greeting: return begun + script.timeout
        case .closing: return closeBy
        case .open:
            if script.options.isSilent { return .never }
            let dead = min(min(lastHeard, unprovenSince), min(stuckSince, frameBegun))
            let next = min(dead + deadAfter, nextPing)
            let often = min(.seconds(1), deadAfter / 20)
            return max(now + .milliseconds(1), min(next, now + often))
        }
    }

    /// It is the time that was asked for, or later; `random` is from 0 to 1.
    mutating func woke(
        _ script: borrowing Script, _ tally: inout Tally, asked: Nanoseconds, random: Double, at now: Nanoseconds
    ) {
        switch phase {
        case .away, .over: return
        case .connecting, .greeting:
            guard now >= begun + script.timeout else { return }
            if phase == .connecting { return end(.unreachable(error: "timeout"), &tally, script) }
            return drop(.handshakeTimeout, &tally, script, at: now)
        case .closing:
            if now >= closeBy { phase = .over }
            return
        case .open: break
        }
        guard !script.options.isSilent else { return }
        // Late itself (5.11-2).
        if now - asked > deadAfter / 10 + .milliseconds(50) {
            lastHeard = now
            unprovenSince = .never
            if frameBegun != .never { frameBegun = now }
            if stuckSince != .never { stuckSince = now }
            ping(random, at: now)
        }
        if lastHeard + deadAfter <= now { return drop(.silent, &tally, script, at: now) }
        if stuckSince != .never, stuckSince + deadAfter <= now { return drop(.slowReader, &tally, script, at: now) }
        if frameBegun != .never, frameBegun + deadAfter + .milliseconds(frameLength) <= now {
            return drop(.frameTimeout, &tally, script, at: now)
        }
        if unprovenSince != .never, unprovenSince + deadAfter <= now {
            return drop(.noRoundTrip, &tally, script, at: now)
        }
        if nextPing <= now { ping(random, at: now) }
        if inFlight > 0 {
            for index in 0...Int(script.mask) where slots[index].id != 0 {
                if slots[index].sent + script.timeout <= now {
                    return drop(.normal, &tally, script, at: now, because: .timeout)
                }
            }
        }
    }

    private mutating func ping(_ random: Double, at now: Nanoseconds) {
        owesPing = true
        lastPing = now
        if unprovenSince == .never { unprovenSince = now }
        nextPingAfter = pingEvery * (0.8 + 0.2 * random)
    }
}
