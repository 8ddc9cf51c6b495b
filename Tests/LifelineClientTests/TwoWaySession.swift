import Basics
import Framing
import Testing

@testable import LifelineClient

/// A session and its server in a test: time goes, and bytes come.
protocol SessionWorld {
    var session: Session { get set }
    var peer: Peer { get set }
    var now: Instant { get set }
    /// Takes what the session puts out.
    mutating func drain()
}

extension SessionWorld {
    mutating func go(to seconds: Double) {
        now = at(seconds)
        session.resumed(at: now)
        session.enforceDeadlines(at: now)
        drain()
    }

    mutating func receive() {
        let bytes = peer.take()
        session.received(bytes, upTo: bytes.count, at: now)
        session.enforceDeadlines(at: now)
        drain()
    }
}

/// A session of a test whose server speaks 1.1: it may ask, and bounds messages by credit.
struct TwoWaySession: SessionWorld {
    var session: Session
    var peer = Peer()
    var now = at(0)
    var events: [ConnectionEvent] = []
    var messages: [[UInt8]] = []
    /// The requests that the program was given and has not answered, and those that were cancelled meanwhile.
    var asked: [AnswerKey: [UInt8]] = [:]
    var cancelled: [AnswerKey] = []
    var results: [Call.ID: Result<[UInt8], RequestError>] = [:]
    /// The numbers of the messages that were sent.
    var numbers: [Call.ID: Int] = [:]
    var isReleased = false

    /// Opens a connection: `credit` is what the server offers, and nil where it has none.
    init(
        answers: AnswerTerms? = nil, window: UInt64? = nil, credit: UInt64? = nil, minor: UInt8 = 1,
        maxMessage: UInt32 = 1 << 20
    ) throws {
        session = Session(
            Hello(deadAfter: 10_000, options: Options(credit: window, answers: answers)), policy: ReconnectPolicy(),
            connectTimeout: .seconds(30), at: at(0), random: { 0.5 })
        drain()
        try connect(credit: credit, minor: minor, maxMessage: maxMessage)
    }

    mutating func connect(credit: UInt64? = nil, minor: UInt8 = 1, maxMessage: UInt32 = 1 << 20) throws {
        peer = Peer()
        session.dialed(at: now)
        _ = try sent()
        peer.greet(
            Welcome(
                pingEvery: 2000, deadAfter: 10_000, maxFrame: 16384, maxMessage: maxMessage, maxInFlight: 4,
                maxQueued: 1 << 20, connection: 7, options: Options(credit: credit), minor: minor))
        receive()
    }

    mutating func drain() {
        while let output = session.nextOutput() {
            switch output {
            case .dial, .dialNext, .stopDialing: break
            case .releaseConnection: isReleased = true
            case .finish(let id, let result): results[id] = result
            case .sent(let id, let number):
                results[id] = .success([])
                numbers[id] = number
            case .message(let message): messages.append(message)
            case .event(let event): events.append(event)
            case .answer(let key, let request):
                #expect(asked[key] == nil, "\(key) was asked twice")
                asked[key] = request
            case .cancelAnswer(let key): cancelled.append(key)
            }
        }
    }

    /// What the client sends now, without heartbeats; that of a connection which it ends too.
    mutating func sent() throws -> [Peer.Seen] {
        session.enforceDeadlines(at: now)
        drain()
        var all: [UInt8] = []
        while let unsent = session.connection?.outbox.unsent, !unsent.isEmpty {
            all += unsent
            session.wrote(unsent.count, at: now)
            session.sendWaitingCalls(at: now)
        }
        if isReleased, var released = session.takeReleased() {
            isReleased = false
            while !released.outbox.unsent.isEmpty {
                all += released.outbox.unsent
                released.wrote(released.outbox.unsent.count, at: now)
            }
        }
        drain()
        return try peer.read(all).filter { if case .ping = $0 { false } else { true } }
    }

    /// The server asks, and the program gets it.
    mutating func ask(_ id: UInt32, _ text: String = "?") {
        peer.ask(id, text)
        receive()
    }

    /// The program's task for a request has ended.
    mutating func answer(_ id: UInt32, _ result: Result<[UInt8], Failure>, connection: Int = 1) {
        let key = AnswerKey(connection: connection, id: id)
        #expect(asked.removeValue(forKey: key) != nil, "\(key) was not asked")
        session.answerEnded(key, result, at: now)
        drain()
    }

    mutating func send(_ id: Call.ID, _ message: [UInt8]) {
        session.start(id, Call(.message, message, deadline: nil))
    }

    mutating func close(within limit: Duration = .seconds(60)) {
        session.close(within: limit, at: now)
        drain()
    }
}
