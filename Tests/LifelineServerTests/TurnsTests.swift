import Testing

@testable import LifelineServer

@Suite("Turns: whether a child gives others a turn before it waits")
struct TurnsTests {
    @Test("As long as it pays, it waits after every 16 turns alone")
    func pays() {
        var turns = Turns()
        for _ in 0..<3 {
            for _ in 0..<Turns.most {
                #expect(turns.mayYield())
                turns.found(true)
            }
            #expect(!turns.mayYield())
        }
    }

    @Test("After four that brought nothing it is tried once in 33 waits")
    func doesNotPay() {
        var turns = Turns()
        for _ in 0..<Turns.patience {
            #expect(turns.mayYield())
            turns.found(false)
        }
        for _ in 0..<3 {
            for _ in 0..<Turns.rest { #expect(!turns.mayYield()) }
            #expect(turns.mayYield())
            turns.found(false)
        }
    }

    @Test("One that brought something is tried again at once, and four may miss again")
    func paysAgain() {
        var turns = Turns()
        for _ in 0..<Turns.patience {
            _ = turns.mayYield()
            turns.found(false)
        }
        for _ in 0..<Turns.rest { #expect(!turns.mayYield()) }
        #expect(turns.mayYield())
        turns.found(true)
        for _ in 0..<Turns.patience {
            #expect(turns.mayYield())
            turns.found(false)
        }
        #expect(!turns.mayYield())
    }
}
