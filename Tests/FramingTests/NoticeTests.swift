import Testing

@testable import Framing

@Suite("4.3, 4.4 and 4.9 to 4.11 PING, PONG, FAILURE, GOAWAY and CLOSE")
struct NoticeTests {
    private func fromServer(_ bytes: [UInt8]) -> Reading { read(opening(of: .server) + bytes, from: .server) }

    @Test("4.3, 4.4 The nonce and the load stand at their places")
    func beats() {
        let ping = fromServer(raw(0x03, [1, 2, 3, 4, 5, 6, 7, 8]))
        #expect(ping.last == .frame(.ping(nonce: 0x0102_0304_0506_0708)))
        let pong = fromServer(raw(0x04, Array(1...20)))
        #expect(
            pong.last
                == .frame(
                    .pong(
                        Pong(
                            nonce: 0x0102_0304_0506_0708, queued: 0x090A_0B0C, inFlight: 0x0D0E_0F10,
                            longest: 0x1112_1314))))
    }

    @Test("4.9, 4.10, 4.11 Each field of the three endings stands at its place")
    func fields() {
        let failure = raw(0x09, id: 7, u16(18) + u16(0) + u32(0x0102_0304) + text("full"))
        #expect(fromServer(failure).last == .frame(.failure(id: 7, Failure(.refused, "full", retryAfter: 0x0102_0304))))
        let goAway = raw(0x0A, u16(13) + u16(0) + u32(1000) + u32(5000) + text("soon"))
        #expect(
            fromServer(goAway).last
                == .frame(.goAway(GoAway(.shuttingDown, "soon", retryAfter: 1000, spread: 5000))))
        let close = raw(0x0B, u32(9) + u16(19) + u16(0) + u32(77) + text("bye"))
        #expect(fromServer(close).last == .frame(.close(Close(.kicked, "bye", lastID: 9, retryAfter: 77))))
    }

    @Test("4.9-1 The zero of FAILURE, GOAWAY and CLOSE is 0", arguments: [1, 0x0100, 0xFFFF] as [UInt16])
    func reserved(zero: UInt16) {
        #expect(fromServer(raw(0x09, id: 1, u16(0) + u16(zero) + u32(0))).code == .protocolError)
        #expect(fromServer(raw(0x0A, u16(0) + u16(zero) + u64(0))).code == .protocolError)
        #expect(fromServer(raw(0x0B, u32(0) + u16(0) + u16(zero) + u32(0))).code == .protocolError)
    }

    @Test(
        "3.1-3 Their texts are UTF-8, well formed",
        arguments: [[0xFF], [0x61, 0xC3], [0xED, 0xA0, 0x80]] as [[UInt8]])
    func notUTF8(bytes: [UInt8]) {
        #expect(fromServer(raw(0x09, id: 1, u64(0) + bytes)).code == .protocolError)
        #expect(fromServer(raw(0x0A, u64(0) + u32(0) + bytes)).code == .protocolError)
        #expect(fromServer(raw(0x0B, u64(0) + u32(0) + bytes)).code == .protocolError)
    }

    @Test("4.9-4 A code that nobody knows is carried as it came", arguments: [21, 999, 65535] as [UInt16])
    func unknownCode(number: UInt16) {
        let reading = fromServer(raw(0x0B, u32(0) + u16(number) + u16(0) + u32(0)))
        #expect(reading.last == .frame(.close(Close(Code(rawValue: number)))))
        #expect(Code(rawValue: number).description == "CODE_\(number)")
    }

    @Test(
        "8 Every code has its number and its name",
        arguments: zip(
            Array(UInt16(0)...20),
            [
                ("NORMAL", Code.normal), ("PROTOCOL_ERROR", .protocolError), ("BAD_PREFACE", .badPreface),
                ("UNSUPPORTED_VERSION", .unsupportedVersion), ("FRAME_TOO_LARGE", .frameTooLarge),
                ("MESSAGE_TOO_LARGE", .messageTooLarge), ("HANDSHAKE_TIMEOUT", .handshakeTimeout),
                ("SILENT", .silent), ("FRAME_TIMEOUT", .frameTimeout), ("SLOW_READER", .slowReader),
                ("TOO_MANY_PINGS", .tooManyPings), ("NO_ROUND_TRIP", .noRoundTrip), ("BUSY", .busy),
                ("SHUTTING_DOWN", .shuttingDown), ("UNAUTHORIZED", .unauthorized),
                ("UNSUPPORTED_OPTION", .unsupportedOption), ("HANDLER_FAILED", .handlerFailed),
                ("CANCELLED", .cancelled), ("REFUSED", .refused), ("KICKED", .kicked), ("INTERNAL", .internal),
            ]))
    func codes(number: UInt16, code: (String, Code)) {
        #expect(code.1.rawValue == number)
        #expect(code.1.description == code.0)
    }

    @Test("10 A text is cut to 512 bytes between characters, and what is cut can be read")
    func cutTexts() {
        let texts: [(String, Int)] = [
            (String(repeating: "a", count: 512), 512), (String(repeating: "a", count: 513), 512),
            (String(repeating: "ä", count: 256), 512), (String(repeating: "ä", count: 300), 512),
            ("a" + String(repeating: "ä", count: 300), 511), (String(repeating: "€", count: 171), 510),
            (String(repeating: "👩‍👩‍👧‍👦", count: 30), 20 * 25), ("", 0),
        ]
        for (text, expected) in texts {
            var close: [UInt8] = []
            Close(.normal, text).append(to: &close)
            #expect(close.count == 12 + 12 + expected)
            guard case .frame(.close(let read)) = fromServer(close).last else {
                Issue.record("a cut text is not read")
                continue
            }
            #expect(text.hasPrefix(read.text) && read.text.utf8.count == expected)
            var goAway: [UInt8] = []
            GoAway(.normal, text).append(to: &goAway)
            #expect(goAway.count == 12 + 12 + expected && fromServer(goAway).violation == nil)
            var failure: [UInt8] = []
            Failure(.normal, text).append(id: 1, to: &failure)
            #expect(failure.count == 12 + 8 + expected && fromServer(failure).violation == nil)
        }
    }
}
