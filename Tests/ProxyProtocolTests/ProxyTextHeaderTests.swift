import Glibc
import RawWire
import Testing

@testable import ProxyProtocol

/// Version 1.
@Suite struct ProxyTextHeaderTests {
    @Test func addressesAndPorts() throws {
        // Captured from HAProxy 2.6, send-proxy.
        let captured = Array("PROXY TCP4 127.0.0.1 127.0.0.1 54550 17445\r\n".utf8)
        #expect(
            try header(captured)
                == ProxyHeader(
                    version: 1, command: .proxy, source: ip(127, 0, 0, 1, port: 54550),
                    destination: ip(127, 0, 0, 1, port: 17445)))
        #expect(
            try header(RawProxyHeader.text("TCP6 2001:db8::a ::ffff:192.0.2.1 0 65535"))
                == ProxyHeader(
                    version: 1, command: .proxy,
                    source: .ip(0x2001_0db8_0000_0000_0000_0000_0000_000a, port: 0),
                    destination: ip(192, 0, 2, 1, port: 65535)))
    }

    @Test("UNKNOWN says nothing, whatever follows it")
    func unknown() throws {
        for rest in ["UNKNOWN", "UNKNOWN ", "UNKNOWN 1.2.3.4 and more", "UNKNOWN\u{1}\n\u{7F}"] {
            #expect(try header(RawProxyHeader.text(rest)) == ProxyHeader(version: 1, command: .proxy))
        }
    }

    @Test("A line of 107 bytes is the longest")
    func length() throws {
        let longest = RawProxyHeader.text("UNKNOWN" + String(repeating: "x", count: 107 - 15))
        #expect(longest.count == 107)
        _ = try header(longest)
        let longer = RawProxyHeader.text("UNKNOWN" + String(repeating: "x", count: 108 - 15))
        #expect(complaint(longer).contains("within 107 bytes"))
        // It is no longer waited for than that.
        #expect(complaint(Array(longer.prefix(107))).contains("within 107 bytes"))
        #expect(try decode(Array(longer.prefix(106))) == .needsMore)
        // Two addresses may be right by themselves, and too long together.
        let address = "1111:1111:1111:1111:1111:1111:100.100.100.100"
        #expect(complaint(RawProxyHeader.text("TCP6 \(address) \(address) 10000 10000")).contains("within 107 bytes"))
    }

    @Test(
        "Each breach of the grammar is an error, at the byte that makes it one",
        arguments: [
            // After the last byte of the text that is right.
            ("TCP4 192.0.2.7 192.0.2.1 0", "1 7400"), ("TCP4 192.0.2.7 192.0.2.1 50000 0", "0"),
            ("TCP4 192.0.2.7 192.0.2.1 6553", "6 1"), ("TCP4 192.0.2.7 192.0.2.1 5000 ", " 7400"),
            ("TCP4 192.0.2.7 192.0.2.1 5 5", " "), ("TCP4 192.0.2.7 192.0.2.1 ", " 5 5"),
            ("TCP4 192.0.2.7 192.0.2.1 ", "-5 5"), ("TCP4 192.0.2.7 192.0.2.1 ", "+5 5"),
            ("TCP4 192.0.2.7 192.0.2.1 5 ", "\r"), ("TCP4 192.0.2.7 192.0.2.1 5", "\r"),
            ("TCP4 192.0.2.7 192.0.2.1 5 5", "\n"), ("TCP4 192.0.2.7 192.0.2.1 5 5\r", "\r\n"),
            ("TCP4 192.0.2.7 192.0.2.1 5 5\r", "x"), ("UNKNOWN\r", "x\r\n"),
            ("TCP4 ", " 192.0.2.7"), ("TCP4 192.0.2.7 ", " 192.0.2.1"), ("TCP4 192.0.2.7", "\t"),
            ("TCP4 01.2.3.4", " "), ("TCP4 1.2.3.004", " "), ("TCP4 1.2.3.256", " "), ("TCP4 1.2.3", " "),
            ("TCP4 1.2.3.4.", " "), ("TCP4 1.2.3.4.5", " "), ("TCP4 0", "x7f000001 "), ("TCP4 2130706433", " "),
            ("TCP4 ", "::1"), ("TCP4 111.111.111.111", "1"),
            ("TCP6 1111:1111:1111:1111:1111:1111:111.111.111.111", "1"), ("TCP4 ", "localhost"),
            ("TCP6 1.2.3.4", " "), ("TCP6 :", " "), ("TCP6 1::2::3", " "), ("TCP6 fe80::1", "%1 "), ("TCP6 ", "[::1]"),
            ("TCP6 12345::", " "), ("TCP6 1:2:3:4:5:6:7:8:9", " "), ("TCP6 ::1:", " "), ("TCP6 ::01.2.3.4", " "),
            ("TCP", "5 "), ("U", "DP4 "), ("", "tcp4 "), ("", " TCP4"), ("TCP4", "\r"), ("UNKNOW", " "),
            ("TCP6", "4 "), ("", "\r"),
        ])
    func breaches(_ right: String, _ wrong: String) throws {
        let right = "PROXY \(right)"
        #expect(try decode(Array(right.utf8)) == .needsMore, "\(right)")
        let said = complaint(Array(right.utf8) + wrong.utf8.prefix(1))
        #expect(
            said.hasPrefix("a header of version 1 of the PROXY protocol is wrong at byte \(right.utf8.count + 1): "),
            "\(said)")
    }

    @Test("Addresses are taken as the C library takes them")
    func addresses() {
        var random = Seeded(17)
        let pieces = [
            "1", "::", ":", "ffff", "FFFF", "1.2.3.4", "0", "00", "12345", ".", "a:b", "1:2:3:4:5:6:7",
            "255.255.255.255",
            "256", "01", "g", "::ffff:",
        ]
        var valid = 0
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...8, using: &random)).map { _ in pieces.randomElement(using: &random)! }
                .joined()
            let bytes = Array(text.utf8)[...]
            var six = [UInt8](repeating: 0, count: 16)
            let isSix = inet_pton(AF_INET6, text, &six) == 1
            #expect(
                ProxyAddress.parseIPv6(bytes) == (isSix ? six.reduce(UInt128(0)) { $0 << 8 | UInt128($1) } : nil),
                "\(text)")
            var four = [UInt8](repeating: 0, count: 4)
            let isFour = inet_pton(AF_INET, text, &four) == 1
            #expect(
                ProxyAddress.parseIPv4(bytes)
                    == (isFour ? four.reduce(UInt128(0xFFFF)) { $0 << 8 | UInt128($1) } : nil),
                "\(text)")
            if isSix || isFour { valid += 1 }
        }
        #expect(valid > 500)
    }
}
