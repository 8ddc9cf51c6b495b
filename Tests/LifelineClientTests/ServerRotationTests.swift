import Basics
import Framing
import Posix
import Testing

@testable import LifelineClient

/// Which server is dialed next, and when.
@Suite struct ServerRotations {
    private static let refused = ConnectionError(.unreachable, "refused")

    private func repeating(_ change: (inout ServerRotation.Demand) -> Void = { _ in }) -> ServerRotation.Demand {
        var demand = ServerRotation.Demand(mayRepeat: true)
        change(&demand)
        return demand
    }

    @Test func theServersTakeTurnsAndEachRestsByItself() {
        var rotation = ServerRotation(count: 3, ReconnectPolicy(base: .seconds(1), cap: .seconds(60)))
        var seconds = 0.0
        var order: [Int] = []
        var waits: [Double] = []
        for _ in 0..<7 {
            guard let next = rotation.next(after: Self.refused, repeating(), at: at(seconds), random: { 1 }) else {
                break
            }
            seconds += next.wait / .seconds(1)
            order.append(rotation.current)
            waits.append(next.wait / .seconds(1))
        }
        #expect(order == [1, 2, 0, 1, 2, 0, 1])
        // The first round does not wait; then each rests for 1, 2, ... seconds since its own failure.
        #expect(waits == [0, 0, 1, 0, 0, 2, 0])
    }

    @Test func aServerThatAskedForALongRestIsPassedOver() {
        var rotation = ServerRotation(count: 2, ReconnectPolicy(base: .seconds(1), cap: .seconds(1)))
        let busy = ConnectionError(Close(.busy, "", retryAfter: 60_000))
        #expect(rotation.next(after: busy, repeating(), at: at(0), random: { 1 })?.wait == .zero)
        for second in 0..<5 {
            let next = rotation.next(after: Self.refused, repeating(), at: at(Double(second)), random: { 1 })
            #expect(rotation.current == 1 && next?.wait == .seconds(1))
        }
    }

    @Test(arguments: [
        (Code.unauthorized, true), (.badPreface, true), (.unsupportedVersion, true), (.busy, true),
        (.shuttingDown, true), (.kicked, false),
    ])
    func theNextServerIsTriedAfter(_ code: Framing.Code, _ isTried: Bool) {
        var rotation = ServerRotation(count: 2, ReconnectPolicy())
        let error = ConnectionError(Close(code, ""))
        let next = rotation.next(after: error, ServerRotation.Demand(mayRepeat: false), at: at(0), random: { 1 })
        #expect((next != nil) == isTried)
        guard isTried else { return }
        // The second one ends with the same: only what is temporary is tried again.
        let last = rotation.next(after: error, ServerRotation.Demand(mayRepeat: false), at: at(1), random: { 1 })
        #expect((last != nil) == error.isTemporary)
    }

    @Test func aServerThatSaidNoIsTriedAgainAfterAnotherHasOpened() {
        var rotation = ServerRotation(count: 2, ReconnectPolicy(base: .zero))
        let unwanted = ConnectionError(Close(.unauthorized, ""))
        _ = rotation.next(after: unwanted, repeating(), at: at(0), random: { 1 })
        #expect(rotation.current == 1)
        // As long as the other one fails, it alone is tried.
        _ = rotation.next(after: Self.refused, repeating(), at: at(1), random: { 1 })
        #expect(rotation.current == 1)
        rotation.opened()
        _ = rotation.next(after: Self.refused, repeating { $0.wasOpen = true }, at: at(2), random: { 1 })
        #expect(rotation.current == 0)
    }

    @Test func onlyFailuresCountAndTheyCountFromTheLastWelcome() {
        var rotation = ServerRotation(count: 1, ReconnectPolicy(base: .seconds(1), cap: .seconds(8), attempts: 2))
        var waits: [Duration] = []
        for _ in 0..<9 {
            rotation.opened()
            let next = rotation.next(after: Self.refused, repeating { $0.wasOpen = true }, at: at(0), random: { 1 })
            #expect(next?.attempt == 1)
            waits.append(next?.wait ?? .zero)
        }
        // None lasted, so the server is protected all the same.
        #expect(waits.prefix(5) == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(8)])
        #expect(rotation.next(after: Self.refused, repeating(), at: at(0), random: { 1 })?.attempt == 2)
        #expect(rotation.next(after: Self.refused, repeating(), at: at(0), random: { 1 }) == nil)
    }

    @Test func theLimitInTimeCountsFromTheLossAndItsEndHasTheLastAttempt() {
        let policy = ReconnectPolicy(base: .seconds(10), cap: .seconds(10), giveUpAfter: .seconds(25))
        var rotation = ServerRotation(count: 1, policy)
        rotation.opened()
        var seconds = 100.0
        var demand = repeating { $0.wasOpen = true }
        var times: [Double] = []
        while let next = rotation.next(after: Self.refused, demand, at: at(seconds), random: { 1 }) {
            seconds += next.wait / .seconds(1)
            times.append(seconds - 100)
            demand.wasOpen = false
        }
        // The first attempt is when the server could be back; the limit begins there.
        #expect(times == [10, 20, 30, 35])
        // A drain may take longer than the limit: the server has said when it may be back.
        rotation.opened()
        demand.wasOpen = true
        demand.retryAfter = .seconds(600)
        demand.spread = .seconds(600)
        #expect(rotation.next(after: Self.refused, demand, at: at(seconds), random: { 1 })?.wait == .seconds(1210))
        // One that asks for more than is left, in a refusal, is not disturbed before.
        demand = repeating { $0.retryAfter = .seconds(60) }
        #expect(rotation.next(after: Self.refused, demand, at: at(seconds + 1210), random: { 1 }) == nil)
    }

    @Test func noLimitIsReachedWhereNoneIsSetAndZeroAllowsNone() {
        for (limit, isTried) in [(Duration?.none, true), (.some(.zero), false)] {
            var rotation = ServerRotation(count: 2, ReconnectPolicy(giveUpAfter: limit))
            rotation.opened()
            let next = rotation.next(after: Self.refused, repeating { $0.wasOpen = true }, at: at(1), random: { 1 })
            #expect((next != nil) == isTried)
        }
    }
}

/// How servers are written.
@Suite struct Endpoints {
    @Test(arguments: [
        ("db", "db:7400"), ("db:1", "db:1"), ("10.0.0.1", "10.0.0.1:7400"), ("10.0.0.1:65535", "10.0.0.1:65535"),
        ("::1", "[::1]:7400"), ("[::1]", "[::1]:7400"), ("[::1]:5", "[::1]:5"), ("fe80::1%lo", "[fe80::1%lo]:7400"),
        ("[fe80::1%lo]:9", "[fe80::1%lo]:9"), ("unix:/run/a:b,c", "unix:/run/a:b,c"), ("unix:@name", "unix:@name"),
        ("db.example.", "db.example.:7400"),
    ])
    func isRead(_ text: String, _ description: String) throws {
        #expect(try Endpoint(text, port: 7400).description == description)
        #expect(try Endpoint(description, port: 1).description == description)
    }

    @Test(arguments: [
        "", ":7400", "db:", "db:0", "db:65536", "db:x", "db:-1", "db:+1", "[::1", "[::1]7400", "[]", "[db]:1", "a b",
        "[::1]:", "db:٧",
    ])
    func isNotRead(_ text: String) {
        let error = #expect(throws: ConnectionError.self) { try Endpoint(text, port: 7400) }
        #expect(error?.kind == .invalidOptions)
        #expect(error?.text.hasPrefix("'\(text)'") == true)
    }

    @Test func aListHasEachServerOnceAndIsNotEmpty() throws {
        #expect(try Endpoint.list(["a", "b:1", "a:7400"], port: 7400).map(\.description) == ["a:7400", "b:1"])
        #expect(throws: ConnectionError.self) { try Endpoint.list([], port: 7400) }
    }

    @Test func theFamiliesOfANameTakeTurns() {
        let addresses = ["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"].map { SocketAddress(host: $0, port: 1)! }
        #expect(
            interleaved(addresses).map(\.host) == ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"])
        #expect(interleaved([]).isEmpty)
    }
}
