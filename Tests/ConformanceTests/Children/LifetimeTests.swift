import Glibc
import RawWire
import Testing

extension Live.Children {
    /// --max-age and --max-idle on the built server.
    @Suite("Children: how long connections stay") struct Lifetimes {
        @Test(
            "--max-age: clients leave and come back, and nothing in flight is lost",
            arguments: [
                [], ["--pool", "2", "--pool-reuse", "9"],
            ])
        func age(_ flags: [String]) throws {
            try withServer(["--max-age", "100ms"] + flags) { server in
                let bench = try Spawned(
                    "client",
                    [
                        "bench", "--port", "\(server.port)", "--connections", "2", "--in-flight", "8", "--duration",
                        "600ms", "--verify", "--json",
                    ])
                // 70 where a request was lost.
                try bench.expectStatus(0)
                let away = server.log.linesSoFar.filter { $0.contains("sent away") && $0.contains("limit=max_age") }
                let closed = server.log.linesSoFar.filter { $0.contains(" closed ") }
                #expect(away.count >= 6)
                #expect(closed.allSatisfy { $0.contains("reason=NORMAL by=client") }, "\(closed)")
            }
        }

        @Test("--max-age: the client comes back, and every line has its answer")
        func command() throws {
            try withServer("--max-age", "200ms") { server in
                let client = try startClient([], port: server.port, input: .pipe)
                try tellingErrors(of: client) {
                    let begun = SuspendingClock.now
                    var number = 0
                    while client.errors.linesSoFar.count(where: { $0.contains("connected again") }) < 2 {
                        guard begun.age < RawPeer.patience else { throw Unexpected("it did not come back") }
                        number += 1
                        try client.write("line \(number)\n")
                        #expect(try client.output.line() == "line \(number)")
                    }
                    client.closeInput()
                    try client.expectStatus(0)
                }
            }
        }

        @Test("--max-idle: a heart that beats is no activity, and a client that asks stays")
        func idle() throws {
            try withServer("--max-idle", "600ms") { server in
                let idle = try server.open(.hello(pingEvery: 40))
                let active = try server.open()
                let begun = SuspendingClock.now
                var id: UInt32 = 0
                while begun.age < .milliseconds(900) {
                    id += 1
                    try active.send(.request(id, "x"))
                    _ = try active.take(.response)
                    if try idle.read(until: .now + .milliseconds(20)) { continue }
                    try idle.send(.ping(UInt64(id)))
                }
                let last = try idle.frames(upTo: .goAway).last
                #expect(last?.notice?.code == .normal)
                try server.log.line(with: "sent away", "limit=max_idle")
                #expect(server.log.linesSoFar.count { $0.contains("sent away") } == 1)
                try idle.send(.close())
                try active.send(.close())
                try idle.readToEnd()
                try active.readToEnd()
            }
        }

        @Test("SIGHUP changes both for new connections")
        func reload() throws {
            let directory = try TemporaryDirectory()
            try directory.write("configuration", "max-idle 1h\n")
            try withServer("--config", directory.file("configuration")) { server in
                let before = try server.open()
                try directory.write("configuration", "max-idle 100ms\n")
                kill(server.pid, SIGHUP)
                try server.log.line(with: "reloaded")
                let after = try server.open()
                #expect(try after.frames(upTo: .goAway).last?.notice?.code == .normal)
                #expect(server.log.linesSoFar.count { $0.contains("sent away") } == 1)
                for peer in [before, after] {
                    try peer.send(.close())
                    try peer.readToEnd()
                }
            }
        }
    }
}
