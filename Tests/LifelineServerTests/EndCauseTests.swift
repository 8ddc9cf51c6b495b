import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("7 What each cause of an end does in each phase")
struct EndCauseTests {
    typealias Phase = ServerConnection.Phase

    private static let rows: [(cause: EndCause, greeting: String, open: String, finishing: String, closing: String)] = [
        (.clientClose, "closing PROTOCOL_ERROR", "over NORMAL", "over NORMAL", "closing SHUTTING_DOWN"),
        (.clientGoAway, "closing PROTOCOL_ERROR", "finishing NORMAL", "finishing NORMAL", "closing SHUTTING_DOWN"),
        (.streamEnd, "over NORMAL", "finishing NORMAL", "finishing NORMAL", "closing SHUTTING_DOWN"),
        (
            .streamCutOff, "over PROTOCOL_ERROR", "finishing PROTOCOL_ERROR", "finishing PROTOCOL_ERROR",
            "closing SHUTTING_DOWN"
        ),
        (
            .violation, "closing PROTOCOL_ERROR", "closing PROTOCOL_ERROR", "closing PROTOCOL_ERROR",
            "closing SHUTTING_DOWN"
        ),
        (.deadline, "closing HANDSHAKE_TIMEOUT", "closing SILENT", "closing SILENT", "over SLOW_READER"),
        (.broken, "over LOST", "over LOST", "over LOST", "over SHUTTING_DOWN"),
        (.sendAway, "greeting NORMAL", "open NORMAL", "finishing NORMAL", "closing SHUTTING_DOWN"),
        (.terminate, "closing SHUTTING_DOWN", "finishing SHUTTING_DOWN", "finishing NORMAL", "closing SHUTTING_DOWN"),
        (.quit, "closing SHUTTING_DOWN", "closing SHUTTING_DOWN", "closing SHUTTING_DOWN", "closing SHUTTING_DOWN"),
        (.kick, "closing KICKED", "closing KICKED", "closing KICKED", "over SHUTTING_DOWN"),
        (.handlerStop, "greeting NORMAL", "closing HANDLER_FAILED", "closing NORMAL", "closing SHUTTING_DOWN"),
    ]

    /// In `open` and `finishing` a request is unanswered; in `closing` the client reads nothing.
    private func conversation(in phase: Phase) -> Conversation {
        let terms = Terms(timeout: 1000)
        var conversation = Conversation(terms, handshakeTimeout: .seconds(1))
        conversation.echoes = false
        if phase != .greeting { conversation.receive(hello()) }
        switch phase {
        case .greeting: break
        case .open: conversation.receive(request(1, "a"))
        case .finishing: conversation.receive(request(1, "a"), goAway())
        case .closing:
            conversation.takes = false
            conversation.terminate()
        case .over: conversation.connection.broke("reset")
        }
        #expect(conversation.connection.phase == phase)
        return conversation
    }

    private func bring(_ cause: EndCause, to conversation: inout Conversation, in phase: Phase) {
        switch cause {
        case .shortAnswered: break
        case .clientClose: conversation.receive(phase == .greeting ? preface : [], close())
        case .clientGoAway: conversation.receive(phase == .greeting ? preface : [], goAway())
        case .streamEnd: conversation.endOfStream()
        case .streamCutOff:
            conversation.receive(phase == .greeting ? text("LIFE") : [0])
            conversation.endOfStream()
        case .violation: conversation.receive(phase == .greeting ? preface : [], raw(0x77))
        case .deadline:
            if phase != .greeting { conversation.wake(at: at(500)) }
            conversation.wake(at: at(1000))
        case .broken: conversation.connection.broke("reset")
        case .sendAway: conversation.sendAway()
        case .terminate: conversation.terminate()
        case .quit: conversation.quit()
        case .kick: conversation.connection.kick(at: conversation.now)
        case .handlerStop: conversation.connection.stop(CloseCause(.handlerFailed, "no more"))
        }
        conversation.settle()
    }

    @Test("The phase and the reason of a connection after each cause in each phase")
    func table() {
        for row in EndCauseTests.rows {
            let columns: [(Phase, String)] = [
                (.greeting, row.greeting), (.open, row.open), (.finishing, row.finishing), (.closing, row.closing),
                (.over, "over LOST"),
            ]
            for (phase, expected) in columns {
                var conversation = conversation(in: phase)
                bring(row.cause, to: &conversation, in: phase)
                let connection = conversation.connection
                #expect("\(connection.phase) \(connection.closeReason.name)" == expected, "\(row.cause) in \(phase)")
            }
        }
    }

    @Test("The request of a SHORT connection ends it when it has its ending, whatever began to end it before")
    func short() {
        for isEnding in [false, true] {
            var conversation = Conversation.opened(short: true, echoes: false)
            conversation.receive(request(1, "a"))
            if isEnding { conversation.endOfStream() }
            conversation.answer(1, "x")
            #expect(conversation.connection.phase == (isEnding ? .over : .closing))
            #expect(conversation.said().last == "CLOSE NORMAL last 1")
        }
    }
}
