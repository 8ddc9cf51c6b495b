import RawWire

extension Case<ServerBench> {
    /// Section 3: preface, header, flags.
    static let section3: [Case] = [
        Case("3.2/1", "3.2-2", "The preface comes before WELCOME") { bench in
            let peer = try bench.connect()
            try bench.send(RawFrame.preface + RawFrame.hello().bytes, on: peer)
            _ = try bench.takeWelcome(on: peer)
        },
        Case("3.2/2", "3.2-3", "An HTTP request is answered with CLOSE(BAD_PREFACE)") { bench in
            try bench.expectRefusal(of: Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), .badPreface)
        },
        Case("3.2/3", "3.2-3", "A TLS hello is answered with CLOSE(BAD_PREFACE)") { bench in
            try bench.expectRefusal(of: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03], .badPreface)
        },
        Case("3.3/1", "3.3-1", "A header whose bytes 6 and 7 are not 0 is a PROTOCOL_ERROR") { bench in
            try bench.expectDrop(for: RawFrame.ping(1).with { $0.reserved = 1 }.bytes)
        },
    ]
}
