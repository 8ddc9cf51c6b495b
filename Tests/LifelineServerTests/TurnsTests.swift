import Testing

@testable import LifelineServer

@Suite("Turns: whether a child gives others a turn before it waits")
struct TurnsTests {
    /// What it does `times` times in a row: yes for a turn, which brings something where `brings` says so.
    private func ask(_ turns: inout Turns, times: Int, brings: Bool) -> [Bool] {
        (0..<times).map { _ in
            let mayYield = turns.mayYield()
            if mayYield { turns.found(brings) }
            return mayYield
        }
    }

    private let pause = [Bool](repeating: false, count: Turns.rest)
    private let tries = [Bool](repeating: true, count: Turns.patience)

    @Test("As long as it pays, it waits after every 16 turns alone")
    func pays() {
        var turns = Turns()
        let row = [Bool](repeating: true, count: Turns.most) + [false]
        #expect(ask(&turns, times: 3 * row.count, brings: true) == row + row + row)
    }

    @Test("After four that brought nothing it is tried once in 33 waits")
    func doesNotPay() {
        var turns = Turns()
        let asked = ask(&turns, times: Turns.patience + 3 * (Turns.rest + 1), brings: false)
        #expect(asked == tries + pause + [true] + pause + [true] + pause + [true])
    }

    @Test("When one brings something again, four more may bring nothing")
    func paysAgain() {
        var turns = Turns()
        #expect(ask(&turns, times: Turns.patience + Turns.rest, brings: false) == tries + pause)
        #expect(ask(&turns, times: 1, brings: true) == [true])
        #expect(ask(&turns, times: Turns.patience + 1, brings: false) == tries + [false])
    }
}
