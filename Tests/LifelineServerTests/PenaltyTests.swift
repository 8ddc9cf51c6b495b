import Basics
import Posix
import RawWire
import Testing

@testable import LifelineServer

private func number(_ host: String) -> UInt128 { SocketAddress(host: host, port: 1)!.ipNumber! }
private func source(_ number: UInt128) -> SourceNetwork { SourcePrefix(v4: 32, v6: 128).source(of: number) }
private func source(_ host: String) -> SourceNetwork { source(number(host)) }

@Suite("Sources")
struct SourceTests {
    @Test(
        "Addresses of one prefix are one source, by their family",
        arguments: [
            (32, 64, "192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.6"),
            (24, 64, "192.0.2.7", "192.0.2.255", "192.0.2.0/24", "192.0.3.0"),
            (1, 64, "127.255.0.1", "0.0.0.0", "0.0.0.0/1", "128.0.0.0"),
            (32, 64, "2001:db8::1", "2001:db8::ffff:1", "2001:db8::/64", "2001:db8:0:1::1"),
            (32, 48, "2001:db8::1", "2001:db8:0:ffff::1", "2001:db8::/48", "2001:db8:1::1"),
            (32, 128, "2001:db8::1", "2001:db8::1", "2001:db8::1", "2001:db8::2"),
            (24, 64, "::ffff:192.0.2.7", "192.0.2.9", "192.0.2.0/24", "::c000:200"),
            (1, 1, "::ffff:0.0.0.1", "127.0.0.1", "0.0.0.0/1", "::1"),
        ])
    func prefixes(_ v4: Int, _ v6: Int, _ one: String, _ other: String, _ text: String, _ outside: String) {
        let prefix = SourcePrefix(v4: v4, v6: v6)
        #expect(prefix.source(of: number(one)) == prefix.source(of: number(other)))
        #expect(prefix.source(of: number(one)) != prefix.source(of: number(outside)))
        #expect("\(prefix.source(of: number(one)))" == text)
    }
}

@Suite("Penalties")
struct PenaltyTests {
    @Test("Six failures are free, each more refuses for ten seconds that pass by themselves")
    func accumulates() {
        var penalties = Penalties()
        let one = source("192.0.2.1")
        for _ in 0..<6 {
            penalties.failed(one, at: at(0))
            #expect(penalties.refused(one, at: at(0)) == nil)
        }
        penalties.failed(one, at: at(0))
        #expect(penalties.refused(one, at: at(0)) == .seconds(10))
        penalties.failed(one, at: at(4000))
        #expect(penalties.refused(one, at: at(4000)) == .seconds(16))
        #expect(penalties.refused(one, at: at(19_999)) == .milliseconds(1))
        #expect(penalties.refused(one, at: at(20_000)) == nil)
        #expect(penalties.refused(source("192.0.2.2"), at: at(0)) == nil)
        #expect(penalties.debts(at: at(79_999)).count == 1 && penalties.debts(at: at(80_000)).isEmpty)
    }

    @Test("Who fails once in ten seconds is never refused; who fails a little more often is, in the end")
    func pace() {
        var slow = Penalties()
        var fast = Penalties()
        let one = source("::1")
        for turn in 0..<1000 {
            slow.failed(one, at: at(Double(turn) * 10_000))
            #expect(slow.refused(one, at: at(Double(turn) * 10_000)) == nil)
            fast.failed(one, at: at(Double(turn) * 9900))
        }
        #expect(fast.refused(one, at: at(999 * 9900)) != nil)
    }

    @Test("However often one fails, he is refused for no more than four minutes from then on")
    func longest() {
        var penalties = Penalties()
        let one = source("192.0.2.1")
        for _ in 0..<1000 { penalties.failed(one, at: at(0)) }
        #expect(penalties.refused(one, at: at(0)) == .seconds(240))
        #expect(penalties.refused(one, at: at(240_000)) == nil)
        #expect(penalties.debts(at: at(300_000)).isEmpty)
    }

    @Test("Debts are listed, the greatest first, and lifted by address or range")
    func lifted() throws {
        var penalties = Penalties()
        for (host, failures) in [("10.0.0.1", 8), ("10.1.0.1", 1), ("2001:db8::1", 9), ("192.0.2.1", 2)] {
            for _ in 0..<failures { penalties.failed(source(host), at: at(0)) }
        }
        #expect(
            penalties.debts(at: at(5000)) == [
                .init(source: source("2001:db8::1"), left: .seconds(85), refused: .seconds(25)),
                .init(source: source("10.0.0.1"), left: .seconds(75), refused: .seconds(15)),
                .init(source: source("192.0.2.1"), left: .seconds(15), refused: .zero),
                .init(source: source("10.1.0.1"), left: .seconds(5), refused: .zero),
            ])
        #expect(penalties.lift(try AddressRange("10.0.0.2"), at: at(5000)) == 0)
        #expect(penalties.lift(try AddressRange("10.0.0.0/8"), at: at(11_000)) == 1)
        #expect(penalties.lift(try AddressRange("::/0"), at: at(11_000)) == 1)
        #expect(penalties.debts(at: at(11_000)).map(\.source) == [source("192.0.2.1")])
        #expect(penalties.refused(source("10.0.0.1"), at: at(11_000)) == nil)

        var grouped = Penalties()
        let group = SourcePrefix(v4: 24).source(of: number("10.0.0.9"))
        grouped.failed(group, at: at(0))
        #expect(grouped.lift(try AddressRange("10.0.1.1"), at: at(0)) == 0)
        #expect(grouped.lift(try AddressRange("10.0.0.1"), at: at(0)) == 1)
    }

    @Test("Millions of sources cost a bounded memory, and forget nobody who failed more often than they")
    func bounded() {
        var penalties = Penalties(mostSources: 64)
        let one = source("192.0.2.1")
        for _ in 0..<10 { penalties.failed(one, at: at(0)) }
        for number in 0..<20_000 {
            penalties.failed(source(UInt128(number) << 64), at: at(Double(number) / 1000))
            #expect(penalties.count <= 64)
        }
        #expect(penalties.refused(one, at: at(20)) != nil)
        // What has passed makes room first: nobody is forgotten for it.
        var later = Penalties(mostSources: 64)
        for number in 0..<64 { later.failed(source(UInt128(number)), at: at(number < 60 ? 0 : 9000)) }
        later.failed(source(UInt128(64)), at: at(10_000))
        #expect(later.count == 5)
    }

    @Test("Whatever happens: the bound holds, a debt never grows by itself, and in the end nothing is left")
    func random() {
        var random = Seeded(11)
        for _ in 0..<100 {
            let most = Int.random(in: 1...20, using: &random)
            var penalties = Penalties(mostSources: most)
            var now = 0.0
            for _ in 0..<300 {
                now += Double(Int.random(in: 0...20_000, using: &random))
                let one = source(UInt128(Int.random(in: 0..<40, using: &random)))
                let before = penalties.refused(one, at: at(now)) ?? .zero
                penalties.failed(one, at: at(now))
                let after = penalties.refused(one, at: at(now)) ?? .zero
                #expect(after >= before && after <= before + .seconds(10) && after <= .seconds(240))
                #expect(penalties.count <= most)
                let debts = penalties.debts(at: at(now))
                #expect(debts.allSatisfy { $0.left <= .seconds(300) })
                #expect(zip(debts, penalties.debts(at: at(now + 1))).allSatisfy { $0.left > $1.left })
            }
            #expect(penalties.debts(at: at(now + 300_000)).isEmpty)
        }
    }
}
