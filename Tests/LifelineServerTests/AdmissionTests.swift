import Basics
import Framing
import Posix
import RawWire
import Testing

@testable import LifelineServer

private func number(_ host: String) -> UInt128? { SocketAddress(host: host, port: 1)!.ipNumber }

/// A server that admits clients and forks no children.
private struct Gate {
    var admission: Admission
    var random = Seeded(3)
    var slots = 0
    var greeted: Set<Int> = []
    var asked = 0

    init() { self.init { _ in } }

    init(_ set: (inout ServerOptions) throws -> Void) rethrows {
        var options = ServerOptions()
        options.exempt = []
        try set(&options)
        admission = Admission(options)
    }

    /// A client comes; its slot, or why it has none.
    mutating func come(_ host: String, at now: Double = 0) -> (slot: Int?, refusal: Admission.Refusal?) {
        var asked = 0
        defer { self.asked += asked }
        let refusal = admission.judge(number(host), at: at(now), using: &random) {
            asked += 1
            return greeted.contains($0)
        }
        guard refusal == nil else { return (nil, refusal) }
        slots += 1
        admission.began(number(host), slot: slots)
        return (slots, nil)
    }

    mutating func refusal(_ host: String, at now: Double = 0) -> Admission.Reason? {
        come(host, at: now).refusal?.reason
    }

    /// A proxy comes: why its connection has no slot.
    mutating func proxy(_ slot: Int) -> Admission.Reason? {
        let refusal = admission.judgeProxy(at: at(0), using: &random) { _ in false }
        if refusal == nil { admission.began(nil, slot: slot) }
        return refusal?.reason
    }

    /// Its header names this client.
    mutating func client(_ host: String) -> Admission.Reason? {
        admission.judgeClient(number(host)!, at: at(0), using: &random)?.reason
    }

    mutating func leave(_ host: String, _ slot: Int, failed: Bool = false, at now: Double = 0) {
        admission.ended(number(host), slot: slot, failedHandshake: failed, at: at(now))
    }

    /// Fails so often.
    mutating func fail(_ host: String, _ times: Int, at now: Double = 0) {
        for _ in 0..<times {
            slots += 1
            admission.began(number(host), slot: slots)
            leave(host, slots, failed: true, at: now)
        }
    }
}

@Suite("Who gets a process")
struct AdmissionTests {
    @Test("Without limits but --max-connections everybody does, up to it and again when one has left")
    func connections() {
        var gate = Gate { $0.maxConnections = 3 }
        for _ in 0..<3 { #expect(gate.refusal("192.0.2.1") == nil) }
        for host in ["192.0.2.1", "2001:db8::1", "unix:/x"] { #expect(gate.refusal(host) == .connections) }
        gate.leave("192.0.2.1", 2)
        #expect(gate.refusal("unix:/x") == nil)
        #expect(gate.refusal("unix:/x") == .connections)
        #expect(gate.admission.refused == [.connections: 4] && gate.asked == 0)
    }

    @Test("--max-per-source counts each prefix on its own, and no Unix socket")
    func perSource() {
        var gate = Gate {
            $0.maxPerSource = 2
            $0.sourcePrefix = SourcePrefix(v4: 24, v6: 64)
        }
        #expect(gate.refusal("192.0.2.1") == nil && gate.refusal("::ffff:192.0.2.200") == nil)
        #expect(gate.refusal("192.0.2.3") == .perSource && gate.refusal("192.0.3.1") == nil)
        #expect(gate.refusal("2001:db8::1") == nil && gate.refusal("2001:db8::2") == nil)
        #expect(gate.refusal("2001:db8::3") == .perSource && gate.refusal("2001:db8:0:1::1") == nil)
        for _ in 0..<10 { #expect(gate.refusal("unix:/x") == nil) }
        gate.leave("192.0.2.1", 1)
        #expect(gate.refusal("192.0.2.9") == nil && gate.refusal("192.0.2.9") == .perSource)
    }

    @Test("Whoever comes and goes: no source, and no server, ever has more than it may")
    func random() {
        var random = Seeded(5)
        var refusals = 0
        for _ in 0..<100 {
            let most = Int.random(in: 1...5, using: &random)
            let all = Int.random(in: 1...12, using: &random)
            var gate = Gate {
                $0.maxPerSource = most
                $0.maxConnections = all
            }
            var open: [(host: String, slot: Int)] = []
            for _ in 0..<200 {
                if Bool.random(using: &random), let index = open.indices.randomElement(using: &random) {
                    let (host, slot) = open.remove(at: index)
                    gate.leave(host, slot)
                } else {
                    let host = "192.0.2.\(Int.random(in: 1...4, using: &random))"
                    let mine = open.filter { $0.host == host }.count
                    switch gate.come(host) {
                    case (let slot?, _): open.append((host, slot))
                    case (nil, let refusal):
                        refusals += 1
                        #expect(refusal?.reason == (open.count == all ? .connections : .perSource))
                        #expect(open.count == all || mine == most)
                    }
                    #expect(open.count <= all && open.filter { $0.host == host }.count <= most)
                }
            }
        }
        #expect(refusals > 1000)
    }

    @Test("--max-rate is paid by who is let in alone")
    func rate() {
        var gate = Gate {
            $0.maxRate = 2
            $0.maxPerSource = 1
        }
        #expect(gate.refusal("192.0.2.1") == nil)
        for _ in 0..<5 { #expect(gate.refusal("192.0.2.1") == .perSource) }
        #expect(gate.refusal("192.0.2.2") == nil)
        #expect(gate.refusal("192.0.2.3") == .rate && gate.refusal("unix:/x") == .rate)
        #expect(gate.refusal("192.0.2.3", at: 500) == nil && gate.refusal("192.0.2.4", at: 500) == .rate)
    }

    @Test("A proxy's connection is judged by what holds for all, and its client by its source when it is known")
    func halves() throws {
        var gate = Gate {
            $0.deny = [try! AddressRange("198.51.100.0/24"), try! AddressRange("10.0.0.1")]
            $0.maxPerSource = 1
            $0.maxConnections = 4
        }
        for slot in 1...4 { #expect(gate.proxy(slot) == nil, "one proxy has many connections") }
        #expect(gate.proxy(5) == .connections)
        #expect(
            gate.client("192.0.2.1") == nil && gate.client("192.0.2.1") == .perSource && gate.client("192.0.2.2") == nil
        )
        #expect(gate.client("198.51.100.7") == .address)
        #expect(gate.admission.connections == 4, "those that are refused are there until they have gone")
        gate.leave("192.0.2.1", 1)
        #expect(gate.client("192.0.2.1") == nil)
        // One that was refused, or never judged, gives back its place alone.
        gate.admission.ended(nil, slot: 3, failedHandshake: false, at: at(0))
        #expect(gate.client("192.0.2.2") == .perSource)
        for _ in 0..<7 { gate.admission.ended(number("192.0.2.2"), slot: 9, failedHandshake: true, at: at(0)) }
        #expect(gate.client("192.0.2.2") == .penalty)
        #expect(gate.admission.refused == [.connections: 1, .perSource: 2, .address: 1, .penalty: 1])
    }

    @Test("A proxy's connection has 3 s for its handshake at least, whatever --handshake-timeout and the pressure say")
    func proxyTime() {
        var gate = Gate {
            $0.handshakeTimeout = .seconds(1)
            $0.maxConnections = 1
        }
        #expect(gate.admission.proxyHandshakeTimeout == .seconds(3) && gate.admission.handshakeTimeout == .seconds(1))
        gate = Gate { $0.maxConnections = 1 }
        #expect(gate.admission.proxyHandshakeTimeout == .seconds(10))
        gate.admission.began(nil, slot: 1)
        #expect(gate.admission.proxyHandshakeTimeout == .seconds(3) && gate.admission.handshakeTimeout == .seconds(1))
    }

    @Test("Who is told to wait is told a second at least, a minute and a quarter at most, and each something else")
    func retryAfter() throws {
        func waits(_ reason: Admission.Reason, _ wait: Duration) -> [UInt32] {
            var gate = Gate()
            return (0..<200).map { _ in
                gate.admission.refuse(reason, wait: wait, using: &gate.random).retryAfter
            }
        }
        for (wait, range) in [
            (Duration.zero, UInt32(1000)...2000), (.milliseconds(300), 1000...2000), (.seconds(3), 3000...4000),
            (.seconds(20), 20_000...25_000), (.seconds(240), 60_000...75_000),
        ] {
            for reason in Admission.Reason.allCases where ![.address, .proxyFrom].contains(reason) {
                let all = waits(reason, wait)
                #expect(all.allSatisfy { range.contains($0) } && Set(all).count > 100)
            }
        }
        #expect(Set(waits(.address, .zero)) == [0] && Set(waits(.proxyFrom, .zero)) == [0])
        var gate = Gate()
        gate.fail("192.0.2.1", 10)
        let left = try #require(gate.come("192.0.2.1").refusal)
        #expect((40_000...50_000).contains(left.retryAfter) && left.detail.contains("192.0.2.1"))
    }

    @Test("A source is refused after the seventh failure, for as long as it owes, and nobody else is")
    func penalties() throws {
        var gate = Gate()
        gate.fail("192.0.2.1", 6)
        #expect(gate.refusal("192.0.2.1") == nil)
        gate.fail("::ffff:192.0.2.1", 1)
        #expect(gate.refusal("192.0.2.1", at: 9999) == .penalty && gate.refusal("192.0.2.2", at: 9999) == nil)
        #expect(gate.refusal("192.0.2.1", at: 10_000) == nil)
        gate.fail("unix:/x", 100)
        #expect(gate.refusal("unix:/x") == nil && gate.admission.penalties.count == 1)
        #expect(gate.refusal("192.0.2.1") == .penalty)
        #expect(gate.admission.lift(try AddressRange("192.0.2.0/24"), at: at(0)) == 1)
        #expect(gate.refusal("192.0.2.1") == nil)
    }

    @Test("--exempt frees from penalties, by the address and not by its source, and from nothing else")
    func exempt() throws {
        var gate = try Gate {
            $0.exempt = [try AddressRange("192.0.2.1"), try AddressRange("2001:db8::/32")]
            $0.sourcePrefix = SourcePrefix(v4: 24)
            $0.maxPerSource = 1
        }
        gate.fail("192.0.2.1", 20)
        gate.fail("2001:db8::1", 20)
        #expect(gate.admission.penalties.count == 0)
        gate.fail("192.0.2.2", 20)
        #expect(gate.refusal("192.0.2.3") == .penalty)
        #expect(gate.refusal("192.0.2.1") == nil && gate.refusal("192.0.2.1") == .perSource)
        var own = Gate { $0.exempt = ServerOptions().exempt }
        for host in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            own.fail(host, 20)
            #expect(own.refusal(host) == nil)
        }
        own.fail("128.0.0.1", 20)
        #expect(own.refusal("128.0.0.1") == .penalty)
    }

    @Test(
        "Handshakes are refused with the percentage of sshd's MaxStartups",
        arguments: [
            (0, 0), (9, 0), (10, 30), (11, 30), (55, 65), (99, 99), (100, 100), (1000, 100),
        ])
    func percentage(_ handshakes: Int, _ percentage: Int) {
        #expect(HandshakeLimit(start: 10, rate: 30, full: 100).refusedPercentage(at: handshakes) == percentage)
    }

    @Test("A --max-handshakes of one number refuses there, and nobody below")
    func handshakes() {
        #expect((0..<5).allSatisfy { HandshakeLimit(5).refusedPercentage(at: $0) == 0 })
        #expect("\(HandshakeLimit(5)) \(HandshakeLimit(start: 1, rate: 2, full: 3))" == "5 1:2:3")
        var gate = Gate { $0.maxHandshakes = HandshakeLimit(5) }
        for _ in 0..<5 { #expect(gate.refusal("unix:/x") == nil) }
        #expect(gate.asked == 0, "nobody is asked below the limit")
        #expect(gate.refusal("unix:/x") == .handshakes && gate.asked == 5)
        gate.greeted = [2, 4]
        #expect(gate.refusal("unix:/x") == nil && gate.refusal("unix:/x") == nil)
        #expect(gate.refusal("unix:/x") == .handshakes)
        gate.leave("unix:/x", 1)
        #expect(gate.refusal("unix:/x") == nil)
        // The slot is another's now, who has not said HELLO.
        gate.leave("unix:/x", 2)
        gate.greeted = []
        gate.admission.began(nil, slot: 2)
        #expect(gate.refusal("unix:/x") == .handshakes)
    }

    @Test("From the soft limit on handshakes are refused at random, as often as the percentage says")
    func atRandom() {
        let limit = HandshakeLimit(start: 10, rate: 30, full: 20)
        for level in [0, 9, 10, 15, 19, 20, 30] {
            var gate = Gate { $0.maxHandshakes = limit }
            for slot in 0..<level { gate.admission.began(nil, slot: slot) }
            var refused = 0
            for _ in 0..<10_000 {
                let refusal = gate.admission.judge(nil, at: at(0), using: &gate.random) { _ in false }
                if refusal?.reason == .handshakes { refused += 1 }
            }
            let percentage = limit.refusedPercentage(at: level)
            #expect(abs(refused - 100 * percentage) < (percentage % 100 == 0 ? 1 : 300), "\(refused) at \(level)")
        }
    }

    @Test("Addresses are judged first, and everything that is refused is counted under its reason")
    func counts() throws {
        var gate = try Gate {
            $0.deny = [try AddressRange("192.0.2.9")]
            $0.maxConnections = 1
        }
        gate.fail("192.0.2.9", 9)
        gate.fail("192.0.2.8", 9)
        #expect(gate.refusal("192.0.2.9") == .address && gate.refusal("192.0.2.8") == .penalty)
        #expect(gate.refusal("192.0.2.1") == nil && gate.refusal("192.0.2.1") == .connections)
        let refusal = gate.admission.refuse(.descriptors, using: &gate.random)
        #expect(refusal.close.code == .busy && refusal.close.lastID == 0 && refusal.close.retryAfter > 0)
        #expect(gate.admission.refused == [.address: 1, .penalty: 1, .connections: 1, .descriptors: 1])
        #expect(Admission.Reason.allCases.allSatisfy { !$0.text.isEmpty && $0.text.utf8.count < 100 })
    }

    @Test("Other options count the children that are there, and keep what sources owe and what the rate has given")
    func otherOptions() {
        var gate = Gate { $0.maxRate = 4 }
        let children = ["192.0.2.1", "192.0.2.2", "unix:/x"].map { ($0, gate.come($0).slot!) }
        gate.fail("192.0.2.9", 7)
        var options = ServerOptions()
        options.exempt = []
        options.maxRate = 4
        options.maxPerSource = 2
        options.sourcePrefix = SourcePrefix(v4: 24)
        gate.admission.reconfigure(options, children: children.map { (number($0.0), $0.1) })
        #expect(gate.refusal("192.0.2.3") == .perSource && gate.refusal("192.0.3.1") == nil)
        #expect(gate.refusal("192.0.4.1") == .rate)
        gate.leave("192.0.2.1", children[0].1)
        #expect(gate.refusal("192.0.2.3", at: 1000) == nil && gate.refusal("192.0.2.3", at: 1000) == .perSource)

        options.maxPerSource = nil
        options.maxRate = nil
        options.sourcePrefix = SourcePrefix()
        options.maxHandshakes = HandshakeLimit(3)
        options.exempt = []
        gate.admission.reconfigure(options, children: children.dropFirst().map { (number($0.0), $0.1) })
        #expect(gate.refusal("192.0.2.9") == .penalty)
        #expect(gate.refusal("192.0.2.3", at: 1000) == nil && gate.refusal("192.0.2.3", at: 1000) == .handshakes)
        gate.greeted = [children[1].1]
        #expect(gate.refusal("192.0.2.3", at: 1000) == nil)
    }

    @Test(
        "The handshake timeout is whole up to three quarters of the connections, shrinks to a tenth, and grows back",
        arguments: [
            (0, 10.0), (50, 10), (75, 10), (80, 8.2), (90, 4.6), (99, 1.36), (100, 1), (76, 9.64), (20, 10),
        ])
    func pressure(_ used: Int, _ expected: Double) {
        var gate = Gate { $0.maxConnections = 100 }
        for slot in 0..<used { gate.admission.began(nil, slot: slot) }
        #expect(abs(gate.admission.handshakeTimeout / .seconds(1) - expected) < 0.001)
        for slot in 0..<used { gate.leave("unix:/x", slot) }
        #expect(gate.admission.handshakeTimeout == .seconds(10))
    }

    @Test("It is not below a second, nor below what was asked for, and the only connection has all of it")
    func leastPressure() {
        for (timeout, least) in [
            (Duration.seconds(60), Duration.seconds(6)), (.seconds(3), .seconds(1)),
            (.milliseconds(200), .milliseconds(200)),
        ] {
            var gate = Gate {
                $0.maxConnections = 8
                $0.handshakeTimeout = timeout
            }
            var last = timeout
            for slot in 0..<8 {
                #expect(gate.admission.handshakeTimeout <= last)
                last = gate.admission.handshakeTimeout
                gate.admission.began(nil, slot: slot)
            }
            #expect(gate.admission.handshakeTimeout == least)
        }
        for most in 1...4 {
            let gate = Gate { $0.maxConnections = most }
            #expect(gate.admission.handshakeTimeout == .seconds(10))
        }
    }
}
