import TestCertificates
import Testing

@testable import SystemTLS

@Suite(.enabled(if: TestCertificates.canBeMade, "it needs openssl(1)"))
struct TLSEngineTests {
    /// Made once: openssl(1) takes a tenth of a second.
    private static let made = Result { try TestCertificates() }
    private let certificates: TestCertificates

    init() throws { certificates = try TLSEngineTests.made.get() }

    private func clientContext(_ change: (inout TLSSettings) -> Void = { _ in }) throws -> TLSContext {
        var settings = TLSSettings()
        settings.caFile = certificates.authority
        change(&settings)
        return try TLSContext(settings)
    }

    private func serverContext(
        _ files: TestCertificates.Files? = nil, clientsFrom authority: String? = nil
    ) throws -> TLSContext {
        var settings = TLSSettings(.server)
        let files = files ?? certificates.server
        (settings.certificateFile, settings.keyFile, settings.caFile) = (files.certificate, files.key, authority)
        return try TLSContext(settings)
    }

    /// The sentence that the client's handshake fails with.
    private func failure(_ client: TLSContext, _ server: TLSContext, name: String = "server.test") -> String? {
        do {
            let pair = try TLSPair(client, server, name: name)
            try? pair.shakeHands()
            _ = try TLSPair.read(pair.client)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("Bytes arrive, in records of at most 1400 bytes: half a record shows no life")
    func records() throws {
        let pair = try TLSPair(clientContext(), serverContext())
        #expect(!pair.client.isEstablished)
        try pair.shakeHands()
        #expect(pair.client.isEstablished && pair.client.version == "TLSv1.3")
        let message = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(try TLSPair.write(message, pair.client))
        let lengths = TLSPair.move(pair.client, pair.server)
        // A tag of 16 bytes and the type are more than the plain bytes.
        #expect(lengths.count == 8 && lengths.allSatisfy { $0 <= TLSContext.longestRecord + 17 }, "\(lengths)")
        #expect(try TLSPair.read(pair.server) == message)
        #expect(try TLSPair.read(pair.client) == [])
    }

    @Test("The end is told in order, and what came before it is read first")
    func end() throws {
        let pair = try TLSPair(clientContext(), serverContext())
        try pair.shakeHands()
        #expect(try TLSPair.write([1, 2], pair.server))
        pair.server.close()
        TLSPair.move(pair.server, pair.client)
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(try buffer.withUnsafeMutableBytes { try pair.client.read(into: $0) } == .bytes(2))
        #expect(try TLSPair.read(pair.client) == nil)
        // The other direction goes on.
        #expect(try TLSPair.write([3], pair.client))
        TLSPair.move(pair.client, pair.server)
        #expect(try TLSPair.read(pair.server) == [3])
    }

    @Test("A second connection resumes the session of the first, even where that was cut")
    func resumption() throws {
        let (client, server) = (try clientContext(), try serverContext())
        do {
            let first = try TLSPair(client, server)
            try first.shakeHands()
            #expect(!first.client.isResumed)
        }
        let second = try TLSPair(client, server)
        try second.shakeHands()
        #expect(second.client.isResumed)
        // For another name it is none.
        let other = try TLSPair(client, server, name: "localhost")
        try other.shakeHands()
        #expect(!other.client.isResumed)
    }

    @Test("A certificate that does not pass is told by what is wrong with it")
    func certificate() throws {
        let client = try clientContext()
        let name =
            "the server's certificate is for DNS:localhost, DNS:server.test, IP Address:127.0.0.1, and not for the "
        #expect(failure(client, try serverContext()) == nil)
        #expect(failure(client, try serverContext(), name: "localhost.") == nil)
        #expect(failure(client, try serverContext(), name: "127.0.0.1") == nil)
        #expect(failure(client, try serverContext(), name: "wrong.test") == name + "name wrong.test")
        #expect(failure(client, try serverContext(), name: "127.0.0.2") == name + "address 127.0.0.2")
        #expect(
            failure(client, try serverContext(certificates.expired))
                == "the server's certificate has expired: it was valid until Jan  1 00:00:00 2021 GMT")
        #expect(
            failure(client, try serverContext(certificates.early))?.contains("is not valid before Jan  1 00:00:00 2090")
                == true)
        #expect(failure(client, try serverContext(certificates.strange))?.contains("is self-signed") == true)
        let stranger = try clientContext { $0.caFile = certificates.strange.certificate }
        #expect(
            failure(stranger, try serverContext())?.contains("comes from 'CN = Lifeline-CA', which is unknown to")
                == true)
        #expect(
            failure(
                try clientContext { ($0.caFile, $0.verifies) = (nil, false) }, try serverContext(certificates.expired))
                == nil)
    }

    @Test("A name that no certificate could have turns no check off", arguments: [".", "", ".test", "a\0b"])
    func noName(_ name: String) throws {
        let client = try clientContext()
        let error = #expect(throws: TLSError.self) { try TLSEngine(client, name: name, sessionKey: "a server") }
        #expect(error?.kind == .options)
    }

    @Test("A server that wants a certificate says so, and so does the client")
    func clientCertificate() throws {
        let server = try serverContext(clientsFrom: certificates.authority)
        #expect(
            failure(try clientContext(), server)?.hasPrefix("the server wants a certificate of this client") == true)
        func showing(_ files: TestCertificates.Files) throws -> TLSContext {
            try clientContext { ($0.certificateFile, $0.keyFile) = (files.certificate, files.key) }
        }
        #expect(failure(try showing(certificates.client), server) == nil)
        #expect(
            failure(try showing(certificates.expired), server)
                == "the server ended TLS: this client's certificate has expired (certificate_expired)")
        #expect(failure(try showing(certificates.strange), server)?.contains("does not know the issuer") == true)
    }

    @Test(
        "What is no TLS is told by its first bytes",
        arguments: [
            ("LIFELINE", "a Lifeline server without TLS"), ("HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server's"),
            ("SSH-2.0-x\r\n", "an SSH server's"), ("\u{1}Hello\r\n", "its first bytes are \\x01Hello\\x0d\\x0a"),
        ])
    func noTLS(_ answer: String, _ expected: String) throws {
        let pair = try TLSPair(clientContext(), serverContext())
        #expect(try !TLSPair.write([1], pair.client))
        Array(answer.utf8).withUnsafeBytes { pair.client.receive($0) }
        let error = #expect(throws: TLSError.self) { try TLSPair.read(pair.client) }
        #expect(error?.kind == .noTLS && error?.text.contains(expected) == true, "\(error?.text ?? "")")
        // It stays so.
        #expect(throws: TLSError.self) { try TLSPair.write([1], pair.client) }
    }

    @Test("ALPN is asked for, and a server that knows none is accepted")
    func alpn() throws {
        #expect(failure(try clientContext { $0.alpn = "lifeline/1" }, try serverContext()) == nil)
        #expect(throws: TLSError.self) { try clientContext { $0.alpn = String(repeating: "a", count: 256) } }
    }

    @Test("A file that is wrong is named, with what is wrong")
    func files() throws {
        func text(_ certificate: String?, _ key: String? = nil, ca: String? = nil) -> String {
            do {
                _ = try clientContext { settings in
                    (settings.certificateFile, settings.keyFile) = (certificate, key)
                    if let ca { settings.caFile = ca }
                }
                return "it was taken"
            } catch {
                return "\(error)"
            }
        }
        let (client, server) = (certificates.client, certificates.server)
        #expect(text(client.certificate, client.key) == "it was taken")
        #expect(
            text(nil, ca: "/nowhere/ca") == "the authorities' certificates in '/nowhere/ca': No such file or directory")
        #expect(text(nil, ca: "/tmp").hasSuffix("it is no regular file"))
        #expect(text(nil, ca: server.key).hasPrefix("'\(server.key)' holds no certificate in PEM"))
        #expect(text(server.key, server.key).hasPrefix("'\(server.key)' holds no certificate in PEM"))
        #expect(text(client.certificate).hasPrefix("'\(client.certificate)' holds no private key in PEM"))
        #expect(
            text(client.certificate, server.key).hasSuffix("does not fit the certificate in '\(client.certificate)'"))
        #expect(text(client.certificate, certificates.encryptedKey).contains("is encrypted"))
    }
}
