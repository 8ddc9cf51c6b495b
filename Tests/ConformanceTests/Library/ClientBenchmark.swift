import Foundation
import RawWire
import Testing

extension Live.Library {
    /// `client bench` against the built server.
    @Suite("Client: the load generator") struct ClientBenchmark {
        @Test(
            "Requests are answered, measured and told as JSON",
            arguments: [
                ["--mode", "long", "--connections", "4", "--in-flight", "3", "--verify"],
                ["--mode", "long", "--connections", "2", "--size", "100000", "--verify"],
                ["--mode", "short", "--connections", "4", "--verify"],
                ["--mode", "short", "--connections", "2", "--size", "40000", "--verify"],
            ])
        func answered(_ flags: [String]) throws {
            try withServer { server in
                let result = try bench(server, flags + ["--warm-up", "50ms", "--duration", "1"])
                let answered = try number(result, "answered")
                #expect(answered > 0 && result["failed"] as? Int == 0)
                #expect((result["requests_by_outcome"] as? [String: Int])?.isEmpty == true)
                #expect(abs(try number(result, "measured_seconds") - 1) < 0.3)
                let latency = try #require(result["latency"] as? [String: Double])
                let shares = ["min", "p50", "p75", "p90", "p99", "p99.9", "p99.99", "max"].compactMap { latency[$0] }
                #expect(shares.count == 8 && shares == shares.sorted() && shares[0] > 0)
                #expect(try number(result, "generator_cores") > 0)
            }
        }

        @Test("In an open loop as many requests are due as the rate says, and a few connections are enough")
        func rate() throws {
            try withServer { server in
                let result = try bench(
                    server, ["--connections", "3", "--rate", "500", "--warm-up", "100ms", "--duration", "1"])
                let sent = try number(result, "answered") + number(result, "never_sent")
                #expect(400...600 ~= sent, "\(result)")
            }
        }

        @Test("So many requests and no more are sent", arguments: ["long", "short"])
        func bounded(_ mode: String) throws {
            try withServer { server in
                let result = try bench(
                    server, ["--mode", mode, "--requests", "57", "--warm-up", "0", "--duration", "20"])
                #expect(result["answered"] as? Int == 57)
                #expect(try number(result, "measured_seconds") < 15)
            }
        }

        @Test("A server that is killed in the middle is told by outcome, with status 70, and it ends")
        func killed() throws {
            let command = try Spawned("server", ["--port", "0", "--log-level", "error"])
            defer { command.kill(SIGKILL) }
            let line = try command.output.line(within: .seconds(10))
            let address = try #require(Address(line.dropFirst("listening on ".count)))
            let client = try startBench(
                address, ["--connections", "4", "--warm-up", "0", "--duration", "2", "--progress"])
            try tellingErrors(of: client) {
                try client.errors.line(with: "measuring")
                let children = ProcessFiles.children(of: command.pid)
                command.kill(SIGKILL)
                for child in children { kill(child, SIGKILL) }
                try client.expectStatus(70, within: .seconds(20))
                let result = try json(client)
                let outcomes = try #require(result["requests_by_outcome"] as? [String: Int])
                #expect(outcomes.values.reduce(0, +) == 4, "one in flight on each of four: \(outcomes)")
                #expect(outcomes.keys.allSatisfy { $0.hasPrefix("lost, ") }, "\(outcomes)")
                let endings = try #require(result["connections_by_ending"] as? [String: Int])
                #expect(endings["not connected, ECONNREFUSED"] ?? 0 > 0, "\(endings)")
            }
        }

        @Test("A server that drains sends every connection away, and no request is lost by it")
        func drained() throws {
            let command = try Spawned("server", ["--port", "0", "--log-level", "error"])
            let line = try command.output.line(within: .seconds(10))
            let address = try #require(Address(line.dropFirst("listening on ".count)))
            let client = try startBench(
                address, ["--connections", "20", "--warm-up", "0", "--duration", "30", "--stay-away", "--progress"])
            try tellingErrors(of: client) {
                try client.errors.line(with: "measuring")
                command.kill(SIGTERM)
                try client.expectStatus(0, within: .seconds(20))
                let result = try json(client)
                #expect(
                    result["connections_by_ending"] as? [String: Int] == ["sent away by the server, SHUTTING_DOWN": 20])
                let outcomes = try #require(result["requests_by_outcome"] as? [String: Int])
                #expect(outcomes.keys.allSatisfy { !$0.hasPrefix("lost") }, "\(outcomes)")
            }
            try command.wait(within: .seconds(10))
        }

        @Test("A server that sends connections away has them back after a restart")
        func comesBack() throws {
            // A listener of the test's own: one connection is sent away, and comes back.
            let listener = try RawListener()
            let client = try startBench(
                listener.address, ["--connections", "1", "--in-flight", "0", "--duration", "2"])
            try tellingErrors(of: client) {
                let first = try listener.accept()
                try first.takeHello()
                try first.send(RawFrame.preface + RawFrame.welcome().bytes + RawFrame.goAway(.shuttingDown).bytes)
                _ = try first.take(.close)
                first.shutdownWriting()
                let second = try listener.accept()
                try second.takeHello()
                try second.send(RawFrame.preface + RawFrame.welcome().bytes)
                _ = try second.take(.close)
                try second.send(RawFrame.close(.normal).bytes)
                second.shutdownWriting()
                try client.expectStatus(0, within: .seconds(10))
                let result = try json(client)
                #expect((result["returned"] as? [String: Double])?["count"] == 1)
            }
        }

        @Test("Connections over the server's limit are counted as refused with BUSY; where all are, the status is 75")
        func busy() throws {
            try withServer("--max-connections", "2") { server in
                let short = ["--connections", "6", "--warm-up", "0", "--duration", "300ms"]
                let result = try bench(server, short, status: 70)
                #expect(result["connected"] as? Int == 2)
                let endings = try #require(result["connections_by_ending"] as? [String: Int])
                #expect(endings["refused by the server, BUSY"] ?? 0 >= 4, "\(endings)")
                #expect(result["failed"] as? Int == 0 && (result["answered"] as? Int ?? 0) > 0)
                try server.waitForChildren(0)
                let peers = [try server.open(), try server.open()]
                for mode in ["long", "short"] {
                    let client = try startBench(server.address, short + ["--mode", mode])
                    try tellingErrors(of: client) {
                        try client.expectStatus(75, within: .seconds(20))
                        #expect(client.errors.textSoFar.contains(mode == "long" ? "BUSY" : "took nobody"))
                    }
                }
                for peer in peers { peer.close() }
            }
        }

        @Test("Silent connections are dropped once dead_after is over, none early")
        func silent() throws {
            try withServer { server in
                let result = try bench(
                    server, ["--silent", "--connections", "20", "--dead-after", "500ms", "--duration", "20"])
                #expect(result["dropped_early"] as? Int == 0)
                let lateness = try #require(result["drop_lateness"] as? [String: Double])
                #expect(lateness["count"] == 20 && lateness["min"] ?? -1 >= 0, "\(lateness)")
            }
        }

        @Test("Connections that only beat prove themselves, and come back when they are cut")
        func churn() throws {
            try withServer { server in
                let result = try bench(
                    server,
                    [
                        "--in-flight", "0", "--connections", "20", "--connect-rate", "200", "--ping-every", "50ms",
                        "--churn", "50", "--duration", "1",
                    ])
                #expect(try number(result, "connect_seconds") >= 0.095)
                let cuts = (try number(result, "cut_by_reset"), try number(result, "cut_by_close"))
                #expect(abs(cuts.0 - cuts.1) <= 1 && 5...11 ~= cuts.0 + cuts.1, "\(cuts)")
                let returned = try #require(result["returned"] as? [String: Double])
                #expect(returned["count"] ?? 0 >= cuts.0 + cuts.1 - 2)
                #expect(try number(result, "pongs") >= 20 && result["answered"] as? Int == 0)
            }
        }

        @Test("Ctrl-C ends it with the result so far")
        func interrupted() throws {
            try withServer { server in
                let client = try startBench(server.address, ["--warm-up", "0", "--duration", "1h", "--progress"])
                try tellingErrors(of: client) {
                    try client.errors.line(with: "measuring")
                    client.kill(SIGINT)
                    try client.expectStatus(0, within: .seconds(10))
                    let result = try json(client)
                    #expect(result["interrupted"] as? Bool == true && (result["answered"] as? Int ?? 0) > 0)
                }
            }
        }

        @Test(
            "Several processes make one load: their counts are added up",
            arguments: [
                ["--mode", "long", "--connections", "7", "--requests", "100", "--verify"],
                ["--mode", "short", "--connections", "4", "--requests", "100", "--verify"],
            ])
        func processes(_ flags: [String]) throws {
            try withServer { server in
                let result = try bench(
                    server, flags + ["--processes", "3", "--warm-up", "50ms", "--duration", "20"])
                #expect(result["answered"] as? Int == 100 && result["failed"] as? Int == 0)
                #expect((result["latency"] as? [String: Double])?["count"] == 100)
                #expect(result["generator_processes"] as? Int == 3)
                if flags[1] == "long" { #expect(result["connected"] as? Int == 7) }
            }
        }

        @Test("Ctrl-C ends all processes, with the result so far; what ends one of them ends all, with status 71")
        func endsOfProcesses() throws {
            try withServer { server in
                for isKilled in [false, true] {
                    let client = try startBench(
                        server.address, ["--processes", "3", "--warm-up", "0", "--duration", "1h", "--progress"])
                    try tellingErrors(of: client) {
                        try client.errors.line(with: "measuring")
                        let children = ProcessFiles.children(of: client.pid)
                        #expect(children.count == 3)
                        guard !isKilled else {
                            kill(children[0], SIGKILL)
                            return try client.expectStatus(71, within: .seconds(10))
                        }
                        client.kill(SIGINT)
                        try client.expectStatus(0, within: .seconds(10))
                        let result = try json(client)
                        #expect(result["interrupted"] as? Bool == true && (result["answered"] as? Int ?? 0) > 0)
                    }
                    try server.waitForChildren(0)
                }
                // Without the first process nobody wants a result.
                let client = try startBench(
                    server.address, ["--processes", "2", "--warm-up", "0", "--duration", "1h", "--progress"])
                try client.errors.line(with: "measuring")
                client.kill(SIGKILL)
                try server.waitForChildren(0)
            }
        }

        @Test("Who is mute is told with 69 when the time is over, with TLS as without")
        func mute() throws {
            let listener = try RawListener()
            for flags in [[], ["--tls"], ["--processes", "2"]] {
                let client = try startBench(
                    listener.address, ["--connections", "2", "--timeout", "300ms", "--wait", "0"] + flags)
                try tellingErrors(of: client) {
                    try client.expectStatus(69, within: .seconds(20))
                    #expect(client.errors.textSoFar.contains("no whole WELCOME"))
                }
            }
            listener.close()
        }

        @Test("Who is not there is told at once with 69, and what is typed wrongly with 64")
        func wrong() throws {
            let listener = try RawListener()
            let address = listener.address
            listener.close()
            for mode in ["long", "short"] {
                let client = try startBench(address, ["--mode", mode])
                try tellingErrors(of: client) {
                    try client.expectStatus(69)
                    #expect(client.errors.textSoFar.contains("ECONNREFUSED"))
                }
            }
            for flags in [
                ["--connections", "0"], ["--rate", "0"], ["--mode", "short", "--churn", "1"], ["--size", "1t"],
                ["--silent", "--requests", "5"], ["--churn", "101"], ["message"], ["--sources", "255"],
                ["--processes", "3", "--connections", "2"],
            ] {
                let client = try Spawned("client", ["bench"] + flags)
                try client.expectStatus(64)
                #expect(client.errors.textSoFar.hasPrefix("client: ") && client.output.textSoFar == "", "\(flags)")
            }
            let help = try Spawned("client", ["bench", "--help"])
            try help.expectStatus(0)
            #expect(help.output.textSoFar.contains("--connect-rate"))
        }

        @Test("The report for people has the percentiles, a histogram and what the generator took itself")
        func text() throws {
            try withServer { server in
                let client = try Spawned(
                    "client",
                    ["bench", "--port", "\(server.port)", "--warm-up", "0", "--duration", "300ms", "--sources", "2"])
                try tellingErrors(of: client) {
                    try client.expectStatus(0, within: .seconds(20))
                    let text = client.output.textSoFar
                    for part in ["p99.99", "answered in 0.3", "█", "% of a core", "errors       none", "16 of 16"] {
                        #expect(text.contains(part), "\(part) is missing:\n\(text)")
                    }
                }
                try server.waitForChildren(0)
                let peers = Set(
                    server.log.textSoFar.split(separator: " ").compactMap { word in
                        word.hasPrefix("peer=") ? word.split(separator: ":").first : nil
                    })
                #expect(peers == ["peer=127.0.0.1", "peer=127.0.0.2"])
            }
        }

        // MARK: Helpers

        private func startBench(_ address: Address, _ flags: [String]) throws -> Spawned {
            try Spawned("client", ["bench", "--port", "\(address.port ?? 0)", "--json"] + flags)
        }

        /// Runs it to its end, and returns what it says.
        private func bench(_ server: ServerProcess, _ flags: [String], status: Int32 = 0) throws -> [String: Any] {
            let client = try startBench(server.address, flags)
            return try tellingErrors(of: client) {
                try client.expectStatus(status, within: .seconds(30))
                return try json(client)
            }
        }

        private func json(_ client: Spawned) throws -> [String: Any] {
            let text = client.output.textSoFar
            guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
                throw Unexpected("no object: \(text)")
            }
            return object
        }

        private func number(_ result: [String: Any], _ key: String) throws -> Double {
            guard let number = result[key] as? NSNumber else { throw Unexpected("\(key) is missing") }
            return number.doubleValue
        }
    }
}
