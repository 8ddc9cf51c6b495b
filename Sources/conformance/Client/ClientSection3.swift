import RawWire

extension Case<ClientBench> {
    /// Sections 3.1 and 3.2: integers, texts, the preface.
    static let section3Preface: [Case] =
        [
            Case("3.1", "3.1-1", "Lengths and ids are sent with their most significant byte first") { bench in
                let (peer, hello, _) = try bench.openIdle()
                bench.expect(hello.major == 1 && hello.maxFrame >= 256, "a HELLO that makes sense", got: "\(hello)")
                let line = String(repeating: "x", count: 300)
                try bench.ask(line)
                let request = try bench.takeRequest(on: peer)
                bench.expect(
                    request.text == line && request.id < 1 << 24, "the request of 300 bytes", got: "\(request)")
            },
            Case("3.1", "3.1-3", "NAME and AGENT in HELLO are UTF-8") { bench in
                let (_, hello) = try bench.open()
                for (tag, value) in bench.options(of: hello) where tag == 2 || tag == 3 {
                    bench.expect(
                        String(validating: value, as: UTF8.self) != nil, "UTF-8 in option \(tag)", got: hex(value))
                }
            },
            Case("3.1", "3.1-3", "A FAILURE whose text is not UTF-8 is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.failure(id, .handlerFailed).with { $0.payload += notUTF8 }, on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.1", "3.1-3", "A GOAWAY whose text is not UTF-8 is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.goAway().with { $0.payload += notUTF8 }.bytes)
            },
            Case("3.1", "3.1-3", "A CLOSE whose text is not UTF-8 is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.close().with { $0.payload += notUTF8 }.bytes)
            },
            Case("3.1", "3.1-3", "An AGENT in WELCOME that is not UTF-8 is a PROTOCOL_ERROR") { bench in
                let welcome = RawFrame.welcome(options: RawFrame.option(3, notUTF8))
                try bench.expectRefusal(of: RawFrame.preface + welcome.bytes, .protocolError)
            },
            Case("3.1", "3.1-3", "A CLOSE in place of WELCOME whose text is not UTF-8 is a PROTOCOL_ERROR") { bench in
                let close = RawFrame.close(.busy).with { $0.payload += notUTF8 }
                try bench.expectRefusal(of: RawFrame.preface + close.bytes, .protocolError)
            },
            Case("3.2", "3.2-1", "The preface and HELLO come first, without waiting for the server") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
            },
            Case("3.2", "3.2-1", "A short client says the preface and HELLO first too") { bench in
                try bench.start(.short, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
            },
            Case("3.2", "3.2-3", "A greeting that comes byte by byte is the same greeting") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try peer.send(RawFrame.preface + RawFrame.welcome().bytes, chop: .bytes)
                try bench.takeRequest(on: peer)
            },
            Case("3.2", "3.2-4", "No WELCOME counts behind a preface whose last byte is wrong") { bench in
                let bytes = RawFrame.preface.dropLast() + [0x46] + RawFrame.welcome().bytes
                try bench.expectRefusal(of: Array(bytes), .badPreface)
            },
            Case("3.2", "3.2-4", "A CLOSE without a preface is no CLOSE, but a BAD_PREFACE") { bench in
                try bench.expectRefusal(of: RawFrame.close(.busy).bytes, .badPreface)
            },
            Case("3.2", "3.2-3", "The preface in lower case is a BAD_PREFACE") { bench in
                try bench.expectRefusal(of: Array("lifeline".utf8), .badPreface)
            },
        ] + wrongBytes + otherProtocols + ownTexts

    /// C3 28 is the beginning of a character of two bytes that is not one.
    private static let notUTF8: [UInt8] = [0x61, 0xC3, 0x28]

    private static let ownTexts = [notUTF8, [0xFF], [0xED, 0xA0, 0x80]].map { (bytes: [UInt8]) in
        Case("3.1", "3.1-3", "The text of the client's CLOSE is UTF-8, where it speaks of \(hex(bytes)) too") { bench in
            try bench.start(.long, "hello")
            let peer = try bench.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            try bench.send(bytes + Array("HTTP".utf8) + bytes, on: peer)
            let text = try bench.expectClose(of: peer, .badPreface)?.text ?? [0xFF]
            bench.expect(String(validating: text, as: UTF8.self) != nil, "UTF-8", got: hex(text))
        }
    }

    private static let wrongBytes = (0..<8).map { index in
        Case(
            "3.2", "3.2-3",
            "Byte \(index + 1) of the preface being another is a BAD_PREFACE at once, without waiting for more"
        ) { bench in
            let bytes = Array(RawFrame.preface[..<index]) + [RawFrame.preface[index] ^ 0x20]
            try bench.expectRefusal(of: bytes, .badPreface)
        }
    }

    private static let otherProtocols: [Case] = [
        ("HTTP", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), ["HTTP"]),
        ("TLS", [0x16, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28], ["TLS", "SSL"]),
        ("SSH", Array("SSH-2.0-OpenSSH_9.6\r\n".utf8), ["SSH"]),
        ("of zero bytes", [UInt8](repeating: 0, count: 64), ["00"]),
    ].enumerated().flatMap { index, other in
        let (name, bytes, words) = other
        return [
            Case("3.2", "3.2-3", "A server that speaks \(name) is dropped with BAD_PREFACE") {
                bench in
                try bench.expectRefusal(of: bytes, .badPreface)
            },
            Case(
                "3.2", "3.2-5", "What a server \(name) sent is named in the text of CLOSE",
                level: .should
            ) { bench in
                if bench.chop != nil { throw Skip("a client may judge the first byte before the others are there") }
                let accepted = words + [hex(bytes.prefix(2)), hex(bytes.prefix(2)).replacing(" ", with: "")]
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send(bytes, on: peer)
                let text = String(decoding: try bench.expectClose(of: peer, .badPreface)?.text ?? [], as: UTF8.self)
                bench.expect(
                    accepted.contains { text.lowercased().contains($0.lowercased()) }, "a text with one of \(accepted)",
                    got: "'\(text)'")
            },
        ]
    }
}

extension ClientBench {
    /// The options of a HELLO, as far as they are well-formed.
    func options(of hello: HelloFields) -> [(tag: UInt16, value: [UInt8])] {
        var options: [(tag: UInt16, value: [UInt8])] = []
        var rest = hello.options[...]
        while rest.count >= 4 {
            let tag = UInt16(bigEndian: rest)
            let length = Int(UInt16(bigEndian: rest.dropFirst(2)))
            guard rest.count >= 4 + length else { break }
            options.append((tag, Array(rest.dropFirst(4).prefix(length))))
            rest = rest.dropFirst(4 + length)
        }
        expect(rest.isEmpty, "options that fill HELLO exactly (4.12-1)", got: "\(rest.count) bytes left over")
        return options
    }
}
