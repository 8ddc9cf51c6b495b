import RawWire
import Testing

@Suite("The fields of a frame, for a person") struct RawFieldTests {
    @Test(
        "Each type has the fields of its picture in section 4",
        arguments: [
            (
                RawFrame.hello(minor: 1, flags: 1, pingEvery: 20, deadAfter: 100, maxFrame: 256, maxMessage: 1000),
                "HELLO major 1 minor 1 flags SHORT ping_every 20 ms dead_after 100 ms max_frame 256 max_message 1000"
            ),
            (
                RawFrame.welcome(connection: 7, options: RawFrame.option(3, Array("peer".utf8))),
                "WELCOME major 1 minor 0 ping_every 10000 ms dead_after 30000 ms max_frame 16384 max_message 1048576 "
                    + "max_in_flight 256 max_queued 4194304 connection 7 AGENT 'peer'"
            ),
            (RawFrame.ping(3), "PING nonce 3"),
            (RawFrame.pong(3, queued: 1, inFlight: 2, longest: 4), "PONG nonce 3 queued 1 in flight 2 longest 4 ms"),
            (RawFrame.request(1, "hello", more: true), "REQUEST flags MORE id 1 bytes 'hello'"),
            (RawFrame.response(1, []), "RESPONSE id 1 bytes empty"),
            (RawFrame.message([0, 255]), "MESSAGE bytes 00 ff"),
            (RawFrame.cancel(9), "CANCEL id 9"),
            (
                RawFrame.failure(2, .refused, retryAfter: 5, "full"),
                "FAILURE id 2 code REFUSED retry_after 5 ms text 'full'"
            ),
            (
                RawFrame.goAway(.shuttingDown, retryAfter: 5, spread: 6),
                "GOAWAY code SHUTTING_DOWN retry_after 5 ms spread 6 ms"
            ),
            (RawFrame.close(.init(number: 99), lastID: 4), "CLOSE last_id 4 code code 99 retry_after 0 ms"),
            (RawFrame.credit(limit: 1 << 40, handled: 7), "CREDIT limit 1099511627776 handled 7"),
            (RawFrame.unknown(0x7F, flags: 0x80, [1]), "type 0x7f flags IGNORABLE bytes 01"),
        ])
    func types(_ frame: RawFrame, _ text: String) { #expect(frame.description == text) }

    @Test(
        "What is wrong with a frame is shown, with all that is right",
        arguments: [
            (RawFrame.ping(3).with { $0.payload.removeLast() }, "PING cut short before nonce 00 00 00 00 00 00 00"),
            (RawFrame.ping(3).with { $0.payload.append(0x61) }, "PING nonce 3 too long by 'a'"),
            (RawFrame.close().with { $0.payload = [0, 0, 0, 1] }, "CLOSE last_id 1 cut short before code empty"),
            (
                RawFrame.ping(1).with { ($0.flags, $0.reserved, $0.id) = (0x43, 5, 6) },
                "PING flags MORE 0x42 zero 5 id 6 nonce 1"
            ),
            (RawFrame.close().with { $0.payload[7] = 2 }, "CLOSE last_id 0 code NORMAL zero 2 retry_after 0 ms"),
            (RawFrame.message([]).with { $0.claimedLength = 100 }, "MESSAGE bytes 100 bytes"),
            (
                RawFrame.message(Array("ab".utf8)).with { $0.claimedLength = 100 }, "MESSAGE bytes 'ab' ... (100 bytes)"
            ),
        ])
    func faults(_ frame: RawFrame, _ text: String) { #expect(frame.description == text) }

    @Test(
        "Options are named, and what does not fit is shown",
        arguments: [
            (RawFrame.option(1, [0x74]) + RawFrame.name("käse"), "TOKEN 't' NAME 'käse'"),
            (RawFrame.option(0x8001, [0xFF]), "option 0x8001 ff"),
            (
                RawFrame.credit(from: 65536) + RawFrame.answers(maxInFlight: 2, maxQueued: 100),
                "CREDIT 65536 ANSWERS max_in_flight 2 max_queued 100"
            ),
            (RawFrame.option(4, [1, 2, 3]), "CREDIT 01 02 03"),
            (RawFrame.option(2, [0x61], length: 9), "NAME 'a', and its length says 9"),
            (RawFrame.name("") + [1, 2, 3], "NAME empty left over 01 02 03"),
        ])
    func options(_ options: [UInt8], _ text: String) {
        let fields = RawFrame.hello(options: options).fields.map { "\($0.name) \($0.value)" }
        #expect(fields.suffix(from: 6).joined(separator: " ") == text)
    }

    @Test(
        "Bytes are text where a terminal and a page can show them, else hex",
        arguments: [
            ([0x68, 0x69], "'hi'"), ([0xC3, 0xA4], "'ä'"), ([0x61, 0x80], "61 80"), ([0x61, 0x0A], "61 0a"),
            ([0x1B, 0x5B], "1b 5b"), (Array("\u{202E}x".utf8), "e2 80 ae 78"), ([0xC2, 0x85], "c2 85"), ([], "empty"),
            (Array(repeating: 0x61, count: 81), "'\(String(repeating: "a", count: 80))' ... (81 bytes)"),
            // The 80th byte is the first of two.
            (
                Array(("a" + String(repeating: "ä", count: 60)).utf8),
                "'a\(String(repeating: "ä", count: 39))' ... (121 bytes)"
            ),
            (
                Array(repeating: 0, count: 33),
                Array(repeating: "00", count: 16).joined(separator: " ") + " ... (33 bytes)"
            ),
        ] as [([UInt8], String)])
    func bytes(_ bytes: [UInt8], _ text: String) { #expect(readable(bytes[...]) == text) }
}
