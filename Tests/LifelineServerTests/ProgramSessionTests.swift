import Basics
import Framing
import Testing

@testable import LifelineServer

/// A dialogue of which the steps are carried out as the loop does it: started programs are started, all else is noted.
private struct Stage {
    var dialogue: ProgramSession
    private(set) var seen: [ProgramStep] = []

    init(_ framing: ProgramFraming, timeout: Duration? = nil, mostAccepted: UInt32 = 1000) {
        dialogue = ProgramSession(framing, grace: .seconds(2), timeout: timeout, mostAccepted: mostAccepted)
        // It can be given something as soon as the connection is open.
        #expect(steps() == [.finished])
    }

    /// One of which the program is not started.
    static func unstarted() -> Stage {
        var stage = Stage(.line)
        stage.dialogue = ProgramSession(.line, grace: .seconds(2), mostAccepted: 1000)
        stage.settle(starts: false)
        return stage
    }

    mutating func settle(starts: Bool = true, at instant: Instant = at(0)) {
        while let step = dialogue.removeFirstStep() {
            if case .start = step, starts { dialogue.started(at: instant) } else { seen.append(step) }
        }
    }

    /// The steps since the last call.
    mutating func steps() -> [ProgramStep] {
        settle()
        defer { seen = [] }
        return seen
    }

    /// Hands a request over as soon as the program is seen to wait, which it does as a rule.
    mutating func ask(
        _ id: UInt32, _ string: String, seen: ProgramHandOver.Sight = .waits, at instant: Instant = at(0)
    ) {
        dialogue.submit(id, text(string)[...], at: instant)
        settle(at: instant)
        look(seen, at: instant)
    }

    /// Looks at the program, of which all output is read.
    mutating func look(_ seen: ProgramHandOver.Sight, at instant: Instant = at(0)) {
        settle(at: instant)
        if dialogue.allowsHandOver(seen, at: instant) { dialogue.handOverRequest(at: instant) }
        settle(at: instant)
    }

    /// It has read its input before it speaks.
    mutating func says(_ string: String, at instant: Instant = at(0)) {
        dialogue.wrote(dialogue.unwritten.count)
        settle(at: instant)
        dialogue.received(text(string)[...], at: instant)
    }

    /// Writes all that waits for the program.
    mutating func reads() -> String {
        defer { dialogue.wrote(dialogue.unwritten.count) }
        return String(decoding: dialogue.unwritten, as: UTF8.self)
    }

    /// It is gone with all that it started, and both of its streams have ended.
    mutating func exits(
        _ exit: ProgramExit = .status(0), complaining: String = "", unread: Int = 0, at instant: Instant = at(0)
    ) {
        dialogue.receivedStderr(text(complaining)[...], at: instant)
        dialogue.exited(exit, unread: unread, at: instant)
        dialogue.collected(at: instant)
        dialogue.outputEnded(at: instant)
        dialogue.stderrEnded(at: instant)
    }
}

private func ended(
    _ exit: ProgramExit, request: UInt32? = nil, isExpected: Bool = false
) -> ProgramStep {
    .log(.ended(exit, request: request, isExpected: isExpected, skipped: 0))
}

private func closed(_ code: Code, _ words: String) -> ProgramStep { .close(CloseCause(code, words)) }

private func failed(_ id: UInt32, _ words: String) -> ProgramStep { .fail(id, Failure(.handlerFailed, words)) }

@Suite("A connection and its program: lines")
struct ProgramLineTests {
    @Test("A request is a line for the program, and its next line is the answer")
    func answered() {
        var stage = Stage(.line)
        stage.ask(1, "hello")
        #expect(stage.reads() == "hello\n")
        stage.says("HEL")
        #expect(stage.steps() == [])
        stage.says("LO\r\n")
        #expect(stage.steps() == [.answer(1, text("HELLO\r")), .finished])
    }

    @Test("The program is started when the connection is opened")
    func startsAtOnce() {
        var stage = Stage.unstarted()
        #expect(stage.steps() == [.start(request: nil), .finished])
    }

    @Test("What is said unasked is a message; a second line for one request is one too")
    func unasked() {
        var stage = Stage(.line)
        stage.says("ready\n")
        #expect(stage.steps() == [.message(text("ready"))])
        stage.ask(1, "a")
        stage.says("b\nc\n")
        #expect(stage.steps() == [.answer(1, text("b")), .finished, .message(text("c"))])
    }

    @Test("An empty line is an answer of no bytes")
    func empty() {
        var stage = Stage(.line)
        stage.ask(1, "")
        #expect(stage.reads() == "\n")
        stage.says("\n")
        #expect(stage.steps() == [.answer(1, []), .finished])
    }

    @Test("A request with a newline fails, and the next can be taken")
    func newline() {
        var stage = Stage(.line)
        stage.ask(1, "a\nb")
        #expect(
            stage.steps() == [
                failed(1, "a line carries no newline: this request needs a server with --exec-framing length"),
                .finished,
            ])
        #expect(stage.reads() == "")
    }

    @Test("A one-way message is a line too; one with a newline is discarded")
    func messages() {
        var stage = Stage(.line)
        stage.dialogue.submit(message: text("note")[...], at: at(0))
        #expect(stage.steps() == [.finished])
        stage.dialogue.submit(message: text("a\nb")[...], at: at(0))
        #expect(
            stage.steps() == [
                .log(.discarded(.messageWithNewline)), .finished,
            ])
        #expect(stage.reads() == "note\n")
    }

    @Test("While 64 KiB wait to be written, the next message is not taken")
    func floodedWithMessages() {
        var stage = Stage(.line)
        stage.dialogue.submit(message: zeros(70000)[...], at: at(0))
        #expect(stage.steps() == [])
        stage.dialogue.wrote(4000)
        #expect(stage.steps() == [])
        stage.dialogue.wrote(1000)
        #expect(stage.steps() == [.finished])
        #expect(stage.reads().utf8.count == 65001)
    }

    @Test("A line that the client does not accept fails its request at once, and its rest answers nothing")
    func tooLong() {
        var stage = Stage(.line, mostAccepted: 4)
        let failure = Failure(.messageTooLarge, "the response has more than the 4 bytes that are accepted")
        stage.ask(1, "a")
        stage.says("1234\n")
        #expect(stage.steps() == [.answer(1, text("1234")), .finished])
        stage.ask(2, "a")
        stage.says("12345")
        #expect(stage.steps() == [.fail(2, failure), .finished])
        stage.ask(3, "a")
        stage.says("6789")
        stage.says("0\nok\n")
        #expect(stage.steps() == [.answer(3, text("ok")), .finished])
        stage.says("12345\n")
        #expect(stage.steps() == [.log(.discarded(.tooLong))])
    }

    @Test("The answer to a cancelled request is thrown away, and only then comes the next request")
    func cancelled() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        stage.dialogue.cancel(1, at: at(0))
        #expect(stage.steps() == [])
        stage.says("late\n")
        #expect(stage.steps() == [.finished])
        stage.ask(2, "b")
        stage.says("B\n")
        #expect(stage.steps() == [.answer(2, text("B")), .finished])
    }

    @Test("While a step waits for the client, no output is read")
    func backPressure() {
        var stage = Stage(.line)
        #expect(stage.dialogue.wantsOutput)
        stage.says("a\n")
        #expect(!stage.dialogue.wantsOutput)
        _ = stage.steps()
        #expect(stage.dialogue.wantsOutput)
    }

    @Test("Bytes in every cut are the same lines", arguments: 1...9)
    func cut(_ size: Int) {
        var stage = Stage(.line, mostAccepted: 3)
        let all = text("a\n\nbc\nlong one\nd\n")
        for start in stride(from: 0, to: all.count, by: size) {
            stage.dialogue.received(all[start..<min(start + size, all.count)], at: at(0))
        }
        let messages = stage.steps().filter { if case .message = $0 { true } else { false } }
        #expect(messages == ["a", "", "bc", "d"].map { .message(text($0)) })
    }
}

@Suite("A connection and its program: lengths")
struct ProgramLengthTests {
    @Test("A request and its answer are a length and so many bytes, newlines or none")
    func answered() {
        var stage = Stage(.length)
        stage.ask(1, "a\nb")
        #expect(stage.reads() == "\u{0}\u{0}\u{0}\u{3}a\nb")
        stage.says("\u{0}\u{0}\u{0}\u{2}\n")
        #expect(stage.steps() == [])
        stage.says("\n\u{0}\u{0}\u{0}\u{0}")
        #expect(stage.steps() == [.answer(1, text("\n\n")), .finished, .message([])])
    }

    @Test("An answer over what the client accepts fails its request, and is skipped", arguments: [1, 3, 100])
    func tooLong(_ size: Int) {
        var stage = Stage(.length, mostAccepted: 4)
        stage.ask(1, "a")
        _ = stage.reads()
        let all = text("\u{0}\u{0}\u{0}\u{5}12345\u{0}\u{0}\u{0}\u{2}ok")
        for start in stride(from: 0, to: all.count, by: size) {
            stage.dialogue.received(all[start..<min(start + size, all.count)], at: at(0))
        }
        let failure = Failure(.messageTooLarge, "the response has more than the 4 bytes that are accepted")
        #expect(stage.steps() == [.fail(1, failure), .finished, .message(text("ok"))])
    }

    @Test("A length that cannot be meant ends the program and the connection; nothing more is believed")
    func broken() {
        var stage = Stage(.length)
        stage.ask(1, "a")
        stage.says("HTTP/1.1 200 OK")
        let why = "the program announced a message of 1213486160 bytes, which must be something else"
        #expect(
            stage.steps() == [
                failed(1, why), .finished, .end(.terminate), .close(CloseCause(.handlerFailed, why)),
            ])
        stage.says("\u{0}\u{0}\u{0}\u{1}a")
        #expect(stage.steps() == [])
    }

    @Test("An end in the middle of a message is told")
    func half() {
        var stage = Stage(.length)
        stage.ask(1, "a")
        stage.says("\u{0}\u{0}\u{0}\u{2}a")
        stage.exits()
        let account = "the program exited with status 0 in the middle of a message"
        #expect(
            stage.steps() == [
                ended(.status(0), request: 1), failed(1, account), .finished,
                .close(CloseCause(.handlerFailed, account)),
            ])
    }
}

@Suite("A connection and its program: how it ends")
struct ProgramLifeTests {
    @Test("A program that exits with 0 and owes nothing ends the connection in order")
    func normal() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        stage.says("A\n")
        _ = stage.reads()
        stage.exits()
        #expect(
            stage.steps() == [
                .answer(1, text("A")), .finished, ended(.status(0), isExpected: true),
                closed(.normal, "the program has ended"),
            ])
        #expect(stage.dialogue.isOver)
    }

    @Test("A program that dies of a request fails it with how, and with the end of its standard error")
    func dies() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        _ = stage.reads()
        stage.exits(.signal("SIGSEGV"), complaining: "very\nbad\n")
        let account = "the program was killed by SIGSEGV"
        #expect(
            stage.steps() == [
                .log(.line(.init(text: "very", skipped: 0))), .log(.line(.init(text: "bad", skipped: 0))),
                ended(.signal("SIGSEGV"), request: 1), failed(1, "\(account): very\nbad"), .finished,
                .close(CloseCause(.handlerFailed, account)),
            ])
    }

    @Test("A program that exits with 0 and owes an answer has failed")
    func silent() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        _ = stage.reads()
        stage.exits()
        let why = "the program exited with status 0 and did not answer"
        #expect(
            stage.steps() == [ended(.status(0), request: 1), failed(1, why), .finished, closed(.handlerFailed, why)])
    }

    @Test("A line without an end is the answer of a program that exits with 0, and of no other")
    func half() {
        for exit in [ProgramExit.status(0), .status(1), .signal("SIGKILL")] {
            var stage = Stage(.line)
            stage.ask(1, "a")
            _ = stage.reads()
            stage.says("rest")
            stage.exits(exit)
            let account = "the program \(exit) in the middle of a line"
            #expect(
                stage.steps()
                    == (exit == .status(0)
                        ? [
                            .answer(1, text("rest")), .finished, ended(exit, isExpected: true),
                            closed(.normal, "the program has ended"),
                        ] : [ended(exit, request: 1), failed(1, account), .finished, closed(.handlerFailed, account)]))
        }
    }

    @Test("A line without an end that answers nothing is a message")
    func unaskedHalf() {
        var stage = Stage(.line)
        stage.says("fortune")
        stage.exits()
        #expect(stage.steps() == [.message(text("fortune")), ended(.status(0))])
    }

    @Test("A request that a program has not touched is refused once it has answered others, however it ended")
    func refused() {
        for exit in [ProgramExit.status(0), .status(3)] {
            for isHandedOver in [false, true] {
                var stage = Stage(.line)
                stage.ask(1, "a")
                _ = stage.reads()
                stage.says("A\n")
                _ = stage.steps()
                stage.ask(2, "b", seen: isHandedOver ? .unknown : .busy)
                stage.exits(exit, unread: stage.reads().utf8.count)
                let close =
                    exit == .status(0)
                    ? closed(.normal, "the program has ended") : closed(.handlerFailed, "the program \(exit)")
                #expect(
                    stage.steps() == [
                        ended(exit, request: 2, isExpected: exit == .status(0)),
                        .fail(2, Failure(.refused, "the program has ended")), .finished, close,
                    ])
            }
        }
    }

    @Test(
        "A program that ends before it has read a request fails all that come, and the close waits for 2 s of silence")
    func broken() {
        for exit in [ProgramExit.status(0), .status(127)] {
            var stage = Stage(.line)
            stage.ask(1, "a", seen: .busy)
            stage.exits(exit, complaining: "oh")
            let account = "the program \(exit)" + (exit == .status(0) ? " and did not answer" : "")
            #expect(stage.steps().contains(failed(1, "\(account): oh")))
            stage.ask(2, "b", at: at(1500))
            #expect(stage.steps() == [failed(2, "\(account): oh"), .finished])
            #expect(stage.dialogue.deadline == at(3500))
            stage.dialogue.resumed(at: at(3500))
            #expect(stage.steps() == [closed(.handlerFailed, account)])
            #expect(stage.dialogue.isOver)
        }
    }

    @Test("What it wrote before it exited still counts, as long as it takes to read it")
    func lastWords() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        stage.dialogue.exited(.status(3), at: at(0))
        stage.dialogue.collected(at: at(0))
        stage.dialogue.stderrEnded(at: at(0))
        stage.dialogue.resumed(at: at(60_000))
        #expect(stage.dialogue.deadline == nil)
        stage.says("A\n")
        stage.dialogue.outputEnded(at: at(60_000))
        #expect(
            stage.steps() == [
                .answer(1, text("A")), .finished, ended(.status(3)),
                .close(CloseCause(.handlerFailed, "the program exited with status 3")),
            ])
    }

    @Test("A program that cannot be started ends the connection; a request that came by then fails")
    func cannotStart() {
        var stage = Stage.unstarted()
        #expect(stage.steps() == [.start(request: nil), .finished])
        stage.dialogue.startFailed("Permission denied", at: at(0))
        let why = "the program cannot be started: Permission denied"
        stage.ask(1, "a", at: at(1000))
        #expect(stage.steps() == [failed(1, why), .finished])
        stage.dialogue.resumed(at: at(2999))
        #expect(stage.steps() == [])
        stage.dialogue.resumed(at: at(3000))
        #expect(stage.steps() == [closed(.handlerFailed, why)])
        #expect(stage.dialogue.isOver)
    }

    @Test("At the end of a connection: end of input, TERM after the grace, KILL after another, and 5 s later no hope")
    func steps() {
        var stage = Stage(.line)
        #expect(!stage.dialogue.inputIsOver)
        stage.dialogue.closed(at: at(0), patience: .seconds(10))
        #expect(stage.dialogue.inputIsOver)
        #expect(stage.dialogue.deadline == at(2000))
        stage.dialogue.resumed(at: at(1999))
        #expect(stage.steps() == [])
        stage.dialogue.resumed(at: at(2000))
        #expect(stage.steps() == [.end(.terminate)])
        #expect(stage.dialogue.deadline == at(4000))
        stage.dialogue.resumed(at: at(4000))
        #expect(stage.steps() == [.end(.kill)])
        #expect(stage.dialogue.deadline == at(9000))
        stage.dialogue.resumed(at: at(9000))
        #expect(stage.steps() == [.end(.giveUp)])
        #expect(stage.dialogue.isCollected)
        stage.dialogue.outputEnded(at: at(9000))
        stage.dialogue.stderrEnded(at: at(9000))
        #expect(stage.steps() == [ended(.hung, isExpected: true)])
        #expect(stage.dialogue.isOver)
    }

    @Test("What waits to be written at the end of a connection is written before the end of input")
    func inputFirst() {
        var stage = Stage(.line)
        stage.dialogue.submit(message: text("note")[...], at: at(0))
        stage.dialogue.closed(at: at(0), patience: .seconds(10))
        #expect(!stage.dialogue.inputIsOver)
        #expect(stage.reads() == "note\n")
        #expect(!stage.dialogue.inputIsOver)
        stage.dialogue.looked(unread: 0, .waits, at: at(1))
        #expect(stage.dialogue.inputIsOver)
    }

    @Test("A program that leaves at the end of input is not signalled; its status is no news then")
    func leaves() {
        var stage = Stage(.line)
        stage.dialogue.closed(at: at(0), patience: .seconds(10))
        stage.exits(.status(1), at: at(100))
        stage.dialogue.resumed(at: at(10_000))
        #expect(stage.steps() == [ended(.status(1), isExpected: true)])
        #expect(stage.dialogue.isOver && stage.dialogue.deadline == nil)
    }

    @Test("A program that closes its output and stays is ended; its request fails when it is gone")
    func closesOutput() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        stage.dialogue.outputEnded(at: at(0))
        #expect(stage.steps() == [])
        stage.dialogue.resumed(at: at(2000))
        #expect(stage.steps() == [.end(.terminate)])
        stage.dialogue.exited(.signal("SIGTERM"), at: at(2100))
        stage.dialogue.collected(at: at(2100))
        stage.dialogue.stderrEnded(at: at(2100))
        #expect(stage.steps().contains(failed(1, "the program was killed by SIGTERM")))
    }

    @Test("A program that closes its input may go on talking, until it is asked something")
    func closesInput() {
        var stage = Stage(.line)
        stage.dialogue.inputBroke(at: at(0))
        stage.says("tick\n")
        #expect(stage.steps() == [.message(text("tick"))])
        #expect(stage.dialogue.deadline == nil)
        stage.ask(1, "a", at: at(500))
        #expect(stage.dialogue.unwritten.isEmpty)
        #expect(stage.dialogue.deadline == at(2500))
    }

    @Test("What is left of a program is waited for 5 s and no longer")
    func orphans() {
        var stage = Stage(.line)
        stage.dialogue.exited(.status(0), at: at(0))
        stage.dialogue.outputEnded(at: at(0))
        stage.dialogue.stderrEnded(at: at(0))
        #expect(stage.steps() == [] && stage.dialogue.deadline == at(5000))
        stage.dialogue.resumed(at: at(5000))
        #expect(stage.steps() == [.end(.giveUp), ended(.status(0))])
        stage.dialogue.resumed(at: at(7000))
        #expect(stage.steps() == [closed(.normal, "the program has ended")])
    }
}

@Suite("A request is handed to a program that waits for it")
struct ProgramHandOverTests {
    @Test("What a program wrote before it waits answers nothing: greetings, prompts, second lines")
    func unasked() {
        var stage = Stage(.line)
        stage.ask(1, "a", seen: .busy)
        #expect(stage.reads() == "")
        stage.says("welcome\n> ")
        #expect(stage.steps() == [.message(text("welcome"))])
        stage.look(.waits, at: at(1))
        #expect(stage.steps() == [.message(text("> "))])
        #expect(stage.reads() == "a\n")
        stage.says("A\nmore\n")
        #expect(stage.steps() == [.answer(1, text("A")), .finished, .message(text("more"))])
        stage.ask(2, "b", seen: .busy)
        stage.says("late\n")
        stage.look(.waits, at: at(2))
        stage.says("B\n")
        #expect(stage.steps() == [.message(text("late")), .answer(2, text("B")), .finished])
    }

    @Test("In other framings the beginning of a message stays what it is")
    func lengths() {
        var stage = Stage(.length)
        stage.says("\u{0}\u{0}\u{0}\u{2}h")
        stage.ask(1, "a")
        stage.says("i")
        #expect(stage.steps() == [.message(text("hi"))])
    }

    @Test("The pauses between two looks double up to 32 ms; after 10 s the program gets the request")
    func patience() {
        var stage = Stage(.line)
        stage.ask(1, "a", seen: .busy)
        var looks: [Instant] = []
        while stage.dialogue.mayHandOver, let next = stage.dialogue.deadline {
            looks.append(next)
            stage.look(.busy, at: next)
        }
        #expect(looks.prefix(7) == [1, 3, 7, 15, 31, 63, 95].map(at)[...])
        #expect(looks.last! >= at(10_000) && looks.last! < at(10_032))
        #expect(stage.reads() == "a\n")
        // It was never seen to wait, so it is not waited for again.
        stage.says("A\n")
        _ = stage.steps()
        stage.ask(2, "b", seen: .busy, at: at(20_000))
        #expect(stage.reads() == "b\n")
    }

    @Test("Where nothing can be seen the request goes at once; what comes while it is unread answers nothing")
    func unknown() {
        var stage = Stage(.line)
        stage.ask(1, "abc", seen: .unknown)
        #expect(stage.reads() == "abc\n")
        stage.dialogue.received(text("welcome\n")[...], unread: 4, at: at(0))
        #expect(stage.steps() == [.message(text("welcome"))])
        stage.dialogue.received(text("ABC\n")[...], unread: 3, at: at(0))
        #expect(stage.steps() == [.answer(1, text("ABC")), .finished])
    }

    @Test("A program that waits for more, and has not answered for 1 s, is noted once")
    func doubt() {
        var stage = Stage(.line)
        stage.ask(1, "a")
        #expect(stage.dialogue.deadline == at(1000) && !stage.dialogue.isInDoubt(at: at(999)))
        #expect(stage.dialogue.isInDoubt(at: at(1000)))
        stage.dialogue.doubted(.waits)
        #expect(stage.steps() == [.log(.waits(request: 1, hint: "does it flush after each line? (stdbuf -oL)"))])
        #expect(stage.dialogue.deadline == nil)
        stage.says("A\n")
        stage.ask(2, "b", at: at(2000))
        #expect(stage.dialogue.isInDoubt(at: at(3000)))
        _ = stage.steps()
        stage.dialogue.doubted(.waits)
        #expect(stage.steps() == [])
    }

    @Test("No look is due once the program has closed an end, and what could not be written was not read")
    func closedEnds() {
        for closesInput in [false, true] {
            var stage = Stage(.line)
            stage.ask(1, "a")
            stage.says("A\n")
            _ = stage.steps()
            stage.ask(2, "b", seen: closesInput ? .waits : .busy)
            if closesInput { stage.dialogue.inputBroke(at: at(0)) } else { stage.dialogue.outputEnded(at: at(0)) }
            #expect(!stage.dialogue.mayHandOver)
            #expect(stage.dialogue.deadline == (closesInput ? at(1000) : at(2000)), "the doubt, or the end")
            stage.exits(.status(0), at: at(100))
            #expect(stage.steps().contains(.fail(2, Failure(.refused, "the program has ended"))))
        }
    }

    @Test("A request that is cancelled before it is handed over is never written")
    func cancelled() {
        var stage = Stage(.line)
        stage.ask(1, "a", seen: .busy)
        stage.dialogue.cancel(1, at: at(0))
        #expect(stage.steps() == [.finished])
        stage.ask(2, "b")
        #expect(stage.reads() == "b\n")
    }
}

@Suite("A program that does not answer")
struct ProgramLateTests {
    @Test("A program for a connection costs its request, itself and the connection: what it says is out of step")
    func connection() {
        var stage = Stage(.line, timeout: .seconds(5))
        #expect(stage.dialogue.deadline == nil)
        stage.ask(1, "a", at: at(1000))
        stage.dialogue.doubted(.busy)
        #expect(stage.dialogue.deadline == at(6000))
        stage.dialogue.resumed(at: at(5999))
        #expect(stage.steps() == [])
        stage.dialogue.resumed(at: at(6000))
        let why = "no answer within 5.0 seconds"
        #expect(
            stage.steps() == [
                failed(1, why), .finished, .end(.terminate), .close(CloseCause(.handlerFailed, why)),
            ])
        #expect(stage.dialogue.deadline == at(8000))
    }

    @Test("A cancelled request that is never answered costs the program and the connection too")
    func cancelled() {
        var stage = Stage(.line, timeout: .seconds(5))
        stage.ask(1, "a")
        stage.dialogue.cancel(1, at: at(0))
        stage.dialogue.resumed(at: at(5000))
        #expect(
            stage.steps() == [
                .finished, .end(.terminate), .close(CloseCause(.handlerFailed, "no answer within 5.0 seconds")),
            ])
    }

    @Test("Where it waits for more input, the failure asks whether it flushes; it is looked at in half of its time")
    func hint() {
        for (framing, hint) in [
            (ProgramFraming.line, "does it flush after each line? (stdbuf -oL)"),
            (.length, "does it flush after each answer?"),
        ] {
            var stage = Stage(framing, timeout: .seconds(1))
            for (id, looks) in [(UInt32(1), false), (2, true)] {
                stage = Stage(framing, timeout: .seconds(1))
                stage.ask(id, "a")
                #expect(!stage.dialogue.isInDoubt(at: at(499)) && stage.dialogue.isInDoubt(at: at(500)))
                stage.dialogue.doubted(looks ? .waits : .busy)
                _ = stage.steps()
                stage.dialogue.resumed(at: at(1000))
                let why =
                    "no answer within 1.0 seconds" + (looks ? ", and the program waits for more input: \(hint)" : "")
                #expect(stage.steps().first == failed(id, why))
            }
        }
    }

    @Test("An answer in time is the end of it")
    func inTime() {
        var stage = Stage(.line, timeout: .seconds(5))
        stage.ask(1, "a")
        stage.says("A\n", at: at(4999))
        #expect(stage.steps() == [.answer(1, text("A")), .finished])
        #expect(stage.dialogue.deadline == nil)
    }

    @Test("A program for a request costs that request alone")
    func request() {
        var stage = Stage(.raw, timeout: .seconds(5))
        stage.ask(1, "a")
        stage.dialogue.resumed(at: at(5000))
        #expect(stage.steps() == [failed(1, "no answer within 5.0 seconds"), .end(.terminate)])
        stage.exits(.signal("SIGTERM"), at: at(5100))
        #expect(stage.steps() == [ended(.signal("SIGTERM"), isExpected: true), .finished])
        stage.ask(2, "b", at: at(6000))
        #expect(stage.dialogue.deadline == at(11000))
    }

    @Test("While what it said waits for a slow client, no time runs against the program")
    func slowClient() {
        var stage = Stage(.raw, timeout: .seconds(5))
        stage.ask(1, "a")
        stage.says("part")
        stage.dialogue.resumed(at: at(5000))
        #expect(stage.dialogue.deadline == at(10000))
        #expect(stage.steps() == [.part(1, text("part"), isLast: false)])
    }
}

@Suite("A program for each request")
struct ProgramRequestTests {
    @Test("Standard input is the request, standard output the answer in parts, and its end is the exit")
    func answered() {
        var stage = Stage(.raw)
        #expect(stage.steps() == [])
        stage.ask(7, "a\nb")
        #expect(!stage.dialogue.inputIsOver)
        #expect(stage.reads() == "a\nb")
        #expect(stage.dialogue.inputIsOver)
        stage.says("one")
        stage.says("two")
        stage.exits()
        #expect(
            stage.steps() == [
                .part(7, text("one"), isLast: false), .part(7, text("two"), isLast: false),
                ended(.status(0), request: 7, isExpected: true),
                .part(7, [], isLast: true), .finished,
            ])
        #expect(!stage.dialogue.isOver && stage.dialogue.deadline == nil)
        stage.ask(8, "c")
        stage.exits()
        #expect(
            stage.steps() == [ended(.status(0), request: 8, isExpected: true), .part(8, [], isLast: true), .finished])
    }

    @Test("An exit status other than 0 is a FAILURE with the end of its standard error, though parts have gone")
    func fails() {
        var stage = Stage(.raw)
        stage.ask(1, "a")
        stage.says("one")
        stage.exits(.status(2), complaining: "no such thing")
        #expect(
            stage.steps().filter { if case .log = $0 { false } else { true } } == [
                .part(1, text("one"), isLast: false), failed(1, "the program exited with status 2: no such thing"),
                .finished,
            ])
        stage.ask(2, "a")
        stage.exits(.status(2))
        #expect(stage.steps().contains(failed(2, "the program exited with status 2")), "nothing of the first is left")
    }

    @Test("A program that does not read its request may still answer it")
    func unread() {
        var stage = Stage(.raw)
        stage.ask(1, "a")
        stage.dialogue.inputBroke(at: at(0))
        #expect(stage.dialogue.inputIsOver)
        stage.says("x")
        stage.exits()
        #expect(stage.steps().suffix(2) == [.part(1, [], isLast: true), .finished])
    }

    @Test("More than the client accepts is a FAILURE, and the program is ended")
    func tooLarge() {
        var stage = Stage(.raw, mostAccepted: 4)
        stage.ask(1, "a")
        stage.says("123")
        stage.says("45")
        stage.says("6")
        let failure = Failure(.messageTooLarge, "the response has more than the 4 bytes that are accepted")
        #expect(stage.steps() == [.part(1, text("123"), isLast: false), .fail(1, failure), .end(.terminate)])
        stage.exits(.signal("SIGTERM"))
        #expect(stage.steps() == [ended(.signal("SIGTERM"), isExpected: true), .finished])
    }

    @Test(
        "A cancelled request's program gets TERM at once and KILL after the grace; the next request waits for its end")
    func cancelled() {
        var stage = Stage(.raw)
        stage.ask(1, "a")
        stage.dialogue.cancel(1, at: at(0))
        #expect(stage.steps() == [.end(.terminate)])
        stage.says("late")
        stage.dialogue.resumed(at: at(2000))
        #expect(stage.steps() == [.end(.kill)])
        stage.exits(.signal("SIGKILL"), at: at(2001))
        #expect(stage.steps() == [ended(.signal("SIGKILL"), isExpected: true), .finished])
    }

    @Test("A request that is cancelled before its program could be started costs it TERM as soon as it runs")
    func cancelledEarly() {
        var stage = Stage(.raw)
        stage.dialogue.submit(1, [], at: at(0))
        stage.dialogue.cancel(1, at: at(0))
        #expect(stage.steps() == [.end(.terminate)])
    }

    @Test("A program that cannot be started fails its request, and the connection goes on")
    func cannotStart() {
        var stage = Stage(.raw)
        stage.dialogue.submit(1, text("a")[...], at: at(0))
        #expect(stage.dialogue.removeFirstStep() == .start(request: 1))
        stage.dialogue.startFailed("No such file or directory", at: at(0))
        #expect(stage.steps() == [failed(1, "the program cannot be started: No such file or directory"), .finished])
        stage.ask(2, "b")
        #expect(stage.reads() == "b", "nothing of the first is left")
        stage.exits()
        #expect(stage.steps().suffix(2) == [.part(2, [], isLast: true), .finished])
    }

    @Test("One-way messages have nobody to go to")
    func messages() {
        var stage = Stage(.raw)
        stage.dialogue.submit(message: text("a")[...], at: at(0))
        #expect(stage.steps() == [.log(.discarded(.messageForRequests)), .finished])
    }

    @Test("At the end of a connection a program that runs gets TERM; where none does all is over")
    func closed() {
        var stage = Stage(.raw)
        stage.ask(1, "a")
        stage.dialogue.closed(at: at(0), patience: .seconds(10))
        #expect(stage.steps() == [.end(.terminate)] && !stage.dialogue.isOver)
        stage.exits(.signal("SIGTERM"))
        #expect(stage.steps() == [ended(.signal("SIGTERM"), isExpected: true), .finished])
        #expect(stage.dialogue.isOver)
        var idle = Stage(.raw)
        idle.dialogue.closed(at: at(0), patience: .seconds(10))
        #expect(idle.dialogue.isOver)
    }
}

@Suite("What a program complains about")
struct ProgramErrorTests {
    @Test("Lines are logged whole, in every cut, and what follows the last newline at the end")
    func lines() {
        var errors = ProgramStderr()
        var lines: [String] = []
        for byte in text("one\n\ntwo\nthr") { lines += errors.append([byte], at: at(0)).map(\.text) }
        #expect(lines == ["one", "", "two"])
        #expect(errors.end(at: at(0))?.text == "thr")
        #expect(errors.end(at: at(0)) == nil)
    }

    @Test("A line is cut off at 2048 bytes, and costs no more memory than that")
    func long() {
        var errors = ProgramStderr()
        #expect(errors.append(zeros(100_000)[...], at: at(0)) == [])
        #expect(errors.append(text("a\nb\n")[...], at: at(0)).map(\.text.utf8.count) == [2048, 1])
    }

    @Test("Of a flood 100 lines are logged at once and 20 a second; the next tells how many were not")
    func flood() {
        var errors = ProgramStderr()
        let flood = text(String(repeating: "x\n", count: 1000))
        #expect(errors.append(flood[...], at: at(0)).count == 100)
        #expect(errors.append(flood[...], at: at(10)).isEmpty)
        #expect(errors.skipped == 1900)
        let later = errors.append(flood[...], at: at(1010))
        #expect(later.count == 20 && later[0].skipped == 1900 && later[1].skipped == 0)
        #expect(errors.skipped == 980)
    }

    @Test("The end of it is at most 400 bytes of UTF-8 without white space around them")
    func tail() {
        var errors = ProgramStderr()
        #expect(errors.tail == "")
        _ = errors.append(text(String(repeating: "é", count: 300) + " x\n\n")[...], at: at(0))
        #expect(errors.tail.utf8.count == 398 && errors.tail.hasSuffix("é x"))
        _ = errors.append([0xFF, 0x0A], at: at(0))
        #expect(errors.tail.hasSuffix("\u{FFFD}"))
        errors.restart()
        #expect(errors.tail == "")
    }
}
