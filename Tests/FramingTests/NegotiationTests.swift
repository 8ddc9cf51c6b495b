import Testing

@testable import Framing

@Suite("6 Negotiation")
struct NegotiationTests {
    @Test(
        "6-1 Every row of the table of section 6",
        arguments: [
            [0, 0, 30000, 10000, 30000], [5000, 0, 30000, 5000, 30000], [0, 6000, 30000, 2000, 6000],
            [0, 60000, 30000, 10000, 30000], [0, 50, 30000, 33, 100], [5, 1000, 30000, 20, 1000],
            [20000, 0, 30000, 15000, 30000], [60, 101, 30000, 50, 101], [0, 1000, 30000, 333, 1000],
            [4_294_967_295, 4_294_967_295, 30000, 15000, 30000], [1, 1, 100, 20, 100], [0, 30001, 30000, 10000, 30000],
            [15000, 30000, 30000, 15000, 30000], [400, 0, 500, 250, 500], [0, 0, 3_600_000, 60000, 3_600_000],
            [600_000, 0, 3_600_000, 60000, 3_600_000],
        ] as [[UInt32]])
    func table(row: [UInt32]) {
        let welcome = negotiate(
            Hello(pingEvery: row[0], deadAfter: row[1]), with: Terms(timeout: row[2]), connection: 1)
        #expect(welcome.pingEvery == row[3])
        #expect(welcome.deadAfter == row[4])
    }

    @Test("6-1, 6-3, 6-4, 6-5 Over all edges the formula of section 6 holds, and a client accepts the result")
    func sweep() throws {
        let edges: [UInt32] = [
            0, 1, 19, 20, 21, 33, 49, 50, 51, 59, 60, 61, 99, 100, 101, 102, 199, 200, 299, 300, 301, 499, 500, 1000,
            29_999, 30_000, 30_001, 60_000, 1 << 31, .max - 1, .max,
        ]
        for timeout in edges where timeout >= 100 {
            for deadAfter in edges {
                for pingEvery in edges {
                    let hello = Hello(pingEvery: pingEvery, deadAfter: deadAfter)
                    for heartbeat: UInt32 in [20, 21, 50, 333, 60_000, .max] {
                        let terms = Terms(timeout: timeout, heartbeat: heartbeat)
                        let welcome = negotiate(hello, with: terms, connection: 1)
                        // In floating point and with the median of three, apart from the code.
                        let wished = deadAfter == 0 ? Double(timeout) : min(Double(deadAfter), Double(timeout))
                        let dead = max(wished, 100)
                        let ping = pingEvery == 0 ? (dead / 3).rounded(.down) : Double(pingEvery)
                        let bounded = [20, ping, (dead / 2).rounded(.down)].sorted()[1]
                        let every = bounded < Double(heartbeat) ? bounded : Double(heartbeat)
                        if Double(welcome.deadAfter) != dead || Double(welcome.pingEvery) != every {
                            Issue.record("\(hello) under T \(timeout) and H \(heartbeat): \(welcome)")
                        }
                        try welcome.check(against: hello)
                    }
                }
            }
        }
    }

    @Test("6 WELCOME says the server's own limits and its number of the connection")
    func limits() {
        let terms = Terms(timeout: 100, maxFrame: 256, maxMessage: 5, maxInFlight: 6, maxQueued: 7)
        let welcome = negotiate(Hello(short: true, maxFrame: 999, maxMessage: 998), with: terms, connection: 8)
        #expect(
            welcome
                == Welcome(
                    pingEvery: 33, deadAfter: 100, maxFrame: 256, maxMessage: 5, maxInFlight: 6, maxQueued: 7,
                    connection: 8))
    }

    @Test("10 The defaults of a server are those of section 10")
    func defaults() {
        let terms = Terms()
        #expect(
            terms.timeout == 30_000 && terms.heartbeat == 60_000 && terms.maxFrame == 16384
                && terms.maxMessage == 1_048_576)
        #expect(terms.maxInFlight == 256 && terms.maxQueued == 4_194_304)
        #expect(Hello().maxFrame == 16384 && Hello().maxMessage == 1_048_576)
    }
}
