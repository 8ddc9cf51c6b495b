import RawWire

extension Case<ClientBench> {
    /// Section 3: preface, header, flags.
    static let section3: [Case] = [
        Case("3.2/1", "3.2-1", "The preface and HELLO come first, without waiting for the server") { bench in
            try bench.start()
            let peer = try bench.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
        },
        Case("3.2/2", "3.2-3", "Another protocol is dropped with CLOSE(BAD_PREFACE)") { bench in
            try bench.expectRefusal(of: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), .badPreface)
        },
        Case("3.3/1", "3.3-1", "A header whose bytes 6 and 7 are not 0 is a PROTOCOL_ERROR") { bench in
            try bench.expectDrop(for: RawFrame.ping(1).with { $0.reserved = 1 }.bytes)
        },
    ]
}
