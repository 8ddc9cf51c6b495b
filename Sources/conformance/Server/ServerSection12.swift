import RawWire

/// Section 12: what stands before the client's first byte where a proxy has written it.
extension Case<ServerBench> {
    static let section12: [Case] = numbered("12", pieces, times, wrongText, wrongBinary, answers, silent, nameless)

    private static let text = RawProxyHeader.text()
    private static let binary = RawProxyHeader().bytes
    private static let greeting = RawFrame.preface + RawFrame.hello().bytes

    /// Headers that are right: the client behind them is served.
    private static let pieces: [Case] =
        [
            ("of version 1", text), ("of version 2", binary),
            ("of version 1 for IPv6", RawProxyHeader.text("TCP6 2001:db8::7 ::ffff:192.0.2.1 65535 0")),
            (
                "of version 2 for IPv6",
                RawProxyHeader(family: 0x21, addresses: [UInt8](repeating: 0x20, count: 32) + [1, 2, 3, 4]).bytes
            ),
            (
                "of version 2 for a Unix socket",
                RawProxyHeader(
                    family: 0x31, addresses: Array("/run/client".utf8) + [UInt8](repeating: 0, count: 216 - 11)
                ).bytes
            ),
        ].flatMap { name, bytes in
            [
                served("12-2", "A header \(name) in a segment with the client's first bytes", bytes),
                served("12-2", "A header \(name) in a segment of its own", bytes, .apart),
            ]
        } + [
            served("12-2", "A header of version 1, each byte in a segment of its own", text, .trickled),
            served("12-2", "A header of version 2, each byte in a segment of its own", binary, .trickled),
            served(
                "12-2", "A header with fields that nobody knows, some of them twice",
                RawProxyHeader(fields: strange + strange).bytes),
            served("12-2", "A header with what TLS has proved", RawProxyHeader(fields: proved).bytes),
            served(
                "12-2", "A header with names in it that are no text",
                RawProxyHeader(
                    fields: RawProxyHeader.tls(client: 7, name: [0, 0xFF, 0x0A])
                        + RawProxyHeader.field(2, [0xC0, 0x1B])
                ).bytes),
            served(
                "12-4", "A header of 4096 bytes behind the first 16",
                RawProxyHeader(fields: RawProxyHeader.field(4, [UInt8](repeating: 0, count: 4096 - 15))).bytes),
            served("12-5", "A header with a checksum", RawProxyHeader(fields: proved).checked()),
        ]

    private static let strange =
        RawProxyHeader.field(0xEA, [1, 2, 3]) + RawProxyHeader.field(4, []) + RawProxyHeader.field(0x30, [])

    private static let proved =
        RawProxyHeader.field(1, Array("lifeline/1".utf8)) + RawProxyHeader.field(2, Array("server.test".utf8))
        + RawProxyHeader.field(5, [UInt8](repeating: 0xFF, count: 128))
        + RawProxyHeader.tls(client: 7, name: Array("till-7".utf8))

    /// The handshake's time holds for the header too.
    private static let times: [Case] = [
        .of("12-3", "A header and a HELLO that are whole at 0.8 of the handshake timeout, 3 s at least, are taken") {
            bench in
            try bench.needProxy()
            try bench.needHandshakeTimeout()
            let peer = try bench.connectWithoutHeader(text.count)
            try bench.trickle(text + greeting, over: bench.known.wholeHandshakeTimeout * 0.8, on: peer)
            _ = try bench.takeWelcome(on: peer)
            try bench.expectServed(1, on: peer)
        },
        late("no byte of a header", []),
        late("all of a header of version 1 but its last byte", Array(text.dropLast())),
        late("all of a header of version 2 but its last byte", Array(binary.dropLast())),
        late("a header of version 2 that announces 4096 bytes and brings none", bytes(claiming: 4096)),
        .of("12-3", "A header that trickles in puts nothing off") { bench in
            try bench.needProxy()
            try bench.needHandshakeTimeout()
            try bench.expectEnds { peer in
                try bench.trickle(Array(text.dropLast()), over: bench.known.wholeHandshakeTimeout * 0.9, on: peer)
            }
        },
    ]

    private static let wrongText: [Case] =
        [
            wrong("12-1", "LIFELINE in place of a header", greeting),
            wrong("12-1", "An HTTP request in place of a header", Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)),
            wrong(
                "12-1", "A TLS hello in place of a header", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3] + Seeded.some(40)),
            wrong("12-4", "1000 bytes of garbage", [0xFF] + Seeded.some(999)),
            wrong("12-6", "A byte that no header begins with, and no more", [0x4C]),
            wrong("12-6", "The first byte that differs from PROXY, and no more", Array("PROXI".utf8)),
            wrong(
                "12-4", "A line of 108 bytes",
                RawProxyHeader.text("UNKNOWN" + String(repeating: "x", count: 108 - 15)) + greeting),
            wrong(
                "12-4", "A line that does not end", Array("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 0x78, count: 100)),
        ]
        + [
            ("CR without LF", "TCP4 192.0.2.7 192.0.2.1 50000 7400\rx"),
            ("LF without CR", "TCP4 192.0.2.7 192.0.2.1 50000 7400\n"),
            ("TCP5", "TCP5 192.0.2.7 192.0.2.1 50000 7400"), ("tcp4", "tcp4 192.0.2.7 192.0.2.1 50000 7400"),
            ("UDP4", "UDP4 192.0.2.7 192.0.2.1 50000 7400"), ("no family", ""),
            ("two spaces behind PROXY", " TCP4 192.0.2.7 192.0.2.1 50000 7400"),
            ("two spaces between addresses", "TCP4 192.0.2.7  192.0.2.1 50000 7400"),
            ("a space before CRLF", "TCP4 192.0.2.7 192.0.2.1 50000 7400 "),
            ("a tab", "TCP4\t192.0.2.7 192.0.2.1 50000 7400"),
            ("no ports", "TCP4 192.0.2.7 192.0.2.1"), ("one port", "TCP4 192.0.2.7 192.0.2.1 50000"),
            ("a port too many", "TCP4 192.0.2.7 192.0.2.1 50000 7400 1"),
            ("a leading zero in a port", "TCP4 192.0.2.7 192.0.2.1 050000 7400"),
            ("port 00", "TCP4 192.0.2.7 192.0.2.1 50000 00"), ("port 65536", "TCP4 192.0.2.7 192.0.2.1 65536 7400"),
            ("port +1", "TCP4 192.0.2.7 192.0.2.1 +1 7400"), ("port -1", "TCP4 192.0.2.7 192.0.2.1 50000 -1"),
            ("an octet of 256", "TCP4 192.0.2.256 192.0.2.1 50000 7400"),
            ("a leading zero in an octet", "TCP4 192.0.02.7 192.0.2.1 50000 7400"),
            ("three octets", "TCP4 192.0.2 192.0.2.1 50000 7400"),
            ("one number", "TCP4 3221225991 192.0.2.1 50000 7400"),
            ("a name", "TCP4 localhost 192.0.2.1 50000 7400"), ("IPv6 in TCP4", "TCP4 ::1 ::1 50000 7400"),
            ("IPv4 in TCP6", "TCP6 192.0.2.7 192.0.2.1 50000 7400"), ("brackets", "TCP6 [::1] ::1 50000 7400"),
            ("a zone", "TCP6 fe80::1%lo ::1 50000 7400"), ("two gaps", "TCP6 1::2::3 ::1 50000 7400"),
            ("nine groups", "TCP6 1:2:3:4:5:6:7:8:9 ::1 50000 7400"), ("five digits", "TCP6 ::12345 ::1 50000 7400"),
        ].map { (fault, line) in
            wrong("12-4", "A header of version 1 with \(fault)", RawProxyHeader.text(line) + greeting)
        }

    /// Version 2 with a length and nothing that it announces.
    private static func bytes(claiming length: Int) -> [UInt8] {
        RawProxyHeader(addresses: [], claimedLength: length).bytes
    }

    private static let wrongBinary: [Case] =
        [0, 5, 11].map { index in
            var bytes = binary
            bytes[index] ^= 1
            return wrong("12-4", "A signature that is wrong in byte \(index + 1)", bytes + greeting)
        }
        + ([0x11, 0x31, 0x22, 0x2F, 0x00] as [UInt8]).map { command in
            wrong(
                "12-4", "Version and command \(hex([command]))",
                RawProxyHeader(command: command).bytes + greeting)
        }
        + ([0x12, 0x22, 0x32, 0x01, 0x10, 0x13, 0x41, 0xFF] as [UInt8]).map { family in
            wrong(
                "12-4", "The family \(hex([family]))",
                RawProxyHeader(family: family, addresses: [UInt8](repeating: 1, count: 216)).bytes + greeting)
        }
        + [(0x11, 11), (0x21, 35), (0x31, 215), (0x11, 0)].map { (family: UInt8, count: Int) in
            wrong(
                "12-4", "\(count) bytes of addresses of the family \(hex([family]))",
                RawProxyHeader(family: family, addresses: [UInt8](repeating: 1, count: count)).bytes + greeting)
        }
        + [4097, 65535].flatMap { length in
            [
                wrong("12-4", "A length of \(length)", bytes(claiming: length)),
                wrong(
                    "12-4", "A length of \(length) with all of its bytes",
                    bytes(claiming: length) + [UInt8](repeating: 0, count: length) + greeting),
            ]
        }
        + [
            ("a field that goes beyond the end", [0xE0, 0, 2, 1]), ("a field without a length", [4]),
            ("a field with half a length", [4, 0]), ("a field of 65535 bytes", [0x20, 0xFF, 0xFF, 1]),
            (
                "a field of TLS in which one goes beyond its end",
                RawProxyHeader.field(0x20, [1, 0, 0, 0, 0, 0x21, 0, 9]) + RawProxyHeader.field(4, Seeded.some(20))
            ), ("a field of TLS of 4 bytes", RawProxyHeader.field(0x20, [1, 0, 0, 0])),
            ("a unique id of 129 bytes", RawProxyHeader.field(5, Seeded.some(129))),
            (
                "two fields of TLS",
                RawProxyHeader.tls(client: 1) + RawProxyHeader.tls(client: 7, name: Array("till-7".utf8))
            ),
        ].map { (fault: String, fields: [UInt8]) in
            wrong("12-4", "A header with \(fault)", RawProxyHeader(fields: fields).bytes + greeting)
        }
        + [
            wrong("12-5", "A wrong checksum", RawProxyHeader().checked(wrong: true) + greeting),
            wrong(
                "12-5", "A checksum of 3 bytes",
                RawProxyHeader(fields: RawProxyHeader.field(3, [1, 2, 3])).bytes + greeting),
            wrong(
                "12-5", "A checksum that was right before the source changed",
                RawProxyHeader().checked().enumerated().map { $0.offset == 16 ? $0.element ^ 1 : $0.element } + greeting
            ),
            cut("version 1", Array(text.dropLast())), cut("version 2", Array(binary.dropLast())),
            cut("version 2 behind its length", Array(binary.prefix(16))),
        ]

    /// Our server says what was wrong, and so should others.
    private static let answers: [Case] = [
        ("LIFELINE in place of a header", greeting),
        ("a port with a leading zero", RawProxyHeader.text("TCP4 1.2.3.4 1.2.3.4 01 1")),
        ("a wrong checksum", RawProxyHeader().checked(wrong: true)), ("a length of 65535", bytes(claiming: 65535)),
    ].map { name, bytes in
        .of("12-7", "CLOSE(PROTOCOL_ERROR) with a text answers \(name)", level: .should) { bench in
            try bench.needProxy()
            let peer = try bench.connectWithoutHeader()
            try peer.send(bytes)
            try peer.takePreface()
            let close = try peer.takeClose()
            bench.expect(
                close.code == .protocolError && !close.text.isEmpty && close.lastID == 0,
                "CLOSE(PROTOCOL_ERROR) with a text, and last_id 0", got: "\(close)")
        }
    }

    private static let local: [(String, [UInt8])] = [
        ("LOCAL without a byte more", RawProxyHeader(command: 0x20, family: 0, addresses: []).bytes),
        ("LOCAL with addresses", RawProxyHeader(command: 0x20).bytes),
        ("LOCAL with fields", RawProxyHeader(command: 0x20, fields: RawProxyHeader.tls(client: 1)).checked()),
        (
            "LOCAL with an unknown family and bytes without sense",
            RawProxyHeader(command: 0x20, family: 0xEE, addresses: [1], fields: [0x20, 0xFF]).bytes
        ),
    ]

    private static let silent: [Case] =
        local.flatMap { name, bytes in
            [
                quiet("\(name) and the end of the stream", bytes),
                served("12-8", "\(name) and a client's bytes behind it", bytes, .apart),
            ]
        } + [quiet("The end of the stream before the first byte", [])]

    private static let nameless: [Case] = [
        ("UNKNOWN", RawProxyHeader.text("UNKNOWN")),
        ("UNKNOWN with what looks like addresses", RawProxyHeader.text("UNKNOWN ::1 ::1 1 2")),
        ("Family 0", RawProxyHeader(family: 0, addresses: []).bytes),
        ("Family 0 with bytes without sense", RawProxyHeader(family: 0, addresses: [0x20, 0xFF, 0xFF]).bytes),
    ].map { name, bytes in served("12-9", name, bytes) }
}

extension Seeded {
    /// Bytes without sense, always the same.
    fileprivate static func some(_ count: Int) -> [UInt8] {
        var random = Seeded(12)
        return random.bytes(count)
    }
}
