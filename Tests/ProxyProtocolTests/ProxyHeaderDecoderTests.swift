import RawWire
import Testing

@testable import ProxyProtocol

/// What the decoder makes of bytes: `whole` where they end a header, with how many bytes that took.
func decode(_ bytes: [UInt8]) throws(ProxyHeaderError) -> ProxyHeaderDecoder.HeaderProgress {
    var decoder = ProxyHeaderDecoder()
    return try decoder.take(bytes[...])
}

/// The header that `bytes` are, whole.
func header(_ bytes: [UInt8]) throws -> ProxyHeader {
    guard case .whole(let header, let taken) = try decode(bytes) else { throw Unexpected("it is not whole") }
    #expect(taken == bytes.count)
    return header
}

/// The text of the error that `bytes` are.
func complaint(_ bytes: [UInt8]) -> String {
    do throws(ProxyHeaderError) {
        return "no error, but \(try decode(bytes))"
    } catch {
        return error.text
    }
}

/// An address of IPv4, as a header has it.
func ip(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, port: UInt16) -> ProxyHeader.ConnectionEnd {
    .ip([0xFF, 0xFF, a, b, c, d].reduce(0) { $0 << 8 | UInt128($1) }, port: port)
}

/// Both versions.
@Suite struct ProxyHeaderDecoderTests {
    /// One of each kind.
    static let good: [[UInt8]] = [
        RawProxyHeader.text(),
        RawProxyHeader.text("TCP6 2001:db8::7 ::1 0 65535"),
        RawProxyHeader.text("UNKNOWN"),
        RawProxyHeader.text("UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535"),
        RawProxyHeader().bytes,
        RawProxyHeader(command: 0x20, family: 0, addresses: []).bytes,
        RawProxyHeader(command: 0x20).bytes,
        RawProxyHeader(family: 0, addresses: [1, 2, 3]).bytes,
        RawProxyHeader(family: 0x21, addresses: [UInt8](repeating: 7, count: 36)).checked(),
        RawProxyHeader(family: 0x31, addresses: [UInt8](repeating: 47, count: 216)).bytes,
        RawProxyHeader(fields: RawProxyHeader.tls(client: 7, name: Array("till-7".utf8))).checked(),
        RawProxyHeader(fields: RawProxyHeader.field(4, [UInt8](repeating: 0, count: 4096 - 12 - 3))).bytes,
    ]

    @Test func noBytesAreNoHeaderYet() throws {
        var decoder = ProxyHeaderDecoder()
        #expect(try decoder.take([]) == .needsMore)
        #expect(decoder.received == 0)
    }

    @Test("However a header is cut, it is the same, and the client's bytes behind it are not taken")
    func cuts() throws {
        for bytes in Self.good {
            let whole = try header(bytes)
            let stream = bytes + Array("LIFELINE".utf8)
            let cuts = bytes.count < 300 ? Array(0..<bytes.count) : [1, 15, 16, 17, bytes.count - 1]
            for cut in cuts {
                var decoder = ProxyHeaderDecoder()
                // A slice whose indices do not begin at 0, as a buffer has it.
                #expect(try decoder.take(stream[..<cut]) == .needsMore)
                #expect(decoder.received == cut)
                #expect(try decoder.take(stream[cut...]) == .whole(whole, taken: bytes.count - cut))
            }
            var decoder = ProxyHeaderDecoder()
            for byte in bytes.dropLast() { #expect(try decoder.take([byte]) == .needsMore) }
            #expect(try decoder.take(bytes.suffix(1)) == .whole(whole, taken: 1))
        }
    }

    @Test("A header with one byte changed is a header, an error or not whole, and ends nothing else")
    func mutations() {
        for bytes in Self.good where bytes.count < 120 {
            for index in bytes.indices {
                for value in UInt8.min...UInt8.max {
                    var changed = bytes
                    changed[index] = value
                    _ = try? decode(changed + Array("LIFELINE".utf8))
                }
            }
        }
    }

    @Test("A checksum finds each byte that was changed behind the length")
    func checksum() throws {
        let bytes = RawProxyHeader(fields: RawProxyHeader.tls(client: 7, name: Array("till-7".utf8))).checked()
        _ = try header(bytes)
        // All but the type of the checksum itself: as another type it is skipped.
        for index in bytes.indices.dropFirst(16) where index != bytes.count - 7 {
            var changed = bytes
            changed[index] ^= 4
            #expect(throws: ProxyHeaderError.self) { try decode(changed) }
        }
        #expect(complaint(RawProxyHeader().checked(wrong: true)).contains("its CRC32C is 0x"))
    }

    @Test("A byte that no header begins with is an error at once, and the error says what it looks like")
    func strangers() {
        for byte in UInt8.min...UInt8.max where byte != 0x50 && byte != 0x0D {
            #expect(throws: ProxyHeaderError.self) { try decode([byte]) }
        }
        for (text, words) in [
            ("LIFELINE\0\0", "speaks Lifeline"), ("GET / HTTP/1.1\r\n", "HTTP request"), ("PUT /a", "HTTP request"),
            ("POST /", "HTTP request"), ("PRI * HTTP/2.0", "HTTP request"), ("HTTP/1.1 400", "HTTP answer"),
            ("SSH-2.0-x", "SSH"), ("\u{16}\u{3}\u{1}\u{2}\0", "TLS hello"), ("LIFE", "\"LIFE\""),
            ("PROXX TCP4", "\"PROXX TCP4\""), ("\r\n\r\nQ", "the bytes 0d 0a 0d 0a 51"), ("PROXY\t", "the bytes 50"),
        ] {
            let said = complaint(Array(text.utf8))
            #expect(
                said.hasPrefix("a header of the PROXY protocol was expected") && said.contains(words),
                "\(text): \(said)")
        }
        // The byte in which it differs may come by itself.
        var decoder = ProxyHeaderDecoder()
        _ = try? decoder.take(Array("PR".utf8)[...])
        #expect(
            throws: ProxyHeaderError(
                "a header of the PROXY protocol was expected (PROXY, or the signature of version 2), and not \"PRI\"")
        ) {
            try decoder.take(Array("I".utf8)[...])
        }
    }

    @Test("An error has no line ends, no foreign bytes as they came, and fits into CLOSE")
    func texts() {
        let ugly = [UInt8](repeating: 0x1B, count: 60)
        for bytes in [
            ugly, Array("PROXY ".utf8) + ugly, Array("PROXY TCP4 1.2.3.4".utf8) + ugly,
            Array("PROXY UNKNOWN\r".utf8) + ugly,
            RawProxyHeader(fields: RawProxyHeader.field(0x20, [1, 0, 0, 0, 0] + RawProxyHeader.field(0x21, ugly)))
                .bytes,
            RawProxyHeader(fields: [0x20, 0xFF, 0xFF]).bytes, RawProxyHeader(family: 0x77).bytes,
        ] {
            let said = complaint(bytes)
            #expect(said.utf8.count <= 512 && said.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "\(said)")
            #expect(said.contains("PROXY protocol"), "\(said)")
        }
    }
}
