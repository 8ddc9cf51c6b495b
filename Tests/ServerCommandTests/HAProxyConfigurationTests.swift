import Arguments
import LifelineServer
import Testing

@testable import server

@Suite("The configuration of HAProxy")
struct HAProxyConfigurationTests {
    private func lines(_ arguments: String...) throws -> [String] {
        let settings = try ServerSettings.read(arguments)
        return try HAProxyConfiguration(settings).text.split(separator: "\n").map(String.init)
    }

    /// The line that begins with `word`, without its place in a section.
    private func line(_ word: String, _ lines: [String]) -> String? {
        lines.lazy.map { String($0.drop { $0 == " " }) }.first { $0.hasPrefix(word + " ") }
    }

    @Test("Its durations and limits follow from those of the server")
    func limits() throws {
        let usual = try lines("--proxy-from", "127.0.0.1")
        #expect(line("timeout tunnel", usual) == "timeout tunnel 120s", "well above --timeout 30")
        #expect(line("timeout client", usual) == "timeout client 10s", "as --handshake-timeout has it")
        #expect(line("maxconn", usual) == "maxconn 11000")
        #expect(line("server", usual)?.hasPrefix("server lifeline 127.0.0.1:7400 send-proxy-v2 ") == true)
        let other = try lines(
            "--proxy-from", "127.0.0.1", "--timeout", "2500ms", "--handshake-timeout", "1500ms", "--max-connections",
            "5")
        #expect(line("timeout tunnel", other) == "timeout tunnel 63s", "whole seconds, never less")
        #expect(line("timeout server", other) == "timeout server 3s", "never below what the server gives a header")
        #expect(line("maxconn", other) == "maxconn 15")
        let long = try lines("--proxy-from", "127.0.0.1", "--timeout", "1193h")
        #expect(line("timeout tunnel", long) == "timeout tunnel 2073600s", "HAProxy takes no more than 24 days")
    }

    @Test("Each listener that takes a header has a section, with an address that HAProxy reaches")
    func listeners() throws {
        let lines = try lines(
            "--listen", "[::1]:7401", "--listen", "*:7402", "--listen", "127.0.0.1:7403,direct", "--listen",
            "unix:/run/a b", "--listen", "[::]:7404", "--proxy-from", "127.0.0.1", "--proxy-from", "::1",
            "--proxy-from",
            "unix")
        #expect(
            lines.filter { $0.hasPrefix("listen ") } == [
                "listen lifeline", "listen lifeline-2", "listen lifeline-3", "listen lifeline-4",
            ])
        let servers = lines.filter { $0.hasPrefix("    server ") }.map { $0.start(before: " send-proxy-v2") }
        #expect(
            servers == [
                "    server lifeline [::1]:7401", "    server lifeline 127.0.0.1:7402",
                "    server lifeline unix@/run/a\\ b", "    server lifeline 127.0.0.1:7404",
            ])
        #expect(
            lines.filter { $0.hasPrefix("    bind ") }.map { $0.start(before: " ssl") } == [
                "    bind :7443", "    bind :7444", "    bind :7445", "    bind :7446",
            ])
    }

    @Test("It checks the server's health at its metrics, or not at all")
    func health() throws {
        #expect(try !lines("--proxy-from", "127.0.0.1").contains { $0.contains("httpchk") || $0.hasSuffix("inter 5s") })
        let checked = try lines("--proxy-from", "127.0.0.1", "--metrics", "*:9100")
        #expect(line("option httpchk", checked) == "option httpchk HEAD /metrics")
        #expect(line("server", checked)?.hasSuffix(" check addr 127.0.0.1 port 9100 inter 5s") == true)
        let local = try lines("--host", "10.0.0.7", "--proxy-from", "10.0.0.8", "--metrics", "localhost:9100")
        #expect(
            line("server", local)?.contains(" check addr 127.0.0.1 port 9100 ") == true, "localhost is not 10.0.0.7")
        #expect(try !lines("--proxy-from", "127.0.0.1", "--metrics", "127.0.0.1:0").contains { $0.contains("httpchk") })
    }

    @Test("It asks for client certificates where their names stand for tokens")
    func clientCertificates() throws {
        func bind(_ arguments: [String]) throws -> String {
            let settings = try ServerSettings.read(["--proxy-from", "127.0.0.1"] + arguments)
            return try #require(
                line("bind", HAProxyConfiguration(settings).text.split(separator: "\n").map(String.init)))
        }
        #expect(try !bind([]).contains("verify"))
        #expect(try bind(["--token-from-cn"]).hasSuffix(" verify required"))
        #expect(try bind(["--token-from-cn", "--token-file", "tokens"]).hasSuffix(" verify optional"))
    }

    @Test("A proxy on another machine needs the server's address")
    func elsewhere() throws {
        func says(_ arguments: String...) throws -> Bool {
            let settings = try ServerSettings.read(arguments)
            return try HAProxyConfiguration(settings).text.contains("put the server's address")
        }
        #expect(try says("--host", "*", "--proxy-from", "10.0.0.0/8"))
        #expect(try !says("--host", "*", "--proxy-from", "10.0.0.0/8", "--proxy-from", "127.0.0.0/8"))
        #expect(try !says("--host", "10.0.0.7", "--proxy-from", "10.0.0.0/8"))
    }

    @Test(
        "Settings that no proxy could connect to are refused",
        arguments: [
            ([], "--proxy-from 127.0.0.1"), (["--host", "unix:/run/a"], "--proxy-from unix"),
            (["--listen", "127.0.0.1:7400,direct", "--port", "7400"], "--proxy-from 127.0.0.1"),
            (["--port", "0", "--proxy-from", "127.0.0.1"], "give --port a port"),
            (["--listen", "127.0.0.1:0", "--proxy-from", "127.0.0.1"], "give --listen a port"),
            (["--port", "7400", "--proxy-from", "10.0.0.1"], "does not name 127.0.0.1"),
            (["--listen", "[::1]:7400", "--proxy-from", "127.0.0.1"], "does not name ::1"),
        ])
    func refused(_ arguments: [String], _ advice: String) throws {
        let settings = try ServerSettings.read(arguments)
        let error = #expect(throws: UsageError.self) { try HAProxyConfiguration(settings) }
        #expect(error?.description.contains(advice) == true, "\(error?.description ?? "")")
    }

    @Test("The flags may stand on either side of --generate haproxy")
    func order() throws {
        for arguments in [["--generate", "haproxy", "--port", "7"], ["--port", "7", "--generate", "haproxy"]] {
            var settings = ServerSettings()
            #expect(try ServerSettings.command.parse(arguments, into: &settings) == .generate(.haproxy))
            #expect(settings.options.port == 7)
        }
    }
}

extension String {
    /// What stands before `text`.
    fileprivate func start(before text: String) -> String {
        var rest = self[...]
        while !rest.isEmpty, !rest.hasPrefix(text) { rest.removeFirst() }
        return String(self[..<rest.startIndex])
    }
}
