import Arguments
import Basics
import Framing
import LifelineServer
import Posix

/// What a server has answered to a command of a back-end.
enum PushReply: Equatable {
    case answer([UInt8])
    case failure(Failure)
}

/// Asks a running server what back-ends ask, over its control socket: a connection for each command. It blocks.
///
/// Behind the server's verdict that is a SHORT connection of the protocol, with one request (Protocol.md, section 7.3).
struct PushClient {
    /// How long the server may take for a command, beyond the time that the command has itself.
    private static let patience = Duration.seconds(20)

    let control: ControlClient

    /// Sends the command and returns the answer. Throws where there is none.
    func ask(_ command: PushCommand) throws(ControlError) -> PushReply {
        var deadline = Instant.now + PushClient.patience
        if case .request(_, let timeout, _) = command { deadline = deadline + timeout }
        let socket = try control.connect()
        do {
            _ = try socket.send(Array(ControlRequest.push.line.utf8)[...])
            var conversation = PushConversation(of: command.bytes, until: deadline)
            guard let reply = try conversation.run(on: socket) else { throw control.noAnswer }
            return reply
        } catch let error as ControlError {
            throw error
        } catch let error as SystemError {
            throw control.failure(error)
        } catch {
            throw ControlError(
                status: .protocolError, text: "the server at \(control.path) breaks the protocol: \(error)")
        }
    }
}

/// One SHORT connection to a server, from the verdict of the control socket to the answer.
struct PushConversation: ~Copyable {
    /// The longest silence before the server has said what its own is.
    private static let firstPatience = Duration.seconds(5)
    /// The longest answer that is taken.
    private static let longestAnswer: UInt32 = 1 << 30
    /// The verdict of the control socket is shorter.
    private static let longestVerdict = 65536

    private let request: [UInt8]
    private let deadline: Instant
    private let hello = Hello(
        short: true, maxMessage: longestAnswer, options: Options(agent: "server ctl/\(lifelineVersion)"))
    /// What has come before the verdict has ended; nil from then on.
    private var verdict: [UInt8]? = []
    private var decoder = FrameDecoder(
        from: .server, maxFrame: Limits.defaultMaxFrame, maxMessage: longestAnswer, isShort: true)
    private var outbox = Outbox()
    private var assembler = MessageAssembler()
    private var deadAfter = firstPatience
    private var heardAt = Instant.now
    private var pingEvery: Duration?
    private var nextPing: Instant?
    private var nonce: UInt64 = 0
    private var reply: PushReply?

    /// A connection for `request`, which has its answer by `deadline`.
    init(of request: [UInt8], until deadline: Instant) {
        self.request = request
        self.deadline = deadline
    }

    /// Returns the answer; nil where the server falls silent or ends before it. Throws what the server refuses, and its
    /// breach of the protocol.
    mutating func run(on socket: borrowing Descriptor) throws -> PushReply? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let now = Instant.now
            let silentAt = heardAt + deadAfter
            guard now < min(deadline, silentAt) else { return nil }
            if let due = nextPing, due <= now { ping(at: now) }
            while !outbox.unsent.isEmpty {
                guard case .bytes(let count) = try socket.send(outbox.unsent) else { break }
                outbox.wrote(count)
            }
            var entries = [PollEntry(socket.number, writing: !outbox.unsent.isEmpty)]
            try poll(&entries, until: earlier(nextPing, min(deadline, silentAt)))
            guard entries[0].isReadable else { continue }
            switch try socket.receive(into: &buffer) {
            case .wouldBlock: continue
            case .end: return nil
            case .bytes(let count):
                heardAt = .now
                if let reply = try received(Array(buffer[..<count])) { return reply }
            }
        }
    }

    private mutating func ping(at now: Instant) {
        nonce += 1
        outbox.ping(nonce)
        nextPing = pingEvery.map { now + $0 }
    }

    private mutating func received(_ bytes: [UInt8]) throws -> PushReply? {
        guard var head = verdict else { return try take(bytes) }
        head += bytes
        guard let end = head.firstIndex(of: 0x0A) else {
            guard head.count < PushConversation.longestVerdict else { throw Violation(.badPreface, "no verdict") }
            verdict = head
            return nil
        }
        guard let object = JSONObject(line: head[..<end]), object["ok"] != nil else {
            throw Violation(.badPreface, "no verdict of a control socket")
        }
        try ControlClient.check(object)
        verdict = nil
        outbox.greet(hello)
        return try take(Array(head[(end + 1)...]))
    }

    private mutating func take(_ bytes: [UInt8]) throws -> PushReply? {
        var offset = 0
        while let frame = try decoder.next(in: bytes.span, at: &offset) {
            switch frame {
            case .welcome(let welcome): try begin(welcome)
            case .ping(let nonce): outbox.answer(with: Pong(nonce: nonce))
            case .part(let part):
                if let answer = assembler.add(part, of: bytes) { return .answer(Array(answer)) }
            case .failure(_, let failure): return .failure(failure)
            case .close(let close):
                throw ControlError(
                    status: .unavailable,
                    text: "the server refuses: \(close.code)\(close.text.isEmpty ? "" : ", ")\(close.text)")
            default: break
            }
        }
        return nil
    }

    private mutating func begin(_ welcome: Welcome) throws {
        try welcome.check(against: hello)
        guard request.count <= welcome.maxMessage else {
            throw ControlError(
                status: .usage,
                text: "the message has \(request.count) bytes with its command, and the server takes at most "
                    + "\(welcome.maxMessage): raise its --max-message, or send less")
        }
        deadAfter = .milliseconds(welcome.deadAfter)
        pingEvery = .milliseconds(welcome.pingEvery)
        nextPing = .now + .milliseconds(welcome.pingEvery)
        outbox.setMaxFrame(welcome.maxFrame)
        outbox.send(.request, id: 1, request[...], cost: request.count)
    }
}
