/// What the connections of both sides have in common.
protocol Living {
    var outbox: Outbox { get }
    var deadline: Instant? { get }
    var isOver: Bool { get }
    mutating func resumed(at now: Instant)
    mutating func prepareWrite(at now: Instant)
    mutating func wrote(_ count: Int, at now: Instant)
}

/// A connection under a script of bytes, instants, writes and wishes, and what must be true on either side.
protocol Run {
    associatedtype Connection: Living
    var connection: Connection { get set }
    var now: Instant { get set }
    /// What the peer has read, and what it has said.
    var judge: Judge { get set }
    var peer: Peer { get set }
    /// What AddressSanitizer counted before the connection was there.
    var heapBefore: Int { get }
    /// The bytes that came, and at most what this side put out by itself.
    var fed: Int { get }
    var spoken: Int { get set }

    init(_ setting: UInt8)
    mutating func step(_ operation: UInt8, _ script: inout Script)
    /// Gives the connection what its peer says.
    mutating func receive(_ bytes: [UInt8])
    /// Does what is due now.
    mutating func judgeAll()
    /// This side's program does what it owes, or leaves.
    mutating func prepareEnd()
    /// `isRead` says that all of the output was read.
    func checkEnd(isRead: Bool)
}

extension Run {
    static func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
        var script = Script(start, count)
        let setting = script.byte()
        var run = Self(setting)
        while !script.isOver, !run.connection.isOver {
            run.connection.resumed(at: run.now)
            run.step(script.byte() % 16, &script)
            run.settle()
            let held = heapBytes() - run.heapBefore
            require(held <= 32 * (run.fed + run.spoken) + 65536, "\(held) bytes are held for \(run.fed)")
        }
        run.end(isRead: setting & 128 == 0)
        return 0
    }

    mutating func advance(_ time: Duration) {
        now = now + time
        spoken += 8  // A side that is late each time sends a PING each time.
        connection.resumed(at: now)
    }

    mutating func sleep() {
        if let deadline = connection.deadline, deadline > now { advance(deadline - now) }
    }

    mutating func write(_ most: Int) {
        guard !connection.isOver else { return }
        connection.prepareWrite(at: now)
        let bytes = Array(connection.outbox.unsent.prefix(most))
        judge.window.note(connection.outbox.window.limit, isEmpty: connection.outbox.isEmpty)
        judge.read(bytes)
        connection.wrote(bytes.count, at: now)
    }

    /// Takes note of what the peer says.
    mutating func hears(_ bytes: [UInt8]) {
        let nonces = peer.say(bytes)
        for nonce in nonces { judge.window.note(pong: nonce) }
        if nonces.count > 1 { judge.window.skipJudging() }
    }

    /// Does what is due, once: a deadline that stays in the past would make the loop spin.
    private mutating func settle() {
        var turns = 0
        repeat {
            require(turns < 4, "the loop spins")
            turns += 1
            judge.window.note(connection.outbox.window.limit, isEmpty: connection.outbox.isEmpty)
            judgeAll()
            connection.prepareWrite(at: now)
            if connection.outbox.isEmpty { connection.wrote(0, at: now) }
        } while !connection.isOver && connection.deadline.map { $0 <= now } ?? false
    }

    /// The end comes by itself, whatever was: the peer says no more, and reads all or nothing.
    private mutating func end(isRead: Bool) {
        prepareEnd()
        let isProved = isRead && proveAll()
        var sleeps = 0
        while !connection.isOver {
            settle()
            while isRead, !connection.isOver, !connection.outbox.isEmpty { write(.max) }
            if !isRead { connection.wrote(0, at: now) }
            guard !connection.isOver else { break }
            require(connection.deadline != nil, "it sleeps for ever")
            require(sleeps < 100, "the connection does not end")
            sleeps += 1
            sleep()
        }
        checkEnd(isRead: isProved)
    }

    /// The peer reads all, and answers each PING: all that is queued comes. False where it cannot say a PONG any more.
    private mutating func proveAll() -> Bool {
        var turns = 0
        while !connection.isOver {
            settle()
            write(.max)
            guard connection.outbox.isEmpty else { continue }
            guard let nonce = judge.window.newestNonce else {
                require(connection.outbox.isDone, "bytes wait for a PONG, and no PING is on its way")
                return true
            }
            guard peer.isAtBoundary else { return connection.outbox.isDone }
            turns += 1
            require(turns < 2000, "there is no end of PINGs")
            advance(.milliseconds(1))
            // Behind CLOSE it is not read.
            judge.window.note(pong: nonce)
            receive(rawFrame(4, nonceBytes(nonce) + [UInt8](repeating: 0, count: 12)))
        }
        return true
    }
}

private func nonceBytes(_ nonce: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: nonce >> (56 - 8 * $0)) }
}

/// What the peer has said, as far as it makes sense.
struct Peer {
    private var decoder: FrameDecoder
    private var isBroken = false
    private var hasGreeted = false

    init(_ side: Side, maxMessage: UInt32, isShort: Bool) {
        decoder = FrameDecoder(from: side, maxFrame: 256, maxMessage: maxMessage, isShort: isShort)
    }

    /// Whether a frame may follow.
    var isAtBoundary: Bool { !isBroken && hasGreeted && decoder.unfinishedLength == nil }

    /// The nonces of the PONGs that end in `bytes`.
    mutating func say(_ bytes: [UInt8]) -> [UInt64] {
        guard !isBroken else { return [] }
        var nonces: [UInt64] = []
        var offset = 0
        do throws(Violation) {
            while let frame = try decoder.next(in: bytes.span, at: &offset) {
                switch frame {
                case .hello(let hello):
                    decoder.agreement.answers = hello.answersRequests
                    hasGreeted = true
                case .welcome: hasGreeted = true
                case .pong(let pong): nonces.append(pong.nonce)
                case .close: isBroken = true
                default: break
                }
            }
        } catch {
            isBroken = true
        }
        return nonces
    }
}

/// The send window as the peer sees it (section 5.12).
struct SeenWindow {
    private var pings: [(nonce: UInt64, position: Int)] = []
    private var came = 0
    private var proved = 0
    private var newestPing = 0
    /// The longest frame, and what has come of the one that has begun.
    private var longest = 0
    private var begun = 0
    /// The largest window since all was proved and nothing staged; nil while nothing is bounded.
    private var most: Int?
    /// What came before anything was bounded is not judged.
    private var isJudged = false

    /// The nonce of the last PING that is not answered.
    var newestNonce: UInt64? { pings.last?.nonce }

    /// Takes note of the window's size. What is staged was staged under an earlier one.
    mutating func note(_ limit: Int, isEmpty: Bool) {
        guard limit != .max else {
            (most, isJudged) = (nil, false)
            return
        }
        if came == proved, isEmpty { (most, isJudged) = (limit, true) } else { most = max(most ?? 0, limit) }
        require((2048...(1 << 30)).contains(limit), "a window of \(limit) bytes")
    }

    mutating func note(ping nonce: UInt64) {
        pings.append((nonce, came))
        newestPing = came
    }

    mutating func note(pong nonce: UInt64) {
        guard let index = pings.firstIndex(where: { $0.nonce == nonce }) else { return }
        proved = pings[index].position
        pings.removeFirst(index + 1)
    }

    /// Takes note of a part of a message, whose frames may not begin behind a closed window.
    mutating func note(_ part: MessagePart) {
        if part.beginsFrame {
            if isJudged, let most {
                require(came - proved < most, "a message behind \(came - proved) unproved bytes of \(most)")
                require(came - newestPing < most / 2 + longest, "no PING behind \(came - newestPing) of \(most) bytes")
            }
            begun = 0
        }
        begun += Int(part.frameLength)
        came += Int(part.frameLength)
        longest = max(longest, begun)
    }

    /// Takes note of several PONGs at once: the window between them is not seen.
    mutating func skipJudging() { isJudged = false }
}

/// A small frame out of the script, often a right one.
func frame(_ script: inout Script) -> [UInt8] {
    let type = script.byte() % 13
    let flags = script.byte()
    let id = UInt32(script.byte() % 16)
    let payload: [UInt8] =
        switch type {
        case 3: [0, 0, 0, 0, 0, 0, 0] + [script.byte() % 4]
        case 4: [0, 0, 0, 0, 0, 0, 0] + [script.byte() % 32] + Array(repeating: 0, count: 12)
        case 8: []
        case 9: [0, script.byte() % 24, 0, 0, 0, 0, 0, 0]
        case 10: [0, script.byte() % 24] + Array(repeating: 0, count: 10)
        case 11: [0, 0, 0, script.byte() % 16, 0, 0, 0, 0, 0, 0, 0, 0]
        default: Array(repeating: 0x61, count: Int(script.byte()) % 80)
        }
    let carriesID = type == 5 || type == 6 || type == 8 || type == 9
    return rawFrame(
        type, flags: flags >= 0xF0 ? flags : (5...7).contains(type) ? flags & 1 : 0,
        id: carriesID ? id : flags == 0xEF ? id : 0, payload)
}

/// Decodes what a connection puts out, as its peer would: it is clean, and CLOSE is the last of it and there once.
struct Judge {
    private var decoder: FrameDecoder
    private var isClosed = false
    /// What CLOSE says.
    private(set) var lastID: UInt32?
    private(set) var endings: Set<UInt32> = []
    var window = SeenWindow()

    init(from side: Side, maxMessage: UInt32 = .max, isShort: Bool, _ agreement: FrameDecoder.Agreement = .init()) {
        decoder = FrameDecoder(
            from: side, maxFrame: Limits.defaultMaxFrame, maxMessage: maxMessage, isShort: isShort)
        decoder.agreement = agreement
    }

    mutating func read(_ bytes: [UInt8]) {
        var offset = 0
        require(!isClosed || bytes.isEmpty, "bytes behind CLOSE")
        do throws(Violation) {
            while let frame = try decoder.next(in: bytes.span, at: &offset) {
                require(!isClosed, "a frame behind CLOSE")
                if case .part(let part) = frame { window.note(part) }
                switch frame {
                case .ping(let nonce): window.note(ping: nonce)
                case .close(let close):
                    isClosed = true
                    lastID = close.lastID
                case .part(let part) where part.type == .response && part.isLast:
                    require(endings.insert(part.id).inserted, "a second ending of \(part.id)")
                case .failure(let id, _): require(endings.insert(id).inserted, "a second ending of \(id)")
                default: break
                }
            }
        } catch {
            fatalError("the output is broken: \(error)")
        }
        require(!isClosed || decoder.unfinishedLength == nil, "bytes behind CLOSE")
    }
}
