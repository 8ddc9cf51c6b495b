import Basics
import Framing

@testable import LifelineClient

/// `seconds` after the clock's beginning plus an hour, so that no test lives near zero.
func at(_ seconds: Double) -> Instant { Instant(sinceStart: .seconds(3600) + .milliseconds(seconds * 1000)) }

extension Duration {
    static func milliseconds(_ value: Double) -> Duration { .microseconds(Int64((value * 1000).rounded())) }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The server's side of a test: frames out through an `Outbox`, frames in through a `FrameDecoder`.
struct Peer {
    /// What the client sent, without what a test does not ask about.
    enum Seen: Equatable {
        case hello(short: Bool)
        case ping(UInt64)
        case pong(UInt64)
        case request(UInt32, [UInt8])
        case message([UInt8])
        case cancel(UInt32)
        case response(UInt32, [UInt8])
        case failure(UInt32, Code)
        case credit(limit: UInt64, handled: UInt64)
        case goAway(Code)
        case close(Code)
    }

    var outbox = Outbox()
    private var hello = Hello()
    /// last_id of the client's CLOSE.
    private(set) var lastID: UInt32?
    /// The text of the client's last FAILURE.
    private(set) var failureText = ""
    private var decoder = FrameDecoder(from: .client, maxFrame: 16384, maxMessage: 1 << 20)
    private var assembler = MessageAssembler()
    /// PINGs are answered, or only seen.
    var answersPings = true

    /// Ten seconds of dead_after, and a PING every two, in 1.0: nothing waits for a PONG.
    static let welcome = Welcome(
        pingEvery: 2000, deadAfter: 10_000, maxFrame: 16384, maxMessage: 1 << 20, maxInFlight: 4, maxQueued: 1 << 20,
        connection: 7, minor: 0)

    /// The bytes that the server would send now.
    mutating func take() -> [UInt8] {
        var all: [UInt8] = []
        while !outbox.isEmpty {
            all += outbox.unsent
            outbox.wrote(outbox.unsent.count)
        }
        return all
    }

    /// What a client sent in `bytes`.
    mutating func read(_ bytes: [UInt8]) throws -> [Seen] {
        var seen: [Seen] = []
        var offset = 0
        while let frame = try decoder.next(in: bytes.span, at: &offset) {
            switch frame {
            case .hello(let hello):
                self.hello = hello
                seen.append(.hello(short: hello.short))
            case .ping(let nonce):
                seen.append(.ping(nonce))
                if answersPings { outbox.answer(with: Pong(nonce: nonce)) }
            case .pong(let pong): seen.append(.pong(pong.nonce))
            case .part(let part):
                guard let message = assembler.add(part, of: bytes) else { continue }
                switch part.type {
                case .request: seen.append(.request(part.id, Array(message)))
                case .response: seen.append(.response(part.id, Array(message)))
                default: seen.append(.message(Array(message)))
                }
            case .cancel(let id): seen.append(.cancel(id))
            case .failure(let id, let failure):
                failureText = failure.text
                seen.append(.failure(id, failure.code))
            case .credit(let credit): seen.append(.credit(limit: credit.limit, handled: credit.handled))
            case .goAway(let goAway): seen.append(.goAway(goAway.code))
            case .close(let close):
                lastID = close.lastID
                seen.append(.close(close.code))
            case .welcome: break
            }
        }
        return seen
    }

    /// Answers the HELLO that was read, with what both agree on.
    mutating func greet(_ welcome: Welcome) {
        outbox.greet(welcome, maxFrame: 16384)
        decoder.agreement = welcome.agreement(with: hello)
    }

    /// What the client offered in HELLO.
    var offered: Options { hello.options }

    mutating func ask(_ id: UInt32, _ text: String) {
        outbox.send(.request, id: id, bytes(text)[...], cost: 0)
    }

    mutating func respond(_ id: UInt32, _ text: String) {
        outbox.send(.response, id: id, bytes(text)[...], cost: 0)
    }
}
