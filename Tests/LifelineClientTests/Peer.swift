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
        case close(Code)
    }

    var outbox = Outbox()
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
            case .hello(let hello): seen.append(.hello(short: hello.short))
            case .ping(let nonce):
                seen.append(.ping(nonce))
                if answersPings { outbox.answer(with: Pong(nonce: nonce)) }
            case .pong(let pong): seen.append(.pong(pong.nonce))
            case .part(let part):
                guard let message = assembler.add(part, of: bytes) else { continue }
                seen.append(part.type == .request ? .request(part.id, Array(message)) : .message(Array(message)))
            case .cancel(let id): seen.append(.cancel(id))
            case .close(let close): seen.append(.close(close.code))
            case .goAway, .welcome, .failure, .credit: break
            }
        }
        return seen
    }

    mutating func respond(_ id: UInt32, _ text: String) {
        outbox.send(.response, id: id, bytes(text)[...], cost: 0)
    }
}
