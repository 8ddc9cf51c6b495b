import Foundation
import Testing

@testable import Framing
@testable import LifelineClient
@testable import client

private func object(_ line: JSONLine) throws -> [String: Any] {
    let bytes = line.line
    #expect(bytes.last == 0x0A && bytes.count { $0 == 0x0A } == 1)
    #expect(!bytes.dropLast().contains { $0 < 0x20 || $0 == 0x7F })
    return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
}

@Suite struct JSONLineTests {
    @Test("Any bytes come back: text where they are UTF-8, and base64 elsewhere")
    func payloads() throws {
        for text in ["", "hello", "a\"b\\c/d", "\u{0}\u{1F}\u{7F}\n\r\t", "grün €", "\u{1F600}\u{2028}"] {
            let line = try object(.answer(7, Array(text.utf8), after: .microseconds(1500)))
            #expect(line["text"] as? String == text && line["base64"] == nil)
            #expect(
                line["number"] as? Int == 7 && line["after"] as? Double == 1.5 && line["event"] as? String == "answer")
        }
        for count in 1...6 {
            let bytes = [UInt8](repeating: 0xFF, count: count)
            let line = try object(.message(bytes))
            #expect(line["text"] == nil && line["event"] as? String == "message")
            #expect(Data(base64Encoded: try #require(line["base64"] as? String)) == Data(bytes))
        }
    }

    @Test("Times are milliseconds")
    func times() throws {
        for (duration, text) in [
            (Duration.zero, "0"), (.microseconds(7), "0.007"), (.milliseconds(12), "12"),
            (.microseconds(12_340), "12.340"),
            (.seconds(3600), "3600000"),
        ] {
            var line = JSONLine("x")
            line.add("time", duration)
            #expect(String(decoding: line.line, as: UTF8.self) == "{\"event\":\"x\",\"time\":\(text)}\n")
        }
    }

    @Test("An outcome has its name, its reason, and what the server said")
    func outcomes() throws {
        let failure = RequestFailure(Failure(.handlerFailed, "no \"table\"", retryAfter: 200))
        let failed = try object(.failure(3, .failed(failure)))
        #expect(failed["outcome"] as? String == "FAILED" && failed["code"] as? String == "HANDLER_FAILED")
        #expect(failed["text"] as? String == "no \"table\"" && failed["retry_after"] as? Int == 200)
        let tooLarge = try object(.failure(3, .notSent(.tooLarge(most: 10))))
        #expect(tooLarge["outcome"] as? String == "NOT_SENT" && tooLarge["reason"] as? String == "too_large")
        #expect(tooLarge["most"] as? Int == 10 && tooLarge["number"] as? Int == 3)
        let unknown = try object(.failure(3, .unknown(.connection(ConnectionError(.broken, "gone")))))
        #expect(unknown["outcome"] as? String == "UNKNOWN" && unknown["reason"] as? String == "connection")
        #expect(unknown["kind"] as? String == "broken" && unknown["text"] as? String == "gone")
        let reasons: [(RequestError, String)] = [
            (.unknown(.timedOut), "timed_out"), (.notSent(.cancelled), "cancelled"),
            (.refused(.refused(failure)), "refused"),
        ]
        for (error, reason) in reasons { #expect(try object(.failure(1, error))["reason"] as? String == reason) }
    }

    @Test("Each event of a connection is an object with its name")
    func events() throws {
        let terms = ConnectionTerms(
            Welcome(
                pingEvery: 10_000, deadAfter: 30_000, maxFrame: 16384, maxMessage: 1 << 20, maxInFlight: 16,
                maxQueued: 1 << 20, connection: 7), server: "db:7400")
        let error = ConnectionError(.closedByServer, "bye", code: .shuttingDown, retryAfter: .seconds(1))
        let events: [(ConnectionEvent, String)] = [
            (.connected(terms), "connected"), (.reconnected(terms), "reconnected"),
            (.roundTrip(.milliseconds(1)), "round_trip"),
            (.beatLate(waited: .seconds(1), lastRoundTrip: nil), "beat_late"),
            (.pathTooLong(roundTrip: .seconds(1), deadAfter: .seconds(1)), "path_too_long"),
            (.goingAway(code: .normal, text: "", retryAfter: .zero), "going_away"), (.lost(error), "lost"),
            (.reconnecting(after: error, wait: .seconds(1), attempt: 2), "reconnecting"),
            (.messagesDropped(3), "messages_dropped"), (.closed(error), "closed"),
        ]
        for (event, name) in events { #expect(try object(JSONLine(event))["event"] as? String == name) }
        let closed = try object(JSONLine(.closed(error)))
        #expect(closed["kind"] as? String == "closed_by_server" && closed["code"] as? String == "SHUTTING_DOWN")
        #expect(closed["retry_after"] as? Int == 1000)
        let connected = try object(JSONLine(.connected(terms)))
        #expect(connected["connection"] as? Int == 7 && connected["server"] as? String == "db:7400")
    }
}
