import RawWire
import Testing

@testable import ProxyProtocol

/// Version 2.
@Suite struct ProxyBinaryHeaderTests {
    @Test("HAProxy's header, with a client certificate and the client's first bytes in the same read")
    func haproxyWithCertificate() throws {
        let bytes = try unhex(
            """
            0d0a0d0a000d0a515549540a211100897f0000017f000001e4ac442303000403ce28b801000a6c6966656c696e652f3102000b7365727665722e
            7465737405002466653834303065652d383936642d343362662d393066652d6262373730333361626430332000310700000000210007544c5376
            312e3322000674696c6c2d37230016544c535f4145535f3235365f47434d5f534841333834780a
            """)
        let header = ProxyHeader(
            version: 2, command: .proxy, source: ip(127, 0, 0, 1, port: 58540),
            destination: ip(127, 0, 0, 1, port: 17443),
            tls: ProxyHeader.TLS(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", provedName: "till-7"),
            authority: "server.test", alpn: Array("lifeline/1".utf8),
            uniqueID: Array("fe8400ee-896d-43bf-90fe-bb77033abd03".utf8))
        #expect(try decode(bytes) == .whole(header, taken: 153))
    }

    @Test("HAProxy's header says 'verified' for a client without a certificate, who is nobody all the same")
    func haproxyWithoutCertificate() throws {
        let bytes = try unhex(
            """
            0d0a0d0a000d0a515549540a211100737f0000017f00000183a2442303000400ba2e5b02000b7365727665722e7465737405002432623932336535
            352d366535382d343732362d623731372d3339623836383034393634662000280100000000210007544c5376312e33230016544c535f4145535f32
            35365f47434d5f534841333834
            """)
        let header = try header(bytes)
        #expect(header.tls == ProxyHeader.TLS(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384"))
        #expect(header.authority == "server.test" && header.alpn == nil)
    }

    @Test("A name is proved by a certificate that was verified, and by nothing else")
    func proof() throws {
        for client in UInt8(0)...7 {
            for verify in [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]] as [[UInt8]] {
                let fields = RawProxyHeader.tls(client: client, verify: verify, name: Array("till-7".utf8))
                let tls = try header(RawProxyHeader(fields: fields).bytes).tls
                #expect((tls != nil) == (client & 1 != 0))
                #expect(tls?.provedName == (client & 1 != 0 && client > 1 && verify == [0, 0, 0, 0] ? "till-7" : nil))
            }
        }
        // hitch 1.7, without a certificate.
        #expect(
            try header(RawProxyHeader(fields: RawProxyHeader.tls(client: 1, verify: [0, 0, 0, 1])).bytes).tls
                == ProxyHeader.TLS(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384"))
    }

    @Test(
        "A name that is no plain text is left out as a whole: none becomes another's",
        arguments: [
            ([], nil), (Array("till\u{0}7".utf8), nil), (Array("till-7\n".utf8), nil), ([0x74, 0xFF], nil),
            (Array("a\u{85}b".utf8), nil), (Array("a\u{2028}b".utf8), nil), ([0xC0, 0xAF], nil),
            ([0xED, 0xA0, 0x80], nil),
            ([UInt8](repeating: 0x61, count: 257), nil), ([0x1B, 0x5B], nil), ([0x7F], nil),
            (Array("Tür 7, \"Süd\"".utf8), "Tür 7, \"Süd\""), (Array(" till".utf8), " till"),
            ([UInt8](repeating: 0x61, count: 256), String(repeating: "a", count: 256)),
        ] as [([UInt8], String?)])
    func names(_ name: [UInt8], _ expected: String?) throws {
        let fields = RawProxyHeader.tls(client: 7, name: name)
        #expect(try header(RawProxyHeader(fields: fields).bytes).tls?.provedName == expected)
        // The host name comes from the client as well.
        guard name.count < 256 else { return }
        #expect(try header(RawProxyHeader(fields: RawProxyHeader.field(2, name)).bytes).authority == expected)
    }

    @Test("LOCAL says nothing, whatever its family and however long it is; all of it is skipped")
    func local() throws {
        let local = ProxyHeader(version: 2, command: .local)
        // HAProxy 2.6: check, and check with proxy-v2-options. AWS NLB: family 0x11 with addresses. Then fields that would
        // be errors elsewhere.
        for bytes in [
            RawProxyHeader(command: 0x20, family: 0, addresses: []).bytes,
            try unhex("0d0a0d0a000d0a515549540a2000000f030004889da1df2000050000000000"),
            RawProxyHeader(command: 0x20).bytes,
            RawProxyHeader(command: 0x20, fields: RawProxyHeader.field(0xEA, [1, 2, 3])).bytes,
            RawProxyHeader(command: 0x20).checked(wrong: true),
            RawProxyHeader(command: 0x20, family: 0xFF, addresses: [1], fields: [0x20, 0xFF, 0xFF]).bytes,
            RawProxyHeader(command: 0x20, addresses: [UInt8](repeating: 9, count: 4096)).bytes,
        ] { #expect(try header(bytes) == local) }
        // The zeroed checksum of HAProxy's own is the one that this decoder computes.
        #expect(
            crc32c(try unhex("0d0a0d0a000d0a515549540a2000000f030004000000002000050000000000")) == 0x889D_A1DF)
        #expect(complaint(RawProxyHeader(command: 0x20, claimedLength: 4097).bytes).contains("at most 4096"))
    }

    @Test("UNSPEC says nothing, and what may be addresses of any form is skipped")
    func unspecified() throws {
        for block in [[], [1], [0x20, 0xFF, 0xFF, 0]] as [[UInt8]] {
            #expect(
                try header(RawProxyHeader(family: 0, addresses: block).bytes)
                    == ProxyHeader(version: 2, command: .proxy))
        }
    }

    @Test func addressesOfIPv6AndUnix() throws {
        let source = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7]
        let destination = [UInt8](repeating: 0, count: 15) + [1]
        #expect(
            try header(RawProxyHeader(family: 0x21, addresses: source + destination + [0, 5, 0xFF, 0xFF]).bytes)
                == ProxyHeader(
                    version: 2, command: .proxy, source: .ip(0x2001_0db8_0000_0000_0000_0000_0000_0007, port: 5),
                    destination: .ip(1, port: 65535)))
        let path = Array("/run/client".utf8)
        let unix = path + [UInt8](repeating: 0, count: 108 - path.count) + [UInt8](repeating: 0, count: 108)
        #expect(
            try header(RawProxyHeader(family: 0x31, addresses: unix).bytes)
                == ProxyHeader(version: 2, command: .proxy, source: .unix(path), destination: .unix([])))
        // A path may take all of its 108 bytes.
        let full = [UInt8](repeating: 0x2F, count: 216)
        #expect(
            try header(RawProxyHeader(family: 0x31, addresses: full).bytes).source
                == .unix([UInt8](repeating: 0x2F, count: 108)))
    }

    @Test("The 13th and the 14th byte are judged as they come")
    func commandAndFamily() throws {
        for byte in UInt8.min...UInt8.max {
            let command = RawProxyHeader.signature + [byte]
            if byte == 0x20 || byte == 0x21 {
                #expect(try decode(command) == .needsMore)
            } else {
                #expect(complaint(command).contains("its 13th byte has to be 0x20"))
            }
            let family = RawProxyHeader.signature + [0x21, byte]
            switch byte {
            case 0, 0x11, 0x21, 0x31: #expect(try decode(family) == .needsMore)
            case 0x12, 0x22, 0x32: #expect(complaint(family).contains("datagrams"))
            default: #expect(complaint(family).contains("its family has to be"))
            }
        }
    }

    @Test("A length is judged before a byte behind it has come")
    func lengths() throws {
        for (family, least) in [(0x11, 12), (0x21, 36), (0x31, 216)] as [(UInt8, Int)] {
            for length in [0, least - 1, least, 4096, 4097, 65535] {
                let bytes = RawProxyHeader(family: family, addresses: [], claimedLength: length).bytes
                if (least...4096).contains(length) {
                    #expect(try decode(bytes) == .needsMore)
                } else {
                    #expect(complaint(bytes).contains(length < least ? "take \(least)" : "at most 4096"))
                }
            }
        }
    }

    @Test(
        "A field that is wrong is an error",
        arguments: [
            ([1], "3 bytes at least, and 1 are left"), ([1, 0], "and 2 are left"),
            ([1, 0, 1], "has 1 bytes, and 0 are left"),
            ([0xE0, 0xFF, 0xFF, 0], "type 0xe0 has 65535 bytes"), ([4, 0, 0, 4, 0, 1], "type 0x04 has 1 bytes"),
            (RawProxyHeader.field(0x20, [1, 0, 0, 0]), "SSL has 5 bytes at least"),
            (RawProxyHeader.field(0x20, [1, 0, 0, 0, 0, 0x21]), "and 1 are left"),
            // Within SSL nothing goes beyond the end of SSL, whatever stands behind it.
            (
                RawProxyHeader.field(0x20, [1, 0, 0, 0, 0, 0x21, 0, 9])
                    + RawProxyHeader.field(4, [UInt8](repeating: 0, count: 20)),
                "type 0x21 has 9 bytes, and 0 are left"
            ),
            (RawProxyHeader.field(0x20, [1, 0, 0, 0, 0] + RawProxyHeader.field(0x21, [0x20])), "printable ASCII"),
            (
                RawProxyHeader.field(
                    0x20, [1, 0, 0, 0, 0] + RawProxyHeader.field(0x23, [UInt8](repeating: 0x41, count: 65))),
                "may have 64"
            ),
            (RawProxyHeader.field(3, [1, 2, 3]), "CRC32C has 4 bytes, and not 3"),
            (RawProxyHeader.field(5, [UInt8](repeating: 1, count: 129)), "UNIQUE_ID has 129 bytes, and may have 128"),
            (RawProxyHeader.field(1, [UInt8](repeating: 1, count: 256)), "ALPN has 256"),
        ] as [([UInt8], String)])
    func wrongFields(_ fields: [UInt8], _ words: String) {
        let said = complaint(RawProxyHeader(fields: fields).bytes)
        #expect(said.contains(words), "\(said)")
    }

    @Test("A field that is read may stand once; others may stand as often as they want")
    func repeated() throws {
        let inner = RawProxyHeader.field(0x22, [0x61])
        for fields in [
            RawProxyHeader.field(1, [1]), RawProxyHeader.field(2, [0x61]), RawProxyHeader.field(3, [0, 0, 0, 0]),
            RawProxyHeader.field(5, [1]), RawProxyHeader.tls(client: 1),
        ] { #expect(complaint(RawProxyHeader(fields: fields + fields).bytes).contains("stands in it twice")) }
        #expect(
            complaint(RawProxyHeader(fields: RawProxyHeader.field(0x20, [7, 0, 0, 0, 0] + inner + inner)).bytes)
                .contains("the common name of SSL stands in it twice"))
        for type in [4, 0x30, 0xE0, 0xEA, 0xFF, 0x21, 0x22] as [UInt8] {
            let field = RawProxyHeader.field(type, [1, 2])
            _ = try header(RawProxyHeader(fields: field + field).bytes)
        }
        // The types within SSL are not those outside, and unknown ones are skipped there too.
        let strange = RawProxyHeader.field(0x28, [1]) + RawProxyHeader.field(0x28, [2]) + RawProxyHeader.field(2, [9])
        let outer = RawProxyHeader.field(0x20, [1, 0, 0, 0, 0] + strange) + RawProxyHeader.field(2, [0x61])
        #expect(try header(RawProxyHeader(fields: outer).bytes).authority == "a")
    }

    @Test func longestUniqueID() throws {
        let id = [UInt8](repeating: 0xFF, count: 128)
        #expect(try header(RawProxyHeader(fields: RawProxyHeader.field(5, id)).bytes).uniqueID == id)
    }
}

private func unhex(_ text: String) throws -> [UInt8] {
    let digits = text.filter { $0.isHexDigit }
    guard digits.count % 2 == 0 else { throw Unexpected("half a byte") }
    return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(digits.dropFirst($0).prefix(2), radix: 16) }
}
