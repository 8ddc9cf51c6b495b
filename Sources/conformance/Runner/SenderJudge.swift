import RawWire

/// Judges what the implementation sends on one connection by the rules that bind a sender, whatever the case is about.
///
/// It follows both directions. What a case sends may be wrong on purpose: that widens what the implementation may send.
struct SenderJudge {
    enum JudgedSide: Sendable { case client, server }

    private let side: JudgedSide
    // What the case has sent.
    private var scanner = FrameScanner()
    /// Nonces of PINGs that no PONG has answered or left out.
    private var unanswered: [UInt64] = []
    private var asked: Set<UInt32> = []
    private var askedWhole: Set<UInt32> = []
    /// What the case accepts, once it has said so.
    private var maxFrame: UInt32?
    private var maxMessage: UInt32?
    private var hasSaidClose = false
    // What the implementation has sent.
    private var isGreeted = false
    private var isShort = false
    private var isClosed = false
    private var nonces: Set<UInt64> = []
    private var ended: Set<UInt32> = []
    private var lastID: UInt32 = 0
    /// The highest id of a request that it has answered with a response.
    private var answered: UInt32 = 0
    /// The message of which the last chunk has not come.
    private var open: (type: RawFrame.Kind, id: UInt32)?
    private var openLength = 0
    private var bucket: ReceiverBucket?
    /// Bytes of frames of messages since the last PING; nil where both sides do not speak 1.1.
    private var bulk: Int?
    /// Set where both sides speak 1.1.
    private var window: WindowJudge?
    /// Whether the window holds: a client keeps to it once it has got WELCOME.
    private var hasWindow = false
    /// What both sides have agreed on.
    private var agreement: AgreementJudge

    /// A judge of a connection on which nothing was sent, by an implementation of this side.
    init(_ side: JudgedSide) {
        self.side = side
        agreement = AgreementJudge(side)
    }

    /// Takes note of what the case sends.
    mutating func note(_ bytes: ArraySlice<UInt8>, at now: Moment) {
        for frame in scanner.frames(in: bytes) {
            if frame.type == .close { hasSaidClose = true }
            agreement.note(frame)
            if let nonce = frame.nonce {
                if frame.type == .ping { unanswered.append(nonce) } else { window?.note(pong: nonce) }
            }
            if let hello = frame.hello {
                (maxFrame, maxMessage, isShort) = (hello.maxFrame, hello.maxMessage, hello.flags & 1 != 0)
            }
            if let welcome = frame.welcome {
                // The client may have sent what every server accepts before it knew (6-7).
                maxFrame = max(256, welcome.maxFrame)
                agree(welcome, at: now)
            }
            if frame.type == .request {
                asked.insert(frame.id)
                if !frame.hasMore { askedWhole.insert(frame.id) }
            }
        }
    }

    /// What is wrong with a frame of the implementation that came at `now`; nil where nothing is. Where the implementation
    /// `isReleased`, it waits for no PONG (5.12-5).
    mutating func complaint(about frame: RawFrame, at now: Moment, isReleased: Bool = false) -> String? {
        let isCostly = isCostly(frame)
        let expected =
            breach(by: frame) ?? agreement.breach(by: frame, isFirst: open == nil) ?? breachOfOrder(by: frame)
            ?? breachOfMeaning(by: frame, at: now)
            ?? (isCostly ? breachOfBucket(at: now) : nil) ?? breachOfWindow(by: frame, isReleased: isReleased)
        return expected.map { "expected \($0), got \(frame)" }
    }

    /// WELCOME says which version is in force.
    private mutating func agree(_ welcome: WelcomeFields, at now: Moment) {
        bucket = ReceiverBucket(welcome, at: now)
        guard welcome.minor > 0 else { return }
        bulk = 0
        window = WindowJudge(deadAfter: welcome.deadAfter)
        hasWindow = side == .server
    }

    // MARK: A frame alone (sections 3.3 and 3.4)

    private func breach(by frame: RawFrame) -> String? {
        if frame.reserved != 0 { return "bytes 6 and 7 to be 0 (3.3-1)" }
        if frame.flags & 0x7E != 0 { return "no flag but 0x01 and 0x80 (3.4-1)" }
        guard let lengths = lengths(of: frame.type) else {
            if frame.isKnown { return "a type that a \(side) may send (3.3-5, 3.7-1, 3.7-2)" }
            return frame.flags == RawFrame.ignorable ? nil : "IGNORABLE alone on an unknown type (3.4-3)"
        }
        if !lengths.contains(frame.payload.count) { return "a length of \(lengths) (3.3-3)" }
        let hasID = [RawFrame.Kind.request, .response, .cancel, .failure].contains(frame.type)
        if hasID != (frame.id != 0) { return hasID ? "an id (3.3-2)" : "the id 0 (3.3-2)" }
        if frame.hasMore {
            if !frame.isMessage { return "no MORE (3.4-2)" }
            if frame.payload.isEmpty { return "no empty chunk with MORE (3.5-1)" }
        }
        if let notice = frame.notice {
            if notice.zero != 0 { return "zero to be 0 (4.9-1)" }
            if notice.code.number > 20 { return "a code of at most 20 (8-1)" }
            if String(validating: notice.text, as: UTF8.self) == nil { return "UTF-8 (3.1-3)" }
            if frame.type == .failure, notice.code == .normal { return "a code other than NORMAL (4.9-3)" }
        }
        return nil
    }

    /// The lengths of section 4; nil for a type that is not this side's to send.
    private func lengths(of type: RawFrame.Kind) -> ClosedRange<Int>? {
        switch (type, agreement.hasAnswers && type.isOfRequests ? type.sender : side) {
        case (.hello, .client): 20...1024
        case (.welcome, .server): 36...1024
        case (.ping, _): 8...8
        case (.pong, _): 20...20
        case (.request, .client), (.response, .server), (.message, _): 0...Int(UInt32.max)
        case (.cancel, .client): 0...0
        case (.failure, .server): 8...520
        case (.goAway, _), (.close, _): 12...524
        case (.credit, _): agreement.hasCredit ? 16...16 : nil
        default: nil
        }
    }

    // MARK: A frame among the others (sections 3.5, 3.6 and 7)

    private mutating func breachOfOrder(by frame: RawFrame) -> String? {
        if isClosed { return "nothing behind CLOSE (7.1-1)" }
        if frame.type == .hello || frame.type == .welcome {
            defer { isGreeted = true }
            if isGreeted { return "no second greeting (3.3-8)" }
        }
        if frame.isMessage || !frame.isKnown, let maxFrame, frame.payload.count > Int(maxFrame) {
            return "a payload of at most \(maxFrame) bytes (3.3-9)"
        }
        if isShort {
            if side == .server, frame.type == .message { return "no MESSAGE on a short connection (7.3-2)" }
            let isForbidden = frame.type == .message || frame.type == .goAway
            if side == .client, isForbidden { return "one request and nothing else (7.3-1)" }
        }
        if frame.isMessage, let breach = breachOfChunks(by: frame) { return breach }
        switch frame.type {
        case .cancel:
            if frame.id > lastID { return "an id of at most \(lastID) (4.8-1)" }
            if open?.id == frame.id { open = nil }
        case .failure:
            if !asked.contains(frame.id) || !ended.insert(frame.id).inserted {
                return "the id of a request without an ending (3.6-5)"
            }
            if open?.id == frame.id { open = nil }
        default: break
        }
        return nil
    }

    private mutating func breachOfChunks(by frame: RawFrame) -> String? {
        if let open {
            if open.type != frame.type || open.id != frame.id {
                return "the next chunk of \(open.type) \(open.id) (3.5-2, 3.5-3)"
            }
        } else {
            openLength = 0
            if frame.type == .request {
                if frame.id <= lastID { return "a new id above \(lastID) (3.6-1)" }
                if isShort, lastID != 0 { return "no second request (7.3-1)" }
                lastID = frame.id
            }
            if frame.type == .response {
                if !asked.contains(frame.id) || ended.contains(frame.id) {
                    return "the id of a request without an ending (3.6-5)"
                }
                if !askedWhole.contains(frame.id) { return "no response before the last chunk of its request (3.6-4)" }
            }
        }
        open = frame.hasMore ? (frame.type, frame.id) : nil
        if frame.type == .response {
            if !frame.hasMore { ended.insert(frame.id) }
            answered = max(answered, frame.id)
        }
        openLength += frame.payload.count
        // A client may have begun before it knew the limit.
        if side == .server, let maxMessage, openLength > Int(maxMessage) {
            return "a message of at most \(maxMessage) bytes (3.5-4)"
        }
        return nil
    }

    // MARK: What a frame says (sections 4 and 5)

    private mutating func breachOfMeaning(by frame: RawFrame, at now: Moment) -> String? {
        switch frame.type {
        case .hello: isShort = (frame.hello?.flags ?? 0) & 1 != 0
        case .welcome: if let welcome = frame.welcome { agree(welcome, at: now) }
        case .ping where !nonces.insert(frame.nonce ?? 0).inserted: return "a nonce that is new (4.3-1)"
        case .pong:
            // Where the case has used a nonce twice, the first place leaves the most to answer.
            guard let place = unanswered.firstIndex(of: frame.nonce ?? 0) else {
                return "the nonce of a PING later than those that were answered (5.4-5)"
            }
            unanswered.removeFirst(place + 1)
        case .close:
            isClosed = true
            let lastID = frame.notice?.lastID ?? 0
            let number = side == .client ? "4.11-4" : "4.11-3"
            if lastID > asked.max() ?? 0 { return "a last_id that was sent (\(number))" }
            if side == .client, lastID < answered { return "a last_id of at least \(answered) (4.11-4)" }
        default: break
        }
        return nil
    }

    /// Whether the receiver's bucket pays for the frame (section 5.10).
    private mutating func isCostly(_ frame: RawFrame) -> Bool {
        switch frame.type {
        case .cancel: return true
        case .ping:
            defer { if bulk != nil { bulk = 0 } }
            return bulk ?? 0 < 1024
        case .message where frame.payload.isEmpty && open == nil && bulk == nil: return true
        default:
            if frame.isMessage { bulk? += frame.length }
            return false
        }
    }

    private mutating func breachOfWindow(by frame: RawFrame, isReleased: Bool) -> String? {
        if frame.type == .ping || frame.type == .pong { hasWindow = true }
        if frame.type == .ping, let nonce = frame.nonce { window?.note(ping: nonce) }
        guard frame.isMessage else { return nil }
        let breach = window?.breach(byFrameOf: frame.length)
        return hasWindow && !hasSaidClose && !isReleased ? breach : nil
    }

    private mutating func breachOfBucket(at now: Moment) -> String? {
        guard let isPaid = bucket?.spend(at: now), !isPaid else { return nil }
        return "no more PINGs, CANCELs and empty MESSAGEs than a bucket of 20 pays for (5.10-1)"
    }

    /// The bucket of section 5.10, which every receiver keeps.
    private struct ReceiverBucket {
        private static let capacity = 20.0

        private let refill: Duration
        private var tokens = ReceiverBucket.capacity
        private var filledAt: Moment

        /// Nil where beats are so short that a judge who is late himself would see too many at once.
        init?(_ welcome: WelcomeFields, at now: Moment) {
            guard welcome.pingEvery >= 100 else { return nil }
            refill = .milliseconds(welcome.pingEvery) / 2
            filledAt = now
        }

        mutating func spend(at now: Moment) -> Bool {
            tokens = min(ReceiverBucket.capacity, tokens + max(.zero, filledAt.duration(to: now)) / refill)
            filledAt = max(filledAt, now)
            guard tokens >= 1 else { return false }
            tokens -= 1
            return true
        }
    }
}

extension RawFrame {
    /// Whether section 4 gives the type; others are skipped. CREDIT is none of them where it is not in force.
    var isKnown: Bool { (1...11).contains(type.number) }
}

extension RawFrame.Kind {
    /// Whether both sides send it where the client answers requests of the server (section 3.7).
    fileprivate var isOfRequests: Bool { [.request, .response, .cancel, .failure].contains(self) }

    /// The side that sends it in any case.
    fileprivate var sender: SenderJudge.JudgedSide { self == .request || self == .cancel ? .client : .server }
}
