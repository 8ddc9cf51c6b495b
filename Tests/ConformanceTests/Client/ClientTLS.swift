import RawWire
import SystemTLS
import TestCertificates
import Testing

@testable import class conformance.JudgesTLS

extension Live.Client {
    /// What `--tls` adds to the client. The conformance suite runs all of its cases over TLS.
    @Suite("Client: TLS", .enabled(if: TestCertificates.canBeMade, "it needs openssl(1)"))
    struct ClientTLS {
        /// Made once: openssl(1) takes a tenth of a second.
        private static let made = Result { try TestCertificates() }
        private let certificates: TestCertificates

        init() throws { certificates = try ClientTLS.made.get() }

        /// Lets `listener` speak TLS with `files` from the next connection on. Returns what its last connection speaks.
        private func secure(_ listener: RawListener, _ files: TestCertificates.Files) throws -> () -> JudgesTLS? {
            var settings = TLSSettings(.server)
            (settings.certificateFile, settings.keyFile) = (files.certificate, files.key)
            let context = try TLSContext(settings)
            var last: JudgesTLS?
            listener.securing = { descriptor in
                let stream = try JudgesTLS(descriptor, context, within: RawPeer.patience)
                last = stream
                return stream
            }
            return { last }
        }

        private func expectFailure(
            _ flags: [String], _ files: TestCertificates.Files, _ status: Int32, _ text: String
        ) throws {
            for mode in ["long", "short"] {
                let listener = try RawListener()
                _ = try secure(listener, files)
                let client = try startClient(flags + ["--mode", mode, "hello"], port: listener.address.port ?? 0)
                // Its alert ends the handshake here too.
                #expect(throws: (any Error).self) { _ = try listener.accept() }
                try client.expectStatus(status)
                #expect(client.errors.textSoFar.contains(text), "\(client.errors.textSoFar)")
                #expect(client.output.textSoFar.isEmpty)
            }
        }

        @Test("A certificate that does not pass ends the first attempt with 76 and what is wrong, in both modes")
        func rejected() throws {
            let trusting = ["--tls", "--ca", certificates.authority]
            try expectFailure(
                trusting, certificates.expired, 76, "the server's certificate has expired: it was valid until")
            try expectFailure(
                trusting, certificates.other, 76, "is for DNS:other.test, and not for the address 127.0.0.1")
            try expectFailure(["--tls"], certificates.server, 76, "name the authority's file with --ca")
        }

        @Test("--server-name stands for the host, and --insecure takes anything and warns", arguments: [false, true])
        func accepted(_ isInsecure: Bool) throws {
            let listener = try RawListener()
            _ = try secure(listener, certificates.other)
            let flags =
                isInsecure ? ["--insecure"] : ["--ca", certificates.authority, "--server-name", "other.test"]
            let client = try startClient(["--tls"] + flags + ["hello"], port: listener.address.port ?? 0)
            let peer = try listener.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            try peer.send(RawFrame.preface + RawFrame.welcome().bytes)
            try peer.send(.response(try peer.take(.request).id, Array("answer".utf8)))
            try peer.takeClose()
            peer.close()
            try client.expectStatus(0)
            #expect(client.output.textSoFar == "answer\n")
            #expect(
                client.errors.textSoFar.contains("--insecure: the server's certificate is not verified") == isInsecure)
        }

        @Test("A server without TLS is told as one, with 76")
        func plainServer() throws {
            let listener = try RawListener()
            let client = try startClient(
                ["--tls", "--ca", certificates.authority, "hello"], port: listener.address.port ?? 0)
            let peer = try listener.accept()
            try peer.send(RawFrame.preface + RawFrame.close(.badPreface).bytes)
            try client.expectStatus(76)
            #expect(
                client.errors.textSoFar.contains("a Lifeline server without TLS answers"), "\(client.errors.textSoFar)")
        }

        @Test("A session that was open goes on trying while the certificate is wrong, and resumes what it had")
        func renewed() throws {
            let listener = try RawListener()
            let first = try secure(listener, certificates.server)
            let client = try startClient(
                ["--tls", "--ca", certificates.authority, "--hold", "60"], port: listener.address.port ?? 0)
            func open() throws -> RawPeer {
                let peer = try listener.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try peer.send(RawFrame.preface + RawFrame.welcome().bytes)
                return peer
            }
            try tellingErrors(of: client) {
                let peer = try open()
                // The client has read the session when it has answered what came behind it.
                try peer.send(.ping(1))
                _ = try peer.frames(upTo: .pong)
                peer.reset()
                try open().reset()
                #expect(first()?.isResumed == true)
                _ = try secure(listener, certificates.expired)
                #expect(throws: (any Error).self) { _ = try listener.accept() }
                #expect(eventually { client.errors.textSoFar.contains("the server's certificate has expired") })
                _ = try secure(listener, certificates.server)
                _ = try open()
            }
        }

        @Test("Half a record shows no life: the client drops the server at dead_after")
        func halfRecord() throws {
            let listener = try RawListener()
            let stream = try secure(listener, certificates.server)
            let client = try startClient(
                ["--tls", "--ca", certificates.authority, "--retries", "0", "--hold", "60"],
                port: listener.address.port ?? 0)
            let peer = try listener.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            try peer.send(RawFrame.preface + RawFrame.welcome(pingEvery: 100, deadAfter: 300).bytes)
            stream()?.holdsBackHalf = true
            try peer.send(.ping(1))
            #expect(try peer.takeClose().code == .silent)
            peer.close()
            try client.expectStatus(75)
        }

        @Test(
            "A flag that is wrong ends with 64 before anything is connected",
            arguments: [
                (["--ca", "x"], "--ca needs --tls"), (["--tls", "--key", "x"], "--key needs --cert"),
                (["--tls", "--insecure", "--ca", "x"], "contradict each other"),
                (["--tls", "--ca", "/nowhere/ca.pem"], "'/nowhere/ca.pem': No such file"),
                (["--tls", "--cert", "/dev/null"], "it is no regular file"),
                (["--tls", "--host", "unix:/tmp/none"], "has no name that a certificate could be for"),
                (["--tls", "--server-name", ""], "'' is no name"),
            ])
        func usage(_ flags: [String], _ text: String) throws {
            for command in [[], ["bench"]] {
                let client = try Spawned("client", command + flags)
                try client.expectStatus(64)
                #expect(client.errors.textSoFar.contains(text), "\(client.errors.textSoFar)")
            }
        }
    }
}
