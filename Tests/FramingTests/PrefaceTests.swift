import Testing

@testable import Framing

@Suite("3.2 Preface")
struct PrefaceTests {
    @Test("3.2-2 The preface is the ASCII bytes of LIFELINE")
    func bytes() {
        #expect(Preface.bytes == rawPreface)
    }

    @Test("3.2-3 The first byte that differs is BAD_PREFACE, without waiting for another", arguments: 0..<8)
    func mismatch(at index: Int) {
        for wrong: UInt8 in [0x00, 0xFF, rawPreface[index] ^ 0x20, rawPreface[index] + 1] {
            let whole = read(pieces: [rawPreface[..<index] + [wrong]], from: .client)
            #expect(whole == Reading(violation: whole.violation))
            #expect(whole.code == .badPreface)
            let single = read(pieces: rawPreface[..<index].map { [$0] } + [[wrong]], from: .server)
            #expect(single.code == .badPreface)
        }
    }

    @Test("3.2-4 Nothing is a header before all 8 bytes have matched", arguments: 0..<8)
    func partial(count: Int) throws {
        var decoder = FrameDecoder(from: .client, maxFrame: 256, maxMessage: 256)
        #expect(decoder.isUntouched)
        var offset = 0
        #expect(try decoder.next(in: Array(rawPreface[..<count]).span, at: &offset) == nil)
        #expect(decoder.isUntouched == (count == 0))
        #expect(decoder.framesBegun == 0)
        #expect(decoder.unfinishedLength == nil)
        #expect(!decoder.isBetweenMessages)
    }

    @Test(
        "3.2-5 The text names who came instead",
        arguments: [
            ("GET / HTTP/1.1\r\n", "HTTP"), ("POST /x HTTP/1.1", "HTTP"), ("HEAD / HTTP/1.0", "HTTP"),
            ("PUT /a HTTP/1.1", "HTTP"), ("DELETE /a HTTP/1.1", "HTTP"), ("OPTIONS * HTTP/1.1", "HTTP"),
            ("PATCH /a HTTP/1.1", "HTTP"), ("CONNECT a:1 HTTP/1.1", "HTTP"), ("TRACE / HTTP/1.1", "HTTP"),
            ("PRI * HTTP/2.0\r\n\r\n", "HTTP"), ("SSH-2.0-OpenSSH_9.6", "SSH"),
            ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n", "PROXY protocol"), ("\r\n\r\n\0\r\nQUIT\n!", "PROXY protocol"),
            ("\u{16}\u{03}\u{01}\u{02}", "TLS"),
            ("\u{16}\u{04}\u{01}", "16 04 01"), ("LIFELINX", "4c 49 46 45 4c 49 4e 58"), ("\u{00}", "the bytes 00"),
        ])
    func recognised(sent: String, name: String) {
        let violation = read(pieces: [text(sent)], from: .client).violation
        #expect(violation?.code == .badPreface)
        #expect(violation?.text.contains(name) == true, "\(violation?.text ?? "no violation")")
    }

    @Test("3.2-5 No more than the eight bytes in place of the preface are told")
    func noMoreThanEight() {
        let violation = read(pieces: [text("LIFELINX"), text("secret")], from: .client).violation
        #expect(violation?.text.hasSuffix("4c 49 46 45 4c 49 4e 58") == true)
        let one = read(pieces: [[0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49]], from: .client).violation
        #expect(one?.text.hasSuffix("41 42 43 44 45 46 47 48") == true)
    }
}
