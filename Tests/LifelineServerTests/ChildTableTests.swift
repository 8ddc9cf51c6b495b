import Basics
import Posix
import Testing

@testable import LifelineServer

/// The parent's table of children.
struct ChildTableTests {
    private func record(_ pid: ProcessID, slot: Int) -> ChildTable.Record {
        ChildTable.Record(
            pid: pid, slot: slot, connection: UInt64(pid) * 10, peer: SocketAddress(host: "127.0.0.1", port: 1)!,
            acceptedAt: .now)
    }

    @Test("Whoever was put in is found by its process until it is taken out, whatever comes and goes besides")
    func agreesWithADictionary() throws {
        var random = SystemRandomNumberGenerator()
        let slots = 50
        var table = try ChildTable(slots)
        var expected: [ProcessID: Int] = [:]
        var free = Array(0..<slots)
        for _ in 0..<20_000 {
            // Few enough numbers that many share a chain, and that those of the dead come back.
            let pid = ProcessID.random(in: 1...400, using: &random)
            if let slot = expected.removeValue(forKey: pid) {
                let found = table.remove(pid)
                let removed = try #require(found)
                #expect(removed.slot == slot && removed.pid == pid && removed.connection == UInt64(pid) * 10)
                free.append(slot)
            } else {
                let found = table.remove(pid)
                #expect(found == nil)
                guard !free.isEmpty else { continue }
                let slot = free.remove(at: Int.random(in: free.indices, using: &random))
                table.insert(record(pid, slot: slot))
                expected[pid] = slot
            }
            #expect(table.count == expected.count && table.isEmpty == expected.isEmpty)
        }
        #expect(Dictionary(uniqueKeysWithValues: table.records.map { ($0.pid, $0.slot) }) == expected)
        for pid in 1...400 { #expect(table[ProcessID(pid)]?.slot == expected[ProcessID(pid)]) }
    }

    @Test("A child says once that it is done, and whoever has its slot afterwards says so again")
    func doneOnce() throws {
        var table = try ChildTable(2)
        #expect(table.markCompleted(1) == nil)
        table.insert(record(7, slot: 1))
        #expect(table.markCompleted(0) == nil)
        #expect(table.markCompleted(1)?.pid == 7)
        #expect(table.markCompleted(1) == nil)
        _ = table.remove(7)
        #expect(table.markCompleted(1) == nil)
        table.insert(record(9, slot: 1))
        #expect(table.markCompleted(1)?.pid == 9)
    }
}
