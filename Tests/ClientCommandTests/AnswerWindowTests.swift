import Basics
import Testing

@testable import LifelineClient
@testable import client

private func at(_ seconds: Int) -> Instant { Instant(sinceStart: .seconds(seconds)) }

private func result(_ number: Int, _ text: String = "") -> CallResult {
    CallResult(number: number, result: .success(Array(text.utf8)))
}

@Suite struct AnswerWindowTests {
    private func window(_ count: Int, most: Int = 10) -> AnswerWindow {
        var window = AnswerWindow(most: most)
        for number in 1...count { window.begin(number, InputMessage([1]), call: UInt64(number), at: at(number)) }
        return window
    }

    @Test("Answers leave in the order of the messages, each as soon as all before it are there")
    func order() {
        var window = window(3)
        window.end(result(3), at: at(10))
        window.end(result(2), at: at(11))
        #expect(window.takeFirst(at: at(11)) == nil)
        window.end(result(1), at: at(12))
        var numbers: [Int] = []
        while let (entry, _) = window.takeFirst(at: at(12)) { numbers.append(entry.number) }
        #expect(numbers == [1, 2, 3] && window.isEmpty)
    }

    @Test("A result counts once, and only for a message that waits")
    func once() {
        var window = window(2)
        for number in [0, 3, 99] { window.end(result(number), at: at(5)) }
        #expect(window.takeFirst(at: at(5)) == nil)
        window.end(result(1, "first"), at: at(6))
        window.end(result(1, "second"), at: at(7))
        let taken = window.takeFirst(at: at(8))
        #expect(taken?.entry.elapsed == .seconds(5))
        #expect(try! taken?.result.get() == Array("first".utf8))
        window.end(result(1), at: at(9))
        #expect(window.takeFirst(at: at(9)) == nil && window.count == 1)
    }

    @Test("There is room for as many as the limit says, and for 8 MiB or one message of any size")
    func room() {
        #expect(window(2, most: 3).hasRoom && !window(3, most: 3).hasRoom)
        #expect(window(1, most: 3).hasRoom(besides: 1, 1) && !window(1, most: 3).hasRoom(besides: 2, 2))
        let large = InputMessage([UInt8](repeating: 0, count: AnswerWindow.mostBytes))
        var window = AnswerWindow(most: 10)
        #expect(window.hasRoom(besides: 0, 0) && !window.hasRoom(besides: 1, large.length))
        window.begin(1, large, call: 1, at: at(0))
        #expect(!window.hasRoom)
        window.end(result(1, "ok"), at: at(1))
        #expect(window.takeFirst(at: at(1)) != nil && window.hasRoom)
    }

    @Test("An answer that waits for its turn takes room too")
    func answers() {
        var window = window(2)
        window.end(
            CallResult(number: 2, result: .success([UInt8](repeating: 0, count: AnswerWindow.mostBytes))), at: at(3))
        #expect(!window.hasRoom)
    }

    @Test("The first message's time begins when it is the first")
    func time() {
        var window = window(2)
        #expect(window.firstSince == at(1))
        window.end(result(1), at: at(7))
        _ = window.takeFirst(at: at(7))
        #expect(window.firstSince == at(7) && window.first?.number == 2)
        window.restartFirst(at: at(9))
        #expect(window.firstSince == at(9))
        window.giveUpFirst()
        #expect(window.first?.isGivenUp == true)
    }

    @Test("Thousands of messages pass through a small window")
    func many() {
        var window = AnswerWindow(most: 4)
        for number in 1...10_000 {
            window.begin(number, InputMessage([]), call: 0, at: at(0))
            if number > 3 {
                window.end(result(number - 3), at: at(0))
                #expect(window.takeFirst(at: at(0))?.entry.number == number - 3)
            }
        }
        #expect(window.count == 3)
    }

    @Test("Where more may wait to be printed, one that is late holds up no others")
    func late() {
        var window = AnswerWindow(most: 2, waiting: 4)
        for number in 1...2 { window.begin(number, InputMessage([]), call: 0, at: at(0)) }
        #expect(!window.hasRoom)
        for number in 3...4 {
            window.end(result(number - 1), at: at(0))
            #expect(window.hasRoom)
            window.begin(number, InputMessage([]), call: 0, at: at(0))
        }
        window.end(result(4), at: at(0))
        #expect(!window.hasRoom && window.takeFirst(at: at(0)) == nil)
        window.end(result(1), at: at(0))
        while window.takeFirst(at: at(1)) != nil {}
        #expect(window.hasRoom && window.isEmpty)
    }
}
