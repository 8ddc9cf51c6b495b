import Glibc
import RawWire
import Testing

extension Live.Work {
    /// `--memory-budget`: what waits in all connections together.
    @Suite("Memory budgets") struct MemoryBudgets {}
}

extension Live.Work.MemoryBudgets {
    private static let chunk = [UInt8](repeating: 0x78, count: 16_000)

    /// A connection whose handler works on its first request until the connection ends.
    private func openBusy(_ server: ServerProcess) throws -> RawPeer {
        let peer = try server.open()
        try peer.send(.request(1, "wait 3600000"))
        return peer
    }

    @Test("20 clients bring 4 MB each to a budget of 16 MB: the sum stays below it, and a newcomer is served")
    func crowd() throws {
        try withServer(["--memory-budget", "16m", "--metrics", "127.0.0.1:0"], command: "handlers") { server in
            let scraper = try Scraper(server)
            let crowd = try (0..<20).map { _ in try openBusy(server) }
            let children = server.children
            #expect(children.count == 20)
            for first in stride(from: 2 as UInt32, to: 252, by: 10) {
                for peer in crowd {
                    for id in first..<(first + 10) { try peer.send(.request(id, Self.chunk)) }
                }
                let held = try #require(try scraper.samples()["queued_bytes"])
                // What two processes read at the same instant is beyond it.
                #expect(held <= Double(16 << 20) + 2 * 65536, "\(held)")
            }
            let refused = try crowd[0].take(.failure)
            #expect(refused.notice?.code == .refused)
            #expect((1000..<2100).contains(refused.notice?.retryAfter ?? 0))
            #expect(refused.notice?.text.count ?? 99 <= 64)
            try server.log.line(with: "warning memory budget exhausted", "budget=\(16 << 20)")
            let isFull = try eventually(within: .seconds(10)) {
                try scraper.samples()["queued_bytes"] ?? 0 > Double(15 << 20)
            }
            #expect(isFull)
            let newcomer = try server.open()
            try newcomer.send(.request(1, "hello"))
            #expect(try newcomer.take(.response).id == 1)
            let before = try #require(try scraper.samples()["queued_bytes"])
            kill(children[0], SIGKILL)
            // Its share is some 800 kB as a rule, and less where the others were quicker.
            let isFree = try eventually(within: .seconds(10)) {
                try scraper.samples()["queued_bytes"] ?? before < before - 100_000
            }
            #expect(isFree)
            for peer in crowd { peer.close() }
            newcomer.close()
            try server.log.line(with: "info memory budget free")
            let isEmpty = try eventually(within: .seconds(20)) { try scraper.samples()["queued_bytes"] == 0 }
            #expect(isEmpty)
        }
    }

    @Test("A reload sets the budget, for connections that there are too, and takes it away")
    func reload() throws {
        let directory = try TemporaryDirectory()
        try directory.write("conf", "max-message 64k\nexec sleep 3600\n")
        try withServer("--config", directory.file("conf"), "--metrics", "127.0.0.1:0") { server in
            let scraper = try Scraper(server)
            let peer = try server.open()
            for id in 1...20 as ClosedRange<UInt32> { try peer.send(.request(id, Self.chunk)) }
            let isHeld = try eventually { try scraper.samples()["queued_bytes"] ?? 0 >= 320_000 }
            #expect(isHeld)
            #expect(try scraper.samples()["memory_budget_bytes"] == nil)
            try directory.write("conf", "max-message 64k\nmemory-budget 128k\nexec sleep 3600\n")
            server.process.kill(SIGHUP)
            #expect(try eventually { try scraper.samples()["memory_budget_bytes"] == 131_072 })
            try peer.send(.request(21, "x"))
            #expect(try peer.take(.failure).id == 21)
            // The child writes, and then shows what it has counted.
            #expect(try eventually { try scraper.samples()["requests_over_budget_total"] == 1 })
            try directory.write("conf", "max-message 64k\nexec sleep 3600\n")
            server.process.kill(SIGHUP)
            #expect(try eventually { try scraper.samples()["memory_budget_bytes"] == nil })
            try peer.send(.request(22, "x"), .ping(5))
            #expect(try peer.takeFrame().type == .pong, "it was not refused")
        }
    }

    @Test("A process that has held 4 MB gives the memory back when nothing waits any more", .boundsMemory)
    func shrinks() throws {
        try withServer([], command: "handlers") { server in
            let peer = try server.open()
            try peer.send(.request(1, "count"))
            _ = try peer.take(.response)
            let child = try server.onlyChild()
            let before = try #require(ProcessFiles.anonymousMemory(of: child))
            try peer.send(.request(2, "wait 500"))
            for id in 3...240 as ClosedRange<UInt32> { try peer.send(.request(id, Self.chunk)) }
            for id in 2...240 as ClosedRange<UInt32> {
                var bytes = 0
                while bytes < (id == 2 ? 8 : Self.chunk.count) {
                    let frame = try peer.takeFrame()
                    // The send window asks what has arrived.
                    if frame.type == .ping { try peer.send(.pong(to: frame)) }
                    if frame.type == .response, frame.id == id { bytes += frame.payload.count }
                }
            }
            let isSmall = eventually(within: .seconds(10)) {
                ProcessFiles.anonymousMemory(of: child) ?? .max < before + (1 << 20)
            }
            #expect(isSmall, "\(before) became \(ProcessFiles.anonymousMemory(of: child) ?? 0)")
        }
    }
}
