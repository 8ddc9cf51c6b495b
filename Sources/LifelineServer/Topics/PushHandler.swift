import Basics
import Framing
import Posix

/// Carries out what a back-end asks for on the publish socket (`PushCommand`).
///
/// Each request is one command, and has its answer in a RESPONSE. Where there is none a FAILURE says why.
/// HANDLER_FAILED keeps clients from asking again by themselves, and REFUSED has them do so (Protocol.md, section 7.7).
///
/// | what happened | code | text |
/// |---|---|---|
/// | the command is wrong | HANDLER_FAILED | `BAD_COMMAND: ` and why |
/// | this process has no way to the router | HANDLER_FAILED | `NOT_SENT: ` and why |
/// | the router could not be asked for something that changes nothing | REFUSED | why |
/// | the router did not say whether it has done it | HANDLER_FAILED | `UNKNOWN: ` and why |
/// | the client of `request` was not asked: there is none, or it answers none | HANDLER_FAILED | `NOT_SENT: ` and why |
/// | the client promised not to process it | HANDLER_FAILED | `REFUSED: ` and why |
/// | the client may have processed it, or not | HANDLER_FAILED | `UNKNOWN: ` and why |
/// | the client answered with a FAILURE | the client's code | the client's text |
/// | the back-end has cancelled its request | CANCELLED | |
///
/// A one-way message may be `publish` or `send`. It has no answer, and its failure stands in the log.
///
/// The commands of one connection are carried out one after another. A back-end that goes on while a `request` waits for
/// a client has another connection for that.
struct PushHandler: Handler {
    static let mayBeReused = true
    static let mayShare = true

    private let log: Log
    private var connection: Connection?

    init(log: Log) { self.log = log }

    mutating func opened(_ connection: Connection) { self.connection = connection }

    mutating func respond(to request: Request) throws(Failure) -> Response {
        guard let connection else { throw Failure(.internal, "the connection is not open") }
        let command: PushCommand
        do throws(PushCommandError) {
            command = try PushCommand(request.bytes)
        } catch {
            throw Failure(.handlerFailed, "BAD_COMMAND: \(error)")
        }
        let outcome: RelayedOutcome
        do throws(TopicError) {
            guard case .request(let recipient, let timeout, let bytes) = command else {
                return Response(try PushHandler.carryOut(command, on: connection))
            }
            outcome = try connection.anyTie().request(
                bytes, of: recipient, timeout: timeout, unless: { request.isCancelled })
        } catch {
            throw request.isCancelled ? Failure(.cancelled) : PushHandler.failure(error, of: command)
        }
        return try PushHandler.response(to: outcome, request)
    }

    mutating func received(_ message: ArraySlice<UInt8>) {
        guard let connection else { return }
        do {
            switch try PushCommand(message) {
            case .publish(let topic, let bytes): try connection.publish(Array(bytes), to: topic)
            case .send(let recipient, let bytes): try connection.send(Array(bytes), to: recipient)
            default: throw PushCommandError("a one-way message is publish or send: anything else is a request")
            }
        } catch {
            log.write(.notPublished) {
                $0.number(.connection, connection.id)
                $0.number(.pid, processID)
                $0.text(.text, "\(error)")
            }
        }
    }

    /// Carries out what is no request to a client, and returns the answer.
    private static func carryOut(_ command: PushCommand, on connection: Connection) throws(TopicError) -> String {
        switch command {
        case .publish(let topic, let bytes): return "\(try connection.publish(Array(bytes), to: topic))"
        case .send(let recipient, let bytes): return "\(try connection.send(Array(bytes), to: recipient))"
        case .disconnect(let recipient, let text): return "\(try connection.disconnect(recipient, text))"
        case .enroll(let recipient, let topic, let isOn):
            let topic = try TopicName(topic)
            return "\(try connection.anyTie().count { .enroll(call: $0, recipient, topic, isOn: isOn) })"
        case .online(let recipient): return "\(try connection.anyTie().count { .count(call: $0, recipient) })"
        case .members(let topic):
            return try connection.members(of: topic).map { PushHandler.row($0).line + "\n" }.joined()
        case .topics:
            return try connection.anyTie().topics().map { PushHandler.row($0).line + "\n" }.joined()
        case .request: throw .unavailable("a request to a client has another answer")
        }
    }

    private static func response(to outcome: RelayedOutcome, _ request: Request) throws(Failure) -> Response {
        if request.isCancelled { throw Failure(.cancelled) }
        switch outcome {
        case .answer(let bytes): return Response(bytes)
        case .failed(var failure):
            // A side sends no code that it does not know (8-1).
            if failure.code.rawValue > Code.internal.rawValue { failure.code = .internal }
            throw failure
        case .notSent(let text): throw Failure(.handlerFailed, "NOT_SENT: \(text)")
        case .refused(let text): throw Failure(.handlerFailed, "REFUSED: \(text)")
        case .unknown(let text): throw Failure(.handlerFailed, "UNKNOWN: \(text)")
        }
    }

    private static func failure(_ error: TopicError, of command: PushCommand) -> Failure {
        switch (error, command) {
        case (.unavailable(let text), .members), (.unavailable(let text), .topics), (.unavailable(let text), .online):
            Failure(.refused, text)
        case (.unavailable(let text), _): Failure(.handlerFailed, "UNKNOWN: \(text)")
        case (.noTopics, _): Failure(.handlerFailed, "NOT_SENT: \(error)")
        default: Failure(.handlerFailed, "BAD_COMMAND: \(error)")
        }
    }

    /// A subscriber, without keys for what it does not have.
    static func row(_ member: Member) -> JSONObject {
        var row = JSONObject()
        row.add("connection", member.connection)
        if let name = member.name { row.add("name", name) }
        if let token = member.tokenName { row.add("token", token) }
        row.add("peer", member.peer)
        return row
    }

    static func row(_ count: TopicCount) -> JSONObject {
        var row = JSONObject()
        row.add("topic", count.topic.text)
        row.add("subscribers", count.subscribers)
        return row
    }
}
