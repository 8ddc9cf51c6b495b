import Glibc
import RawWire
import Testing

extension Live.Operations {
    /// Several addresses of one server.
    @Suite("Operations: several listeners") struct Listeners {
        /// Starts a server with `arguments` alone, and ends it.
        private func withListeners(
            _ arguments: [String], prefix: [String] = [], input: Spawned.Stream = .null, count: Int,
            _ body: (Spawned, [Address]) throws -> Void
        ) throws {
            let server = try Spawned("server", arguments, prefix: prefix, input: input)
            try tellingErrors(of: server) {
                let addresses = try (0..<count).map { _ in
                    let line = try server.output.line()
                    return try #require(Address(line.dropFirst("listening on ".count)), "\(line)")
                }
                try body(server, addresses)
                server.kill(SIGTERM)
                try server.expectStatus(0)
            }
        }

        @Test(
            "Each is served, with --pool too, and the log, ctl, the metrics and --ready-fd say all of them",
            arguments: [
                [], ["--pool", "2"],
            ])
        func all(_ flags: [String]) throws {
            let directory = try TemporaryDirectory()
            let path = directory.file("socket")
            let control = directory.file("control")
            let arguments =
                ["--listen", "127.0.0.1:0", "--listen", "unix:\(path)", "--listen", "[::1]:0"]
                + ["--control", control, "--metrics", "127.0.0.1:0", "--ready-fd", "7"] + flags
            let prefix = shell("exec \"$@\" 7>'\(directory.file("ready"))'")
            try withListeners(arguments, prefix: prefix, count: 3) { server, addresses in
                #expect(addresses.map(\.family) == [AF_INET, AF_UNIX, AF_INET6])
                for address in addresses { try expectAnswer(from: address) }
                let all = addresses.map(\.description).joined(separator: ", ")
                try server.errors.line(with: "listening", "address=\"\(all)\"")
                #expect(directory.text("ready") == addresses.map { "listening on \($0)\n" }.joined())
                let status = try Spawned("server", ["status", "--control", control])
                try status.expectStatus(0)
                #expect(status.output.textSoFar.contains(all))
                let listening = try server.errors.line(with: "listening")
                let metrics = try #require(listening.split(separator: " ").first { $0.hasPrefix("metrics=") })
                let scrape = try RawPeer.connect(to: try #require(Address(metrics.dropFirst("metrics=".count))))
                try scrape.send(Array("GET /metrics HTTP/1.0\r\n\r\n".utf8))
                try scrape.readToEnd()
                let text = String(decoding: scrape.unread, as: UTF8.self)
                for address in addresses {
                    #expect(text.contains("lifeline_listener_accepted_total{address=\"\(address)\"} 1"), "\(text)")
                }
                scrape.close()
            }
            #expect(access(path, F_OK) != 0, "the file of the Unix socket is left")
        }

        @Test("--host and --port are one address more; without them --listen stands alone")
        func besideHost() throws {
            try withListeners(["--listen", "127.0.0.1:0", "--port", "0"], count: 2) { server, addresses in
                for address in addresses { try expectAnswer(from: address) }
            }
        }

        @Test("IPv4 and IPv6 wildcards of one port stand beside each other, in either order", arguments: [true, false])
        func wildcards(isIPv4First: Bool) throws {
            let free = try RawListener()
            let port = try #require(free.address.port)
            free.close()
            let addresses = ["0.0.0.0:\(port)", "[::]:\(port)"]
            let flags = (isIPv4First ? addresses : addresses.reversed()).flatMap { ["--listen", $0] }
            try withListeners(flags, count: 2) { _, _ in
                try expectAnswer(from: .v4("127.0.0.1", port))
                try expectAnswer(from: .v6("::1", port))
            }
        }

        @Test("An address that is taken is named, and nothing is left of the others")
        func taken() throws {
            let directory = try TemporaryDirectory()
            let other = try RawListener()
            let path = directory.file("socket")
            let server = try Spawned(
                "server", ["--listen", "unix:\(path)", "--listen", "\(other.address)", "--listen", "127.0.0.1:0"])
            try server.expectStatus(69)
            #expect(server.errors.textSoFar.contains("cannot listen on \(other.address): Address already in use"))
            #expect(server.output.textSoFar == "")
            #expect(access(path, F_OK) != 0)
        }

        @Test(
            "What is wrong with an address is told with status 64",
            arguments: [
                "127.0.0.1", ":7400", "unix:", "::1:7400", "[::1]", "[::1:7400", "127.0.0.1:", "127.0.0.1:65536",
                "127.0.0.1:x",
            ])
        func wrong(_ text: String) throws {
            let server = try Spawned("server", ["--listen", text])
            try server.expectStatus(64)
            #expect(server.errors.textSoFar.contains("--listen: '\(text)'"))
        }

        @Test("Several sockets that are handed over are served, with names or without")
        func handedOver() throws {
            let (first, second) = (try RawListener(), try RawListener())
            for names in ["", "LISTEN_FDNAMES=web:intern "] {
                // The second one comes in standard error's place, and the log goes to a file.
                let prefix = shell("LISTEN_PID=$$ LISTEN_FDS=2 \(names)exec \"$@\" 3<&0 4<&2 </dev/null 2>/dev/null")
                let server = try Spawned(
                    "server", [], prefix: prefix, input: .descriptor(first.descriptor),
                    errors: .descriptor(second.descriptor))
                #expect(try server.output.line() == "listening on \(first.address)")
                #expect(try server.output.line() == "listening on \(second.address)")
                try expectAnswer(from: second.address)
                try expectAnswer(from: first.address)
                server.kill(SIGTERM)
                #expect(try server.wait() == .status(0))
            }
        }

        @Test("A flood on one address holds up no client of another")
        func fairness() throws {
            try withListeners(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"], count: 2) { server, addresses in
                server.kill(SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
                let flood = try (0..<150).map { _ in try RawPeer.connect(to: addresses[0]) }
                let peer = try RawPeer.connect(to: addresses[1])
                try peer.send(RawFrame.preface + RawFrame.hello().bytes)
                server.kill(SIGCONT)
                try peer.takePreface()
                let welcome = try #require(try peer.take(.welcome).welcome)
                #expect(welcome.connection <= 64, "it was accepted as number \(welcome.connection)")
                for peer in flood { peer.close() }
                peer.close()
            }
        }

        @Test("SIGTERM tells the clients of every address, and those who come too late")
        func shutdown() throws {
            try withListeners(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"], count: 2) { server, addresses in
                let peers = try addresses.map { address in
                    let peer = try RawPeer.connect(to: address)
                    try peer.send(RawFrame.preface + RawFrame.hello().bytes)
                    try peer.takePreface()
                    _ = try peer.take(.welcome)
                    return peer
                }
                server.kill(SIGTERM)
                for peer in peers {
                    #expect(try peer.frames(upTo: .close).last?.notice?.code == .shuttingDown)
                    peer.close()
                }
            }
        }

        @Test("--check names all addresses")
        func check() throws {
            let check = try Spawned("server", ["--check", "--listen", "127.0.0.1:7411", "--listen", "unix:/tmp/x"])
            _ = try check.wait()
            #expect(check.output.textSoFar.contains("It would listen on 127.0.0.1:7411, unix:/tmp/x."))
        }
    }
}
