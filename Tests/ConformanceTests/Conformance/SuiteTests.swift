import RawWire
import TestCertificates
import Testing

extension Live.Conformance {
    /// The suite that judges any implementation, on our own two sides.
    @Suite("The conformance suite") struct ConformanceSuite {
        /// Short enough for every run: all times are a fifth of what they are for others. What fails beside others is
        /// tried alone, where only a real fault fails again. What we should do we do: it is judged as what we must.
        static let arguments = ["--scale", "0.2", "--jobs", "16", "--again", "2", "--strict"]

        // The pool's processes read the proxy's header for one connection behind the other.
        @Test(
            "Our server passes every case for servers, behind a proxy too",
            arguments: [
                ([], []), (["--chop", "1"], ["--connections-per-process", "100"]),
                (["--proxy", "v2"], ["--pool", "4", "--pool-reuse", "1000", "--proxy-from", "127.0.0.1"]),
            ])
        func server(_ flags: [String], _ server: [String]) throws {
            try expectPassed("server", server, flags)
        }

        @Test("Our server passes the cases about frames where each connection begins with a header of version 1")
        func textHeaders() throws {
            try expectPassed("server", ["--proxy-from", "127.0.0.1"], ["--proxy", "v1", "--only", "4"], atLeast: 100)
        }

        // It answers when its handler has: what comes meanwhile waits, or is refused (3.6-8).
        @Test(
            "A server whose handlers have threads passes every case for servers",
            arguments: [[], ["--connections-per-process", "100"]])
        func handlersWithThreads(_ flags: [String]) throws { try expectPassed("handlers", flags) }

        private func expectPassed(
            _ command: String, _ flags: [String] = [], _ suiteFlags: [String] = [], atLeast most: Int? = nil
        ) throws {
            // Nobody reads what the handler says meanwhile, and it would wait for that.
            let errors = command == "handlers" ? Spawned.Stream.null : .pipe
            // What its handler does where it is asked to: ask, tell, and be busy.
            let does = ["--ask-with", "ask ", "--tell-with", "tell ", "--hold-with", "hold 1000"]
            try withServer(["--handshake-timeout", "2"] + flags, command: command, errors: errors) { server in
                let suite = try Spawned(
                    "conformance",
                    ["server", "\(server.address)", "--handshake-timeout", "2"] + ConformanceSuite.arguments
                        + suiteFlags + (command == "handlers" ? does : []))
                try expectAllPassed(
                    suite, atLeast: most ?? (suiteFlags.contains("--proxy") ? 776 : command == "handlers" ? 690 : 660))
                #expect(!server.log.textSoFar.contains("child died"), "no bytes end a process")
            }
        }

        // No case needs the client's usual half minute, and one that waits for the end of a request waits for all of it.
        static let client = ["\(Spawned.products)/client", "--timeout", "8", "--port", "{port}", "--retries", "0"]

        @Test("Our client passes every case for clients, and with each byte alone")
        func client() throws { try expectClientPassed(["--chop", "1"]) }

        @Test(
            "Our client passes the same cases over TLS", .enabled(if: TestCertificates.canBeMade, "it needs openssl(1)")
        )
        func clientOverTLS() throws {
            let certificates = try TestCertificates()
            try expectClientPassed(["--tls", certificates.server.pair], ["--tls", "--ca", certificates.authority])
        }

        private func expectClientPassed(_ arguments: [String], _ flags: [String] = []) throws {
            let command = ConformanceSuite.client + ["--mode", "{mode}"] + flags + ["{send:--send}"]
            let suite = try Spawned(
                "conformance", ["client"] + ConformanceSuite.arguments + arguments + ["--"] + command)
            try expectAllPassed(suite, atLeast: 405)
        }

        @Test("Our client passes the cases about requests of the server, with a program that answers them")
        func answeringClient() throws {
            let command = ConformanceSuite.client + ["--answer", "cat"]
            let suite = try Spawned(
                "conformance", ["client", "--only", "3.7"] + ConformanceSuite.arguments + ["--"] + command)
            try expectAllPassed(suite, atLeast: 20)
        }

        @Test("Every requirement has a case, or a reason for having none", arguments: ["server", "client"])
        func coverage(_ side: String) throws {
            let suite = try Spawned("conformance", ["--coverage", ProtocolDocument.path, side, "127.0.0.1:1"])
            #expect(try suite.wait() == .status(0))
            _ = suite.output.waitForEnd()
            let last = suite.output.linesSoFar.last ?? ""
            #expect(last.hasSuffix(" 0 without"), "\(last)")
        }

        @Test(
            "What only prints needs no address, and what cannot be judged is tried once",
            arguments: [
                (["--list"], 0, 1348), (["--list", "server"], 0, 849), (["--list", "client"], 0, 499),
                (["--coverage", ProtocolDocument.path], 0, 4), (["--coverage", "/nowhere"], 66, 0),
                (["--coverage", "/dev/null", "server"], 64, 0), (["server"], 64, 0),
                (["server", "example.org:1"], 64, 0),
                (["client", "--", "false"], 69, 0), (["client", "--", "/nowhere/client"], 69, 0),
                (["client", "--", "sh", "-c", "echo why >&2; exit 3"], 69, 0),
            ] as [([String], Int32, Int)])
        func withoutAddress(_ arguments: [String], _ status: Int32, _ lines: Int) throws {
            let suite = try Spawned("conformance", arguments)
            _ = suite.output.waitForEnd()
            #expect(try suite.wait() == .status(status))
            #expect(suite.output.linesSoFar.count >= lines)
            let said = suite.errors.textSoFar
            #expect(status == 0 || said.hasPrefix("conformance: "), "\(said)")
            if arguments.last?.contains("echo") == true {
                #expect(said.contains("exit status 3") && said.contains("why"))
            }
        }

        @Test(
            "A report that cannot be written is said before a case is tried",
            arguments: ["--html", "--json", "--junit"])
        func unwritable(_ flag: String) throws {
            let suite = try Spawned("conformance", [flag, "/proc/none/report", "server", "127.0.0.1:1"])
            #expect(try suite.wait() == .status(74))
            _ = suite.output.waitForEnd()
            _ = suite.errors.waitForEnd()
            #expect(suite.output.textSoFar.isEmpty)
            #expect(
                suite.errors.textSoFar == "conformance: cannot write /proc/none/report: No such file or directory\n")
        }

        private func expectAllPassed(_ suite: Spawned, atLeast most: Int) throws {
            _ = suite.output.waitForEnd(within: .seconds(240))
            let exit = try suite.wait(within: .seconds(10))
            let lines = suite.output.linesSoFar
            let complaints = lines.drop { $0 != "failed:" }.joined(separator: "\n")
            #expect(exit == .status(0), "\(complaints)\n\(suite.errors.textSoFar)")
            let passed = lines.last?.split(separator: " ").first.flatMap { Int($0) } ?? 0
            #expect(passed >= most, "\(lines.last ?? "nothing was printed")")
        }
    }
}
