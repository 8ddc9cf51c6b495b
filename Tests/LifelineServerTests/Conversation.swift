import Basics
import Framing
import Liveness
import struct RawWire.RawFrame
import func RawWire.bigEndian
import Testing

@testable import LifelineServer

// The bytes of these tests are put together by RawWire, and what the server says is read by a few lines of their own.

func u16(_ value: UInt16) -> [UInt8] { bigEndian(value) }
func u32(_ value: UInt32) -> [UInt8] { bigEndian(value) }
func u64(_ value: UInt64) -> [UInt8] { bigEndian(value) }
func text(_ string: String) -> [UInt8] { Array(string.utf8) }
func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
func at(_ milliseconds: Double) -> Instant {
    Instant(sinceStart: .microseconds(Int64((milliseconds * 1000).rounded())))
}

/// A frame; `length` is for frames of which not all comes.
func raw(_ type: UInt8, flags: UInt8 = 0, id: UInt32 = 0, length: UInt32? = nil, _ payload: [UInt8] = []) -> [UInt8] {
    RawFrame(type: .init(number: type), flags: flags, id: id, payload: payload, claimedLength: length).bytes
}
func request(_ id: UInt32, _ string: String, more: Bool = false) -> [UInt8] {
    raw(0x05, flags: more ? 1 : 0, id: id, text(string))
}
func ping(_ nonce: UInt64) -> [UInt8] { raw(0x03, u64(nonce)) }
func pong(_ nonce: UInt64) -> [UInt8] { raw(0x04, u64(nonce) + zeros(12)) }
func message(_ string: String, more: Bool = false) -> [UInt8] { raw(0x07, flags: more ? 1 : 0, text(string)) }
func credit(_ limit: UInt64, handled: UInt64) -> [UInt8] { raw(0x0C, u64(limit) + u64(handled)) }
func cancel(_ id: UInt32) -> [UInt8] { raw(0x08, id: id) }
func goAway() -> [UInt8] { raw(0x0A, zeros(12)) }
func close(lastID: UInt32 = 0, code: UInt16 = 0) -> [UInt8] { raw(0x0B, u32(lastID) + u16(code) + zeros(6)) }

let preface = text("LIFELINE")
func hello(
    short: Bool = false, deadAfter: UInt32 = 0, maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20,
    token: [UInt8]? = nil, minor: UInt8 = 0, credit: UInt64? = nil
) -> [UInt8] {
    let options =
        (token.map { u16(1) + u16(UInt16($0.count)) + $0 } ?? []) + (credit.map { u16(4) + u16(8) + u64($0) } ?? [])
    return preface
        + raw(0x01, [1, minor, 0, short ? 1 : 0] + u32(0) + u32(deadAfter) + u32(maxFrame) + u32(maxMessage) + options)
}

/// What the loop was given for the handler.
enum Seen: Equatable {
    case opened
    case request(UInt32, String)
    case message(String)
    case cancelled(UInt32)
    case asked(UInt64, ServerRequests.AskOutcome)
    case publication(String)
    case gap(MessageGap)
}

/// A client's bytes against one connection of the server, carried out as its loop does it: the handler has one request
/// or message at a time, and gets the next when it has returned.
struct Conversation {
    var connection: ServerConnection
    var seen: [Seen] = []
    /// Whether the handler answers each request at once with its own bytes, as one in the loop does. Else it works
    /// beside the loop until the test answers.
    var echoes = true
    /// Whether the handler returns at once from the opening and from messages.
    var returns = true
    /// The request that the handler works on.
    private var working: UInt32?
    /// The cost of the message that the handler works on.
    private var messageCost: Int?
    /// Whether the kernel takes what there is to send.
    var takes = true
    private(set) var now = at(0)
    private var sent: [UInt8] = []
    private var read = 0

    init(
        _ terms: Terms = Terms(), handshakeTimeout: Duration = .seconds(10), tokens: Tokens? = nil,
        handlerTimeout: Duration? = nil, lifetime: ConnectionLifetime = ConnectionLifetime(),
        grace: Duration = .seconds(10)
    ) {
        connection = ServerConnection(
            id: 7, terms: terms, handshakeTimeout: handshakeTimeout, acceptedAt: at(0), tokens: tokens,
            handlerTimeout: handlerTimeout, lifetime: lifetime, grace: grace)
    }

    /// One that is past its handshake.
    static func opened(
        _ terms: Terms = Terms(), short: Bool = false, echoes: Bool = true, returns: Bool = true,
        handlerTimeout: Duration? = nil, minor: UInt8 = 0, credit: UInt64? = nil,
        lifetime: ConnectionLifetime = ConnectionLifetime(), grace: Duration = .seconds(10)
    ) -> Conversation {
        var conversation = Conversation(
            terms, handlerTimeout: handlerTimeout, lifetime: lifetime, grace: grace)
        conversation.echoes = echoes
        conversation.returns = returns
        conversation.receive(hello(short: short, minor: minor, credit: credit))
        #expect(conversation.said() == ["LIFELINE", "WELCOME"])
        return conversation
    }

    var isOver: Bool { connection.isOver }

    /// The loop wakes at `instant` because these bytes are there.
    mutating func receive(_ bytes: [UInt8]..., at instant: Instant? = nil) {
        now = instant ?? now
        connection.resumed(at: now)
        let buffer = bytes.flatMap { $0 }
        connection.received(buffer.count, at: now)
        while let event = connection.next(in: buffer, at: now) { take(event) }
        settle()
    }

    private mutating func take(_ event: ServerConnection.Event) {
        switch event {
        case .opened:
            seen.append(.opened)
            if returns { handlerReturns() }
        case .message(let bytes):
            seen.append(.message(String(decoding: bytes, as: UTF8.self)))
            messageCost = Credit.cost(of: bytes.count)
            if returns { handlerReturns() }
        case .cancelled(let id): seen.append(.cancelled(id))
        case .asked(let token, let outcome): seen.append(.asked(token, outcome))
        case .news(let item):
            switch item {
            case .publication(let publication): seen.append(.publication(publication.text))
            case .gap(let gap): seen.append(.gap(gap))
            }
            if returns { handlerReturns() }
        case .request(let id, let bytes):
            seen.append(.request(id, String(decoding: bytes, as: UTF8.self)))
            working = id
            if echoes {
                connection.answer(id, bytes)
                handlerReturns()
            }
        }
    }

    private mutating func handlerReturns() {
        working = nil
        if let cost = messageCost.take() { connection.messageHandled(cost: cost) }
        connection.handlerReturned()
    }

    /// The handler returns, and gets what is next.
    mutating func finish() {
        handlerReturns()
        settle()
    }

    mutating func endOfStream(at instant: Instant? = nil) {
        now = instant ?? now
        connection.resumed(at: now)
        connection.endOfStream(at: now)
        settle()
    }

    mutating func wake(at instant: Instant) {
        now = instant
        connection.resumed(at: now)
        settle()
    }

    /// The handler answers the request `id`, and returns where it works on that.
    mutating func answer(_ id: UInt32, _ string: String) {
        connection.answer(id, text(string)[...])
        if working == id { handlerReturns() }
        settle()
    }

    /// The handler fails at the request `id`, and returns where it works on that.
    mutating func fail(_ id: UInt32, _ code: Code) {
        connection.fail(id, Failure(code))
        if working == id { handlerReturns() }
        settle()
    }

    private static let farewell = GoAway(.shuttingDown, "bye", retryAfter: 1, spread: 2000)

    mutating func terminate(within time: Duration? = nil) {
        connection.terminate(Conversation.farewell, retryAfter: 700, within: time, at: now)
        settle()
    }

    mutating func sendAway() {
        connection.sendAway(Conversation.farewell)
        settle()
    }

    mutating func quit() {
        connection.quit(Conversation.farewell, retryAfter: 700, at: now)
        settle()
    }

    /// Judges and writes; afterwards the loop would sleep, and must not wake for a deadline that is past.
    mutating func settle(location: SourceLocation = #_sourceLocation) {
        connection.enforceDeadlines(at: now)
        while let event = connection.next(at: now) { take(event) }
        connection.prepareWrite(at: now)
        if takes { write() } else if !connection.outbox.isEmpty { connection.wrote(0, at: now) }
        let deadline = connection.deadline
        #expect(isOver || deadline == nil || deadline! > now, "it would spin", sourceLocation: location)
    }

    /// The kernel takes up to `most` bytes.
    mutating func write(_ most: Int = .max) {
        var rest = most
        while !connection.outbox.isEmpty, rest > 0 {
            let piece = connection.outbox.unsent.prefix(rest)
            sent += piece
            rest -= piece.count
            connection.wrote(piece.count, at: now)
        }
    }

    /// What the server has said since the last time, a frame a line, without texts.
    mutating func said() -> [String] {
        var lines: [String] = []
        if read == 0, sent.count >= 8 {
            lines.append(String(decoding: sent[..<8], as: UTF8.self))
            read = 8
        }
        while sent.count - read >= 12 {
            let length = Int(number(read, 4))
            guard sent.count - read >= 12 + length else { break }
            lines.append(line(type: sent[read + 4], flags: sent[read + 5], id: number(read + 8, 4), read + 12, length))
            read += 12 + length
        }
        return lines
    }

    /// The retry_after of the CLOSE that was said last.
    var retryAfter: UInt32? {
        var start = 8
        var found: UInt32?
        while sent.count - start >= 12 {
            if sent[start + 4] == 0x0B { found = UInt32(number(start + 20, 4)) }
            start += 12 + Int(number(start, 4))
        }
        return found
    }

    private func number(_ offset: Int, _ width: Int) -> UInt64 {
        sent[offset..<(offset + width)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func line(type: UInt8, flags: UInt8, id: UInt64, _ start: Int, _ length: Int) -> String {
        let more = flags == 1 ? "+" : ""
        let shown = length > 40 ? "\(length) bytes" : String(decoding: sent[start..<(start + length)], as: UTF8.self)
        switch type {
        case 0x02: return "WELCOME"
        case 0x03: return "PING \(number(start, 8))"
        case 0x04:
            let load =
                "queued \(number(start + 8, 4)) in flight \(number(start + 12, 4)) longest \(number(start + 16, 4))"
            return "PONG \(number(start, 8)) \(load)"
        case 0x05: return "REQUEST\(more) \(id) \(shown)"
        case 0x08: return "CANCEL \(id)"
        case 0x06: return "RESPONSE\(more) \(id) \(shown)"
        case 0x07: return "MESSAGE\(more) \(shown)"
        case 0x09: return "FAILURE \(id) \(Code(rawValue: UInt16(number(start, 2))))"
        case 0x0A: return "GOAWAY \(Code(rawValue: UInt16(number(start, 2))))"
        case 0x0C: return "CREDIT \(number(start, 8)) handled \(number(start + 8, 8))"
        case 0x0B: return "CLOSE \(Code(rawValue: UInt16(number(start + 4, 2)))) last \(number(start, 4))"
        default: return "type \(type)"
        }
    }
}
