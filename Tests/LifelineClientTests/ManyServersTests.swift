import Framing
import Posix
import Testing

@testable import LifelineClient

/// The library with several servers, and with one that is not there yet, over loopback.
@Suite(.timeLimit(.minutes(1))) struct ManyServersTests {
    /// A port on which nobody listens.
    private func freePort() throws -> UInt16 {
        let listener = try Descriptor.listening(at: SocketAddress(host: "127.0.0.1", port: 0)!, backlog: 1)
        return try #require(listener.localAddress.port)
    }

    private func quick() -> ClientOptions {
        var options = ClientOptions()
        options.reconnect = ReconnectPolicy(base: .milliseconds(5), cap: .milliseconds(20))
        return options
    }

    private func server(of connection: LongConnection) -> String? {
        if case .open(let terms) = connection.state { terms.server } else { nil }
    }

    @Test func theFirstThatAnswersServesAndTheNextTakesOver() async throws {
        let (first, second) = (try LoopbackServer(), try LoopbackServer())
        defer {
            first.stop()
            second.stop()
        }
        let hosts = [
            "127.0.0.1:\(try freePort())", "unix:/nowhere/at/all", "127.0.0.1:\(first.port)",
            "127.0.0.1:\(second.port)",
        ]
        let connection = try await LongConnection.open(hosts: hosts, options: quick())
        #expect(server(of: connection) == hosts[2])
        // It was sent, so nobody gets it again; what follows goes to the next server.
        let error = await #expect(throws: RequestError.self) { try await connection.request(bytes("break")) }
        guard case .unknown(.connection(let reason)) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.server == hosts[2])
        #expect(try await connection.request(bytes("hello")) == bytes("hello"))
        #expect(server(of: connection) == hosts[3])
        // BUSY with a promise: the request is repeated, at the first server again, which echoes no order twice.
        async let repeated = try? connection.request(bytes("close"))
        while first.seen.requests + second.seen.requests < 4 { await Task.yield() }
        await connection.close()
        _ = await repeated
    }

    @Test func aShortRequestGoesToOneServerAlone() async throws {
        let server = try LoopbackServer()
        defer { server.stop() }
        // It accepts into its backlog, and never says a word.
        let mute = try Descriptor.listening(at: SocketAddress(host: "127.0.0.1", port: 0)!, backlog: 4)
        var options = quick()
        options.connectTimeout = .milliseconds(600)
        let hosts = [mute.localAddress.description, "127.0.0.1:\(server.port)"]
        let answer = try await ShortConnection.request(bytes("once"), hosts: hosts, options: options)
        #expect(answer == bytes("once"))
        #expect(server.seen.requests == 1)
        guard let accepted = try mute.accept() else {
            Issue.record("it was not tried")
            return
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        guard case .bytes(let count) = try accepted.connection.receive(into: &buffer) else {
            Issue.record("nothing came")
            return
        }
        #expect(!String(decoding: buffer[..<count], as: UTF8.self).contains("once"))
        _ = consume mute
    }

    @Test func aServerThatComesLateIsWaitedFor() async throws {
        let port = try freePort()
        var options = quick()
        options.wait = .seconds(30)
        let connection = try LongConnection.start(host: "127.0.0.1", port: port, options: options)
        for await case .reconnecting(let error, _, _) in connection.events {
            #expect(error.kind == .unreachable)
            break
        }
        let server = try LoopbackServer(port: port)
        defer { server.stop() }
        try await connection.waitUntilOpen()
        #expect(try await connection.request([1]) == [1])
        await connection.close()
    }

    @Test("The wait ends with what is still wrong", arguments: ["unix:/nowhere/at/all", "no-such-host.invalid"])
    func theWaitEnds(host: String) async throws {
        var options = quick()
        options.wait = .milliseconds(100)
        let error = await #expect(throws: ConnectionError.self) {
            try await LongConnection.open(host: host, options: options)
        }
        #expect(error?.kind == (host.hasPrefix("unix") ? .unreachable : .unknownHost))
        let short = await #expect(throws: RequestError.self) {
            try await ShortConnection.request([1], host: host, options: options)
        }
        guard case .notSent(.connection(let reason)) = short else {
            Issue.record("\(String(describing: short))")
            return
        }
        #expect(reason.kind == error?.kind)
    }

    @Test func serversThatCannotBeReadAreRefused() async {
        for hosts in [[], [""], ["a", "b:0"]] {
            let error = await #expect(throws: ConnectionError.self) { try await LongConnection.open(hosts: hosts) }
            #expect(error?.kind == .invalidOptions)
        }
    }
}
