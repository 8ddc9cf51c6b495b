import Basics
import Framing
import LifelineServer

/// `--handler chat`: what one client says all others hear, each message a line.
///
/// A long connection is a member: it subscribes at its opening, and the others hear of its coming and going. A SHORT
/// one hears nothing, and may say something. Any client can claim any name, as everywhere.
struct ChatHandler: Handler {
    private static let topic = "chat"
    private static let who = "/who"

    static let mayBeReused = true
    static let mayShare = true

    private var connection: Connection?
    private var isMember = false

    mutating func opened(_ connection: Connection) {
        self.connection = connection
        do {
            try connection.subscribe(ChatHandler.topic)
            isMember = true
            try connection.publish("\(name) has joined", to: ChatHandler.topic)
        } catch .notReachable {
            // A SHORT connection: it leaves with its only answer.
        } catch {
            tell(isMember ? "others were not told that you have joined" : "you hear nobody: \(error)")
        }
    }

    mutating func respond(to request: Request) throws(Failure) -> Response {
        do throws(TopicError) {
            return Response(try answer(to: request.bytes))
        } catch {
            throw Failure(.handlerFailed, "\(error)")
        }
    }

    mutating func received(_ message: ArraySlice<UInt8>) {
        do throws(TopicError) {
            let answer = try answer(to: message)
            if message.elementsEqual(ChatHandler.who.utf8) { tell(answer) }
        } catch {
            tell("nobody was told: \(error)")
        }
    }

    mutating func missed(_ gap: MessageGap) {
        guard gap.topic == ChatHandler.topic else { return }
        switch gap.count {
        case 1?: tell("you have missed a message")
        case let count?: tell("you have missed \(count) messages")
        case nil: tell("you may have missed messages")
        }
    }

    mutating func closed(_ reason: CloseReason) {
        // Whoever does not hear of it sees it in the answer to /who.
        if isMember { _ = try? connection?.publish("\(name) has left", to: ChatHandler.topic) }
    }

    /// Tells the others, and returns how many they are; or who is there.
    private func answer(to bytes: ArraySlice<UInt8>) throws(TopicError) -> String {
        guard let connection, !bytes.isEmpty else { return "0" }
        if bytes.elementsEqual(ChatHandler.who.utf8) {
            return try connection.members(of: ChatHandler.topic)
                .map { ChatHandler.name($0.name, $0.connection) }.joined(separator: "\n")
        }
        // A message is a line. With a line break, or a command for a terminal, in it one could speak in another's name.
        let text = String(decoding: bytes, as: UTF8.self).printable
        return "\(try connection.publish("\(name): \(text)", to: ChatHandler.topic))"
    }

    /// Says something to the client alone; where it has no room, it does without.
    private func tell(_ text: String) { _ = connection?.trySend(text) }

    private var name: String { ChatHandler.name(connection?.name, connection?.id ?? 0) }

    private static func name(_ name: String?, _ connection: UInt64) -> String {
        guard let name, !name.isEmpty else { return "connection \(connection)" }
        return name.printable
    }
}
