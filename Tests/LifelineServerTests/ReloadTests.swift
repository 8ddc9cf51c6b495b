import Testing

@testable import LifelineServer

@Suite("What a running server takes over")
struct ReloadTests {
    @Test("What it holds already stays and is named; all else is taken over")
    func takenOver() throws {
        let running = ServerOptions()
        #expect(running.takenOver(by: running).kept == [])
        var new = ServerOptions()
        new.host = "::1"
        new.port = 1
        new.backlog = 1
        new.user = "nobody"
        new.group = "nogroup"
        new.maxConnections = 1
        new.pidfile = "p"
        new.readyDescriptor = 3
        new.log = .file("l")
        new.control = "c"
        new.metrics = "[::1]:1"
        let fixed = new
        new.timeout = .seconds(1)
        new.drain = .seconds(2)
        new.grace = .seconds(3)
        new.maxFrame = 512
        new.maxMemory = 1 << 30
        new.tokenFile = "t"
        new.logLevel = .debug
        new.logFlood = 1
        new.showsTitles = false
        new.deny = [try AddressRange("10.0.0.0/8")]
        let (options, kept) = new.takenOver(by: running)
        #expect(
            kept == [
                "--host", "--port", "--backlog", "--user", "--group", "--max-connections", "--pidfile", "--ready-fd",
                "--log", "--control", "--metrics",
            ])
        #expect(fixed.takenOver(by: running).kept == kept)
        #expect(options.takenOver(by: running).kept == [])
        #expect(options.timeout == .seconds(1) && options.drain == .seconds(2) && options.grace == .seconds(3))
        #expect(options.maxFrame == 512 && options.maxMemory == 1 << 30 && options.tokenFile == "t")
        #expect(options.logLevel == .debug && options.logFlood == 1 && !options.showsTitles && options.deny.count == 1)
    }

    private func options(_ change: (inout ServerOptions) throws -> Void) rethrows -> ServerOptions {
        var options = ServerOptions()
        try change(&options)
        return options
    }

    private func ranges(_ texts: String...) throws -> [AddressRange] { try texts.map { try AddressRange($0) } }

    @Test("Rules of admission that are gone are told; those that let more clients in are told apart")
    func losses() throws {
        let running = try options {
            $0.tokenFile = "t"
            $0.allow = try ranges("10.0.0.0/8", "::1")
            $0.deny = try ranges("10.1.0.0/16", "10.2.3.4")
            $0.maxRate = 5
            $0.maxPerSource = 6
            $0.maxHandshakes = HandshakeLimit(7)
        }
        func lost(_ change: (inout ServerOptions) throws -> Void) throws -> [String] {
            var new = running
            try change(&new)
            return new.admissionLost(from: running).map { "\($0)\($0.opens ? "!" : "")" }
        }
        #expect(try lost { _ in } == [])
        #expect(try lost { $0 = ServerOptions() }.count == 8)
        #expect(try lost { $0.tokenFile = nil } == ["token-file t!"])
        #expect(try lost { $0.tokenFile = "other" } == [])
        #expect(try lost { $0.allow = try ranges("10.0.0.0/8") } == ["allow ::1"])
        #expect(try lost { $0.allow = [] } == ["allow 10.0.0.0/8!", "allow ::1!"])
        #expect(try lost { $0.deny = try ranges("10.0.0.0/8") } == [], "a wider one has both")
        #expect(try lost { $0.deny = try ranges("10.1.0.0/17", "10.2.3.4") } == ["deny 10.1.0.0/16!"])
        #expect(try lost { $0.maxRate = 9 } == [] && lost { $0.maxRate = nil } == ["max-rate 5!"])
        #expect(try lost { $0.maxPerSource = nil } == ["max-per-source 6!"])
        #expect(try lost { $0.maxHandshakes = nil } == ["max-handshakes 7!"])
        #expect(running.admissionLost(from: ServerOptions()) == [])
    }

    @Test("A supervisor is told when a reload began, on the clock of sd_notify(3)")
    func note() {
        #expect(NotifyMessage.reloading(at: .milliseconds(1500)).text == "RELOADING=1\nMONOTONIC_USEC=1500000")
    }
}
