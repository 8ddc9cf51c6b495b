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

    @Test("A supervisor is told when a reload began, on the clock of sd_notify(3)")
    func note() {
        #expect(NotifyMessage.reloading(at: .milliseconds(1500)).text == "RELOADING=1\nMONOTONIC_USEC=1500000")
    }
}
