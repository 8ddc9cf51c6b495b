/// What the connections of both sides have in common.
protocol Living {
    var outbox: Outbox { get }
    var deadline: Instant? { get }
    var isOver: Bool { get }
    mutating func resumed(at now: Instant)
    mutating func wrote(_ count: Int, at now: Instant)
}

/// A connection under a script of bytes, instants, writes and wishes, and what must be true on either side.
protocol Run {
    associatedtype Connection: Living
    var connection: Connection { get set }
    var now: Instant { get set }
    /// What the peer has read.
    var judge: Judge { get set }
    /// What AddressSanitizer counted before the connection was there.
    var heapBefore: Int { get }
    /// The bytes that came, and at most what this side put out by itself.
    var fed: Int { get }
    var spoken: Int { get }

    init(_ setting: UInt8)
    mutating func step(_ operation: UInt8, _ script: inout Script)
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
        connection.resumed(at: now)
    }

    mutating func sleep() {
        if let deadline = connection.deadline, deadline > now { advance(deadline - now) }
    }

    mutating func write(_ most: Int) {
        guard !connection.isOver else { return }
        let bytes = Array(connection.outbox.unsent.prefix(most))
        judge.read(bytes)
        connection.wrote(bytes.count, at: now)
    }

    /// Does what is due, once: a deadline that stays in the past would make the loop spin.
    private mutating func settle() {
        var turns = 0
        repeat {
            require(turns < 4, "the loop spins")
            turns += 1
            judgeAll()
            if connection.outbox.isEmpty { connection.wrote(0, at: now) }
        } while !connection.isOver && connection.deadline.map { $0 <= now } ?? false
    }

    /// The end comes by itself, whatever was: the peer says no more, and reads all or nothing.
    private mutating func end(isRead: Bool) {
        prepareEnd()
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
        checkEnd(isRead: isRead)
    }
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

    init(from side: Side, maxMessage: UInt32 = .max, isShort: Bool) {
        decoder = FrameDecoder(
            from: side, maxFrame: Limits.defaultMaxFrame, maxMessage: maxMessage, isShort: isShort)
    }

    mutating func read(_ bytes: [UInt8]) {
        var offset = 0
        require(!isClosed || bytes.isEmpty, "bytes behind CLOSE")
        do throws(Violation) {
            while let frame = try decoder.next(in: bytes.span, at: &offset) {
                require(!isClosed, "a frame behind CLOSE")
                switch frame {
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
