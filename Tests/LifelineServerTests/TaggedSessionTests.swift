import Basics
import Framing
import Testing

@testable import LifelineServer

/// A dialogue in a tagged framing, of which the steps are carried out as the loop does it.
private struct Stage {
    var dialogue: TaggedSession
    private var seen: [ProgramStep] = []

    init(_ framing: ProgramFraming = .tagged, timeout: Duration? = nil, mostAccepted: UInt32 = 1000) {
        dialogue = TaggedSession(framing, grace: .seconds(2), timeout: timeout, mostAccepted: mostAccepted)
        #expect(steps() == [.finished])
    }

    private mutating func settle() {
        while let step = dialogue.removeFirstStep() {
            if case .start = step { dialogue.started(at: at(0)) } else { seen.append(step) }
        }
    }

    /// The steps since the last call.
    mutating func steps() -> [ProgramStep] {
        settle()
        defer { seen = [] }
        return seen
    }

    /// Gives the program requests, whose ids count from `first` on, and forgets that there is room for more.
    mutating func ask(_ texts: String..., from first: UInt32 = 1, at instant: Instant = at(0)) {
        for (index, string) in texts.enumerated() {
            dialogue.submit(first + UInt32(index), text(string)[...], at: instant)
            #expect(steps() == [.finished])
        }
    }

    /// All that waits for the program is written, and read but for the last `unread` bytes.
    mutating func reads(unread: Int = 0) -> String {
        defer {
            dialogue.wrote(dialogue.unwritten.count)
            dialogue.looked(unread: unread, .busy, at: at(0))
        }
        return String(decoding: dialogue.unwritten, as: UTF8.self)
    }

    mutating func says(_ string: String, at instant: Instant = at(0)) -> [ProgramStep] {
        dialogue.received(text(string)[...], unread: 0, at: instant)
        return steps()
    }

    mutating func exits(_ exit: ProgramExit = .status(0), unread: Int = 0, at instant: Instant = at(0)) -> [ProgramStep]
    {
        dialogue.exited(exit, unread: unread, at: instant)
        dialogue.collected(at: instant)
        dialogue.outputEnded(at: instant)
        dialogue.stderrEnded(at: instant)
        return steps()
    }
}

private func failed(_ id: UInt32, _ words: String) -> ProgramStep { .fail(id, Failure(.handlerFailed, words)) }
private func refused(_ id: UInt32) -> ProgramStep { .fail(id, Failure(.refused, "the program has ended")) }
private func tooLarge(_ id: UInt32, _ most: Int) -> ProgramStep {
    .fail(id, Failure(.messageTooLarge, "the response has more than the \(most) bytes that are accepted"))
}
private func closed(_ code: Code, _ words: String) -> ProgramStep { .close(CloseCause(code, words)) }
private let ended = closed(.normal, "the program has ended")

@Suite("What a program says in a tagged framing")
struct TaggedRecordTests {
    private static let records: [(String, TaggedRecord)] = [
        ("answer 7 hello world", .answer(7, text("hello world")[...])), ("answer 7", .answer(7, [])),
        ("answer 7 ", .answer(7, [])), ("answer 7  x ", .answer(7, text(" x ")[...])),
        ("answer 4294967295 x", .answer(4_294_967_295, text("x")[...])), ("part 1 a", .part(1, text("a")[...])),
        ("part 1", .part(1, [])), ("end 12", .end(12)), ("end 12 ", .end(12)), ("fail 3 no", .fail(3, text("no")[...])),
        ("message", .message([])), ("message ", .message([])), ("message 7 x", .message(text("7 x")[...])),
        ("ask x y z", .ask(text("x"), text("y z")[...])), ("ask 7", .ask(text("7"), [])),
        ("answer 7 a\r", .answer(7, text("a\r")[...])), ("answer 7 a\u{0}b", .answer(7, text("a\u{0}b")[...])),
    ]

    @Test("A word, a space, the number of a request, a space, and the text as it is", arguments: records)
    func right(_ line: String, _ record: TaggedRecord) { #expect(TaggedRecord(text(line)[...]) == record) }

    private static let faults: [(String, String)] = [
        ("", "none of the words"), ("hello", "none of the words"), ("Answer 7 x", "none of the words"),
        (" answer 7 x", "none of the words"), ("answers 7", "none of the words"), ("answer", "number"),
        ("answer x", "number"), ("answer  7 x", "number"), ("answer 0 x", "number"), ("answer 07 x", "number"),
        ("answer -7 x", "number"), ("answer 7x", "number"), ("answer 1e+09 x", "number"),
        ("answer 4294967296 x", "number"), ("answer 99999999999999999999 x", "number"), ("part a", "number"),
        ("ask", "a name"), ("ask ", "a name"), ("ask \(String(repeating: "x", count: 65)) y", "a name"),
        ("fail", "number"), ("end", "number"), ("end 7 x", "nothing may follow"),
    ]

    @Test("Anything else is wrong, with the reason", arguments: faults)
    func wrong(_ line: String, _ reason: String) {
        guard case .wrong(let why) = TaggedRecord(text(line)[...]) else {
            Issue.record("it was taken")
            return
        }
        #expect(why.contains(reason))
    }

    @Test("A quote of it has at most 40 bytes, and no control characters")
    func quote() {
        #expect(TaggedRecord.quote(text("a\u{1B}b")[...]) == "'a?b'")
        #expect(
            TaggedRecord.quote(text(String(repeating: "x", count: 41))[...])
                == "'\(String(repeating: "x", count: 40))…'")
    }
}

@Suite("A connection and its program: tagged")
struct TaggedSessionTests {
    @Test("Requests are given at once, and answered in any order; what is a message says so")
    func anyOrder() {
        var stage = Stage()
        stage.ask("a", "", "c d")
        #expect(stage.reads() == "request 1 a\nrequest 2 \nrequest 3 c d\n")
        #expect(stage.says("answer 3 C\nmessage tick\nans") == [.answer(3, text("C")), .message(text("tick"))])
        #expect(stage.says("wer 1 A\nanswer 2\n") == [.answer(1, text("A")), .answer(2, [])])
        #expect(!stage.dialogue.isWorking && stage.dialogue.deadline == nil)
    }

    @Test("With lengths any bytes go both ways")
    func lengths() {
        var stage = Stage(.taggedLength)
        stage.ask("a\nb")
        #expect(stage.reads() == "\u{0}\u{0}\u{0}\u{D}request 1 a\nb")
        #expect(stage.says("\u{0}\u{0}\u{0}\u{D}answer 1 x\ny") == [])
        #expect(stage.says("\n\u{0}\u{0}\u{0}\u{8}message ") == [.answer(1, text("x\ny\n")), .message([])])
        stage.ask("a", from: 2)
        #expect(
            stage.says("\u{0}\u{0}\u{0}\u{8}part 2 a\u{0}\u{0}\u{0}\u{9}part 2 \nb\u{0}\u{0}\u{0}\u{5}end 2") == [
                .answer(2, text("a\nb"))
            ])
    }

    @Test("The parts of an answer are its lines, with a newline between two; they may come among those of others")
    func parts() {
        var stage = Stage()
        stage.ask("a", "b", "c", "d")
        #expect(stage.says("part 1 one\npart 2 x\npart 1 two\nanswer 3 C\n") == [.answer(3, text("C"))])
        #expect(
            stage.says("end 1\npart 2\nend 2\nend 4\n") == [
                .answer(1, text("one\ntwo")), .answer(2, text("x\n")), .answer(4, []),
            ])
    }

    @Test("A part and then a whole answer is a fault of that request alone; a failure may follow parts")
    func mixed() {
        var stage = Stage()
        stage.ask("a", "b", "c")
        #expect(
            stage.says("part 1 x\nanswer 1 y\n") == [
                failed(1, "the program wrote 'part' and then 'answer' for one request")
            ])
        #expect(
            stage.says("part 2 x\nfail 2 no such thing\nfail 3\n") == [
                failed(2, "no such thing"), failed(3, "the program has failed the request"),
            ])
    }

    @Test("A newline fails its request with the way out, and is thrown away in a message")
    func newline() {
        var stage = Stage()
        stage.dialogue.submit(1, text("a\nb")[...], at: at(0))
        let why = "a line carries no newline: this request needs a server with --exec-framing tagged-length"
        #expect(stage.steps() == [failed(1, why), .finished])
        let isGiven = stage.dialogue.submit(message: text("a\nb")[...], at: at(0))
        #expect(!isGiven)
        #expect(stage.steps() == [.log(.discarded(.messageWithNewline)), .finished])
        stage.dialogue.submit(message: text("note")[...], at: at(0))
        #expect(stage.reads() == "message note\n")
    }

    @Test("A cancelled request is told, and its late answer is no fault; nor is a second answer")
    func cancelled() {
        var stage = Stage()
        stage.ask("a", "b")
        _ = stage.reads()
        stage.dialogue.cancel(1, at: at(0))
        stage.dialogue.cancel(7, at: at(0))
        #expect(stage.reads() == "cancel 1\n")
        #expect(
            stage.says("part 1 x\nend 1\nanswer 2 B\nanswer 2 C\n") == [
                .log(.discarded(.answerUnwanted)), .log(.discarded(.answerUnwanted)), .answer(2, text("B")),
                .log(.discarded(.answerUnwanted)),
            ])
    }

    private static let faults: [(ProgramFraming, String, String)] = [
        (
            .tagged, "hello\n",
            "the program wrote 'hello', which begins with none of the words answer, part, end, fail, message, ask"
        ),
        (.tagged, "answer 9 x\n", "the program answered the request 9, which it was not given"),
        (.tagged, "answer x\n", "the program wrote 'answer x', where the number of a request has to follow 'answer'"),
        (
            .taggedLength, "answer 1 x",
            "the program announced a message of 1634628471 bytes, which must be something else"
        ),
        (
            .taggedLength, "\u{0}\u{0}\u{0}\u{0}",
            "the program wrote '', which begins with none of the words answer, part, end, fail, message, ask"
        ),
    ]

    @Test("A program that is out of step costs its requests, itself and the connection", arguments: faults)
    func outOfStep(_ framing: ProgramFraming, _ said: String, _ why: String) {
        var stage = Stage(framing)
        stage.ask("a")
        _ = stage.reads()
        stage.ask("b", from: 2)
        // Nothing of the second request was written, so no program will have it.
        #expect(stage.says(said) == [failed(1, why), refused(2), .end(.terminate), closed(.handlerFailed, why)])
        #expect(stage.dialogue.unwritten.isEmpty)
        #expect(stage.says("answer 1 x\nanswer 2 x\n") == [])
    }

    @Test("An answer over what the client accepts fails its request alone", arguments: [1, 7, 1000])
    func tooLong(_ size: Int) {
        let long = String(repeating: "x", count: 2000)
        for framing in [ProgramFraming.tagged, .taggedLength] {
            var stage = Stage(framing, mostAccepted: 4)
            stage.ask("a", "b", "c", "d", "e", "f")
            _ = stage.reads()
            let said = [
                "answer 1 1234", "answer 2 12345", "answer 3 \(long)", "message \(long)", "message 12345",
                "part 4 12", "part 4 345", "part 5 \(long)", "fail 6 \(long)", "message ok",
            ].flatMap { framing.frame(text($0)[...])! }
            for start in stride(from: 0, to: said.count, by: size) {
                stage.dialogue.received(said[start..<min(start + size, said.count)], at: at(0))
            }
            let steps = stage.steps()
            #expect(
                steps.dropLast(2) == [
                    .answer(1, text("1234")), tooLarge(2, 4), tooLarge(3, 4), .log(.discarded(.tooLong)),
                    .log(.discarded(.tooLong)), tooLarge(4, 4), tooLarge(5, 4),
                ])
            if case .fail(6, let failure)? = steps.dropLast().last { #expect(failure.text.hasPrefix("xxxx")) }
            #expect(steps.last == .message(text("ok")))
            // What still works on parts learns that it may stop.
            #expect(
                stage.reads()
                    == ["cancel 4", "cancel 5"].map { String(decoding: framing.frame(text($0)[...])!, as: UTF8.self) }
                    .joined())
        }
    }

    @Test("While 64 KiB wait to be written, no more is taken")
    func full() {
        var stage = Stage(.taggedLength)
        stage.dialogue.submit(1, zeros(70000)[...], at: at(0))
        #expect(stage.steps() == [])
        stage.dialogue.wrote(4000)
        #expect(stage.steps() == [])
        stage.dialogue.wrote(1000)
        #expect(stage.steps() == [.finished])
    }
}

@Suite("A connection and its program: tagged, time and end")
struct TaggedEndTests {
    @Test("A request that is late fails alone, and the program is told; its answer is no fault then")
    func late() {
        var stage = Stage(timeout: .seconds(5))
        stage.ask("a")
        stage.ask("b", from: 2, at: at(1000))
        _ = stage.reads()
        #expect(stage.dialogue.deadline == at(1000), "the doubt")
        stage.dialogue.doubted(.busy)
        #expect(stage.dialogue.deadline == at(5000) && !stage.dialogue.isLookDue(at: at(4999)))
        #expect(stage.dialogue.isLookDue(at: at(5000)))
        stage.dialogue.resumed(at: at(5000))
        #expect(stage.steps() == [failed(1, "no answer within 5.0 seconds")])
        #expect(stage.reads() == "cancel 1\n")
        stage.dialogue.resumed(at: at(6000))
        #expect(stage.steps() == [failed(2, "no answer within 5.0 seconds")])
        #expect(stage.says("answer 1 x\n") == [.log(.discarded(.answerUnwanted))])
    }

    @Test("A program that takes one request at a time has the whole time for each")
    func oneAtATime() {
        var stage = Stage(timeout: .seconds(5))
        stage.ask("a", "b", "c")
        _ = stage.reads()
        #expect(stage.says("answer 1 A\n", at: at(4000)) == [.answer(1, text("A"))])
        stage.dialogue.resumed(at: at(8999))
        #expect(stage.steps() == [])
        #expect(stage.says("answer 2 B\n", at: at(8999)) == [.answer(2, text("B"))])
        stage.dialogue.resumed(at: at(13998))
        #expect(stage.steps() == [])
        stage.dialogue.resumed(at: at(13999))
        #expect(stage.steps() == [failed(3, "no answer within 5.0 seconds")])
        // An answer to a later one says nothing of an earlier one.
        stage.ask("d", "e", from: 4, at: at(20000))
        _ = stage.reads()
        #expect(stage.says("answer 5 E\n", at: at(24000)) == [.answer(5, text("E"))])
        stage.dialogue.resumed(at: at(25000))
        #expect(stage.steps() == [failed(4, "no answer within 5.0 seconds")])
    }

    @Test("A program that has not even read its request by then costs the connection")
    func doesNotRead() {
        var stage = Stage(timeout: .seconds(5))
        stage.ask("a")
        _ = stage.reads(unread: 3)
        stage.dialogue.resumed(at: at(5000))
        let why = "no answer within 5.0 seconds: it does not read"
        #expect(stage.steps() == [failed(1, why), .end(.terminate), closed(.handlerFailed, why)])
    }

    @Test("One that waits for more input is noted once, and each failure asks whether it flushes")
    func hint() {
        var stage = Stage(timeout: .seconds(5))
        for (id, instant) in [(UInt32(1), 0.0), (2, 10000)] {
            stage.ask("a", from: id, at: at(instant))
            _ = stage.reads()
            #expect(stage.dialogue.isInDoubt(at: at(instant + 1000)))
            stage.dialogue.doubted(.waits)
            let hint = "does it flush after each line? (stdbuf -oL)"
            #expect(stage.steps() == (id == 1 ? [.log(.waits(request: 1, hint: hint))] : []))
            stage.dialogue.resumed(at: at(instant + 5000))
            #expect(
                stage.steps() == [
                    failed(id, "no answer within 5.0 seconds, and the program waits for more input: \(hint)")
                ])
        }
    }

    @Test("While what it said waits for a slow client, no time runs against the program")
    func slowClient() {
        var stage = Stage(timeout: .seconds(5))
        stage.ask("a", "b")
        _ = stage.reads()
        stage.dialogue.received(text("answer 1 x\n")[...], at: at(0))
        stage.dialogue.resumed(at: at(5000))
        #expect(stage.steps() == [.answer(1, text("x"))])
        stage.dialogue.resumed(at: at(9999))
        #expect(stage.steps() == [])
    }

    @Test("The requests of which a program had read nothing are refused when it dies, the others fail")
    func dies() {
        for exit in [ProgramExit.signal("SIGKILL"), .status(0)] {
            var stage = Stage()
            stage.ask("a", "b", "c", "d")
            _ = stage.reads()
            #expect(stage.says("answer 2 B\n") == [.answer(2, text("B"))])
            // The last line, and a byte of the third.
            let account = "the program \(exit)" + (exit == .status(0) ? " and did not answer" : "")
            #expect(
                stage.exits(exit, unread: "request 4 d\n".utf8.count + 1) == [
                    .log(.ended(exit, request: 1, isExpected: false, skipped: 0)), failed(1, account),
                    failed(3, account),
                    refused(4), closed(.handlerFailed, account),
                ])
        }
    }

    @Test("One that ends in order and owes nothing that it has read ends the connection in order")
    func leaves() {
        var stage = Stage()
        stage.ask("a", "b")
        _ = stage.reads()
        _ = stage.says("answer 1 A")
        let unread = "request 2 b\n".utf8.count
        #expect(
            stage.exits(unread: unread) == [
                .answer(1, text("A")), .log(.ended(.status(0), request: 2, isExpected: true, skipped: 0)), refused(2),
                ended,
            ])
        #expect(stage.dialogue.isOver)
    }

    @Test("One that never answered fails all that come, and the close waits for 2 s of silence")
    func broken() {
        var stage = Stage()
        stage.ask("a")
        _ = stage.reads(unread: 12)
        let account = "the program exited with status 127"
        #expect(stage.exits(.status(127), unread: 12).contains(failed(1, account)))
        stage.dialogue.submit(2, text("b")[...], at: at(1500))
        #expect(stage.steps() == [failed(2, account), .finished])
        stage.dialogue.resumed(at: at(3500))
        #expect(stage.steps() == [closed(.handlerFailed, account)])
        #expect(stage.dialogue.isOver)
    }

    @Test("A program that cannot be started fails what comes")
    func cannotStart() {
        var stage = TaggedSession(.tagged, grace: .seconds(2), mostAccepted: 1000)
        stage.startFailed("No such file or directory", at: at(0))
        stage.submit(1, [], at: at(0))
        var steps: [ProgramStep] = []
        while let step = stage.removeFirstStep() { steps.append(step) }
        #expect(steps.contains(failed(1, "the program cannot be started: No such file or directory")))
    }

    @Test("A request to a program that reads no more is refused when the program is gone")
    func closedInput() {
        var stage = Stage()
        stage.ask("a")
        _ = stage.reads()
        _ = stage.says("answer 1 A\n")
        stage.dialogue.inputBroke(at: at(0))
        #expect(stage.dialogue.deadline == nil)
        stage.dialogue.submit(2, text("b")[...], at: at(500))
        #expect(stage.steps() == [] && stage.dialogue.deadline == at(1500), "the doubt")
        #expect(stage.exits(at: at(600)).contains(refused(2)))
    }
}

@Suite("What a program asks its client")
struct TaggedAskTests {
    @Test("It asks by names of its own, and gets answers by them; a name may be used again then")
    func answered() {
        var stage = Stage()
        #expect(stage.says("ask door open?\nask 7\n") == [.ask(1, text("open?")), .ask(2, [])])
        stage.dialogue.asked(2, .success(text("yes")), at: at(0))
        stage.dialogue.asked(1, .success(text("one\n\ntwo")), at: at(0))
        stage.dialogue.asked(1, .success([]), at: at(0))
        #expect(stage.reads() == "answer 7 yes\npart door one\npart door \npart door two\nend door\n")
        #expect(stage.says("ask door again\n") == [.ask(3, text("again"))])
        stage.dialogue.asked(3, .success([]), at: at(0))
        #expect(stage.reads() == "answer door \n")
        var lengths = Stage(.taggedLength)
        #expect(lengths.says("\u{0}\u{0}\u{0}\u{7}ask a \n") == [.ask(1, text("\n"))])
        lengths.dialogue.asked(1, .success(text("\n")), at: at(0))
        #expect(lengths.reads() == "\u{0}\u{0}\u{0}\u{A}answer a \n")
    }

    private static let failures: [(ClientRequestError, String)] = [
        (.failed(Failure(.handlerFailed, "no\nsuch door")), "FAILED HANDLER_FAILED no such door"),
        (.refused(.refused(Failure(.refused, ""))), "REFUSED REFUSED REFUSED"),
        (.notSent(.clientAnswersNone), "NOT_SENT - the client answers no requests"),
        (.unknown(.timedOut), "UNKNOWN - the answer did not come in time"),
        (.unknown(.connection(.closed(.silent, "", by: .server))), "UNKNOWN SILENT the connection has ended: SILENT"),
    ]

    @Test("A failure has an outcome, a code and a text in one line", arguments: failures)
    func failed(_ error: ClientRequestError, _ words: String) {
        var stage = Stage()
        _ = stage.says("ask a b\n")
        stage.dialogue.asked(1, .failure(error), at: at(0))
        #expect(stage.reads() == "failure a \(words)\n")
    }

    @Test("What is too long, and too much, is not sent; a name that waits for its answer is a fault")
    func bounds() {
        var stage = Stage(mostAccepted: 4)
        #expect(stage.says("ask a 12345\nask b \(String(repeating: "x", count: 500))\n") == [])
        let why = "NOT_SENT MESSAGE_TOO_LARGE the client takes at most 4 bytes"
        #expect(stage.reads() == "failure a \(why)\nfailure b \(why)\n")
        for number in 1...TaggedAsks.most { #expect(stage.says("ask \(number)\n").count == 1) }
        #expect(stage.says("ask more\n") == [])
        #expect(stage.reads() == "failure more NOT_SENT BUSY too much that the program has asked is unanswered\n")
        let broken = "the program asks by the name '7', which has no answer yet"
        #expect(stage.says("ask 7\n") == [.end(.terminate), closed(.handlerFailed, broken)])
        var long = Stage(mostAccepted: 4)
        #expect(long.says("ask a\n").count == 1)
        let again = "the program asks by the name 'a', which has no answer yet"
        #expect(long.says("ask a \(String(repeating: "x", count: 500))\n").last == closed(.handlerFailed, again))
    }

    @Test("A program that asks on and on and does not read the outcomes is ended, before they fill the memory")
    func flood() {
        var stage = Stage()
        var steps: [ProgramStep] = []
        var number = 0
        while !steps.contains(.end(.terminate)), number < 200_000 {
            number += 1
            steps = stage.says("ask n\(number) x\n")
        }
        #expect(number > 1000 && number < 200_000)
        #expect(stage.dialogue.unwritten.isEmpty, "what it does not read is let go of")
    }

    @Test("One that waits for the client's answer is not asked whether it flushes")
    func noHint() {
        var stage = Stage()
        stage.ask("a")
        _ = stage.reads()
        #expect(stage.says("ask b x\n").count == 1)
        stage.dialogue.doubted(.waits)
        #expect(stage.steps() == [])
        stage.dialogue.asked(1, .success([]), at: at(0))
        stage.dialogue.doubted(.waits)
        #expect(stage.steps().count == 1)
    }
}

@Suite("What a program has read at its end")
struct ProgramReadingTests {
    private func read(_ input: inout ProgramInput, unread: Int) -> [Int] {
        input.look(unread: unread)
        var costs: [Int] = []
        while let cost = input.takeReadMessage() { costs.append(cost) }
        return costs
    }

    @Test("A message is read when all of its bytes are, whatever lies between")
    func messages() {
        var input = ProgramInput()
        input.append(text("request\n"))
        input.append(message: text("one\n"), cost: 15)
        input.append(text("request\n"))
        input.append(message: text("three\n"), cost: 17)
        #expect(input.hasUnreadMessages)
        input.wrote(20)
        let costs = [read(&input, unread: 9), read(&input, unread: 8), read(&input, unread: 0)]
        #expect(costs == [[], [15], []] && input.hasUnreadMessages)
        input.wrote(6)
        let rest = [read(&input, unread: 1), read(&input, unread: 0)]
        #expect(rest == [[], [17]] && !input.hasUnreadMessages)
        input.append(message: text("four\n"), cost: 16)
        input.append(message: text("five\n"), cost: 16)
        input.wrote(7)
        input.look(unread: 2)
        input.broke()
        let (taken, lost) = (read(&input, unread: 0), [input.takeLostMessage(), input.takeLostMessage()])
        #expect(taken == [16] && lost == [16, nil])
    }

    @Test(
        "A message is handled when the program has come back for more, or ended in order, and lost when it was killed")
    func handled() {
        func handled(_ input: inout ProgramInput, unread: Int?) -> Int {
            if let unread { _ = read(&input, unread: unread) }
            var count = 0
            while input.takeHandledMessage() { count += 1 }
            return count
        }
        var input = ProgramInput()
        for _ in 0..<6 { input.append(message: text("x\n"), cost: 13) }
        input.wrote(12)
        // It reads four at once, and may keep them in its memory; then it reads one more.
        let early = [handled(&input, unread: 4), handled(&input, unread: 4), handled(&input, unread: 2)]
        #expect(early == [0, 0, 4] && input.awaitsProgram)
        input.cameBack()
        let waiting = handled(&input, unread: nil)
        #expect(waiting == 1 && input.hasUnreadMessages)
        var killed = input
        _ = handled(&killed, unread: 0)
        killed.broke(isGone: true)
        let lost = [killed.takeLostMessage(), killed.takeLostMessage()]
        #expect(lost == [0, nil], "it was read, so it takes no room any more")
        _ = handled(&input, unread: 0)
        input.cameBack()
        input.broke(isGone: true)
        let last = handled(&input, unread: nil)
        #expect(last == 1 && input.takeLostMessage() == nil && !input.awaitsProgram)
    }

    /// A program that works on a message when its connection ends.
    private func ending() -> ProgramSession {
        var session = ProgramSession(.line, grace: .seconds(2), mostAccepted: 1000)
        while session.removeFirstStep() != nil {}
        session.started(at: at(0))
        session.submit(message: text("a")[...], at: at(0))
        session.submit(message: text("b")[...], at: at(0))
        session.wrote(4)
        session.closed(at: at(0), patience: .seconds(10))
        return session
    }

    private func steps(_ session: inout ProgramSession) -> [ProgramStep] {
        var steps: [ProgramStep] = []
        while let step = session.removeFirstStep() { if step != .finished { steps.append(step) } }
        return steps
    }

    @Test("While it reads, its grace does not run; it runs from when it waits for more")
    func reads() {
        var session = ending()
        #expect(session.isLookDue(at: at(0)))
        session.looked(unread: 4, .busy, at: at(0))
        session.looked(unread: 3, .busy, at: at(1900))
        session.resumed(at: at(3800))
        let early = steps(&session)
        #expect(early == [] && !session.inputIsOver)
        session.looked(unread: 0, .busy, at: at(3850))
        session.looked(unread: 0, .busy, at: at(5800))
        session.resumed(at: at(7700))
        let late = steps(&session)
        #expect(late == [] && !session.inputIsOver, "it works on what it has read")
        session.looked(unread: 0, .waits, at: at(7750))
        #expect(session.inputIsOver && session.deadline == at(9750))
        session.resumed(at: at(9750))
        #expect(steps(&session) == [.end(.terminate)])
    }

    @Test("Where it does not read, its grace runs")
    func stalls() {
        var session = ending()
        session.looked(unread: 4, .busy, at: at(0))
        session.looked(unread: 4, .busy, at: at(1999))
        session.resumed(at: at(2000))
        let all = steps(&session)
        #expect(all == [.end(.terminate)] && session.inputIsOver)
    }

    @Test("All is over with the patience: SIGTERM comes a grace before")
    func patience() {
        var session = ending()
        for time in stride(from: 0.0, through: 8000, by: 50) { session.looked(unread: 0, .busy, at: at(time)) }
        session.resumed(at: at(7999))
        #expect(steps(&session) == [])
        session.resumed(at: at(8000))
        #expect(steps(&session) == [.end(.terminate)])
    }

    @Test("Where nothing can be seen, its grace runs from when it has read all")
    func unknown() {
        var session = ending()
        session.looked(unread: 0, .unknown, at: at(100))
        #expect(session.inputIsOver && session.deadline == at(2100))
    }

    @Test("Looks are at most 50 ms apart at an end, and 1 s before; each that finds more read halves the pause")
    func looks() {
        var looks = ReadingLooks(at: at(0))
        var pauses: [Duration] = []
        for hasRead in [Bool](repeating: false, count: 11) + [true, true] {
            let last = looks.next
            looks.looked(hasRead: hasRead, at: last)
            pauses.append(looks.next - last)
        }
        #expect(pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000, 500, 250].map { .milliseconds($0) })
        looks.hasten(at: at(0))
        #expect(looks.next == at(50))
        for time in [0.0, 50] {
            looks.looked(hasRead: false, at: at(time))
            #expect(looks.next == at(time + 50))
        }
    }
}
