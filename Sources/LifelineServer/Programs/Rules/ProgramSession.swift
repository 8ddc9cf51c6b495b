import Basics
import Framing

/// The state machine between a connection and its program: requests, output, ends and instants in; bytes for standard
/// input, and steps that the loop carries out one by one, out.
///
/// It has one request or message at a time, and gets the next when it has finished. A program for a connection gets a
/// request when it waits for its input (`ProgramHandOver`). So it is always known which request an answer is for, and
/// which of them a program died of.
struct ProgramSession {
    enum Life: Equatable {
        case none, running
        /// What it has written is yet to be read, and what it has left behind to be killed.
        case exited(ProgramExit)
        /// There is no program, and none will be started.
        case over
    }

    let framing: ProgramFraming
    let grace: Duration
    /// The longest message that the client accepts.
    private let mostAccepted: UInt32
    var life = Life.none
    var termination: ProgramTermination
    var output: ProgramOutput
    var stderr = ProgramStderr()
    var exchange: ProgramExchange
    private var input = ProgramInput()
    var handOver = ProgramHandOver()
    var hasAnswered = false
    /// Whether the program began its next message before it got its request.
    private var hasBegunUnasked = false
    /// The close that follows a program that has read no request, once none has come for a while.
    var departure: (at: Instant, reason: String?)?
    /// How many bytes of its input a program that has exited had not read.
    var left = 0
    /// How many bytes of its input were not written, because nobody reads it any more.
    private var lost = 0
    var isClosed = false
    /// Whether no process that the program started is left, or none is waited for: its output gets no more bytes.
    private(set) var isCollected = false
    /// How long requests are failed where the program has read none. If the connection were closed at once, the client
    /// would bring them again, for ever.
    static let departureTime = Duration.seconds(2)

    /// Why there is no program, for the requests that still come.
    var absence = Failure(.refused, "the program has ended")

    /// What the loop has to carry out next. A step stays until the connection has room for it, and meanwhile the
    /// program's output is not read.
    var steps = Queue<Step>()
    private(set) var outputHasEnded = false
    private(set) var stderrHasEnded = false

    /// A session whose program is not started yet.
    ///
    /// - Parameters:
    ///   - framing: How requests and answers are told apart.
    ///   - grace: How long the program may take to leave by itself, at each step of its end.
    ///   - timeout: How long it may take for an answer; nil for any time.
    ///   - mostAccepted: The client's max_message.
    init(_ framing: ProgramFraming, grace: Duration, timeout: Duration? = nil, mostAccepted: UInt32) {
        self.framing = framing
        self.grace = grace
        self.mostAccepted = mostAccepted
        exchange = ProgramExchange(timeout: timeout)
        termination = ProgramTermination(grace: grace)
        output = ProgramOutput(framing, most: mostAccepted)
        if !framing.isPerRequest { steps.append(.start(request: nil)) }
        steps.append(.finished)
    }

    /// Whether no program runs and none will be started.
    var isOver: Bool { life == .over && steps.isEmpty }
    var deadline: Instant? {
        let own = earlier(earlier(termination.deadline, exchange.deadline), departure?.at)
        if mayHandOver { return earlier(own, handOver.nextLook) }
        let mayDoubt = exchange.unanswered != nil && life == .running && steps.isEmpty
        return mayDoubt ? earlier(own, handOver.doubt) : own
    }

    mutating func removeFirstStep() -> Step? {
        guard let first = steps.first else { return nil }
        steps.removeFirst()
        return first
    }

    /// Whether the program's output may be read: all that it said before has been carried out.
    var wantsOutput: Bool { !outputHasEnded && steps.isEmpty }

    // MARK: Its standard input

    /// What is to be written to it next.
    var unwritten: ArraySlice<UInt8> { input.unwritten }
    /// Whether it ends here.
    var inputIsOver: Bool { input.isOver }

    mutating func wrote(_ count: Int) {
        input.wrote(count)
        if exchange.isMessage, input.hasRoom { finish() }
    }

    /// It has closed its standard input. A program that does not read can answer no more, but may finish what it has
    /// read.
    mutating func inputBroke(at now: Instant) {
        lost += unwritten.count
        input.broke()
        if exchange.isMessage { finish() }
        if exchange.request != nil, !framing.isPerRequest { endInput(at: now) }
    }

    mutating func finish() {
        handOver.drop()
        exchange.finish()
        steps.append(.finished)
    }

    // MARK: What the client says

    mutating func submit(_ id: UInt32, _ bytes: ArraySlice<UInt8>, at now: Instant) {
        exchange.begin(id, at: now)
        guard life != .over else {
            departure?.at = now + ProgramSession.departureTime
            return failed(absence)
        }
        guard let framed = framing.frame(bytes) else {
            let text = "a line carries no newline: this request needs a server with --exec-framing length"
            return failed(Failure(.handlerFailed, text))
        }
        if framing.isPerRequest {
            input.begin(framed)
            steps.append(.start(request: id))
        } else if input.isBroken {
            endInput(at: now)
        } else {
            handOver.hold(framed, at: now)
        }
    }

    // MARK: The hand-over of a request

    /// Whether a request waits for the program, and all that it said before has been carried out.
    var mayHandOver: Bool { handOver.request != nil && life == .running && wantsOutput && !input.isBroken }
    var isHandOverFresh: Bool { handOver.isFresh }

    /// Whether the program may have the request, by what was `seen` of it now. The caller reads all that it has written
    /// by then, and calls `handOverRequest`.
    mutating func allowsHandOver(_ seen: ProgramHandOver.Sight, at now: Instant) -> Bool {
        mayHandOver && handOver.allows(seen, at: now)
    }

    /// Gives the program the request. What it wrote until now, such as a prompt without a newline, answers nothing.
    mutating func handOverRequest(at now: Instant) {
        if let rest = output.takeUnfinishedLine() { steps.append(.message(rest)) }
        hasBegunUnasked = output.hasBegun
        if let request = handOver.take(at: now) { input.append(request) }
    }

    /// Whether the program has had its request for a while without an answer, so that a look at it may tell why.
    func isInDoubt(at now: Instant) -> Bool {
        exchange.unanswered != nil && steps.isEmpty && handOver.doubt.map { $0 <= now } ?? false
    }

    /// A program that waits for more, and has not answered, may keep its answer in a buffer: the log says so once.
    mutating func doubted(_ seen: ProgramHandOver.Sight) {
        handOver.endDoubt()
        if seen == .waits { steps.append(.log(.waits(request: exchange.unanswered))) }
    }

    mutating func submit(message: ArraySlice<UInt8>, at now: Instant) {
        exchange.beginMessage()
        if framing.isPerRequest {
            discard(.messageForRequests)
        } else if life == .over || input.isBroken {
            discard(.messageUnread)
        } else if let framed = framing.frame(message) {
            input.append(framed)
        } else {
            discard(.messageWithNewline)
        }
        if input.hasRoom { finish() }
    }

    /// No answer to the request `id` is awaited any more.
    mutating func cancel(_ id: UInt32, at now: Instant) {
        guard exchange.unanswered == id else { return }
        exchange.cancel()
        guard handOver.request == nil else { return finish() }
        guard framing.isPerRequest else { return }
        exchange.stopClock()
        terminate(at: now)
    }

    /// The connection is over: what the program says reaches no client any more.
    mutating func closed(at now: Instant) {
        isClosed = true
        departure = nil
        handOver.drop()
        exchange.stopClock()
        exchange.cancel()
        _ = steps.remove { step in
            switch step {
            case .end, .log, .finished: false
            default: true
            }
        }
        switch life {
        case .none: life = .over
        case .running where framing.isPerRequest: terminate(at: now)
        case .running: endInput(at: now)
        case .exited, .over: break
        }
    }

    // MARK: What the program says

    /// Takes what the program wrote, while `unread` bytes of its input were still in the pipe.
    mutating func received(_ bytes: ArraySlice<UInt8>, unread: Int = 0, at now: Instant) {
        guard !isClosed else { return }
        guard !framing.isPerRequest else { return pass(bytes, at: now) }
        output.append(bytes)
        while let item = output.next() {
            let answersNothing =
                exchange.request == nil || hasBegunUnasked || handOver.isUntaken(unread: unread + unwritten.count)
            hasBegunUnasked = false
            switch item {
            case .message(let message):
                if answersNothing { steps.append(.message(message)) } else { answer(message) }
            case .tooLong:
                if answersNothing { discard(.tooLong) } else { failed(tooLarge) }
            case .broken(let length):
                breakOff("the program announced a message of \(length) bytes, which must be something else", at: now)
            }
        }
    }

    private var tooLarge: Failure {
        Failure(.messageTooLarge, "the response has more than the \(mostAccepted) bytes that are accepted")
    }

    mutating func answer(_ message: [UInt8]) {
        hasAnswered = true
        if let id = exchange.unanswered { steps.append(.answer(id, message)) }
        finish()
    }

    /// Passes on what a program for one request writes: that is its answer, piece by piece.
    private mutating func pass(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        guard let id = exchange.unanswered else { return }
        guard exchange.sent + bytes.count <= Int(mostAccepted) else {
            steps.append(.fail(id, tooLarge))
            return cancel(id, at: now)
        }
        exchange.passed(bytes.count)
        steps.append(.part(id, Array(bytes), isLast: false))
    }

    /// A message of the program found no room with the client, and will find none.
    mutating func messageWasRefused() {
        discard(.outputUnwanted)
    }

    mutating func outputEnded(at now: Instant) {
        outputHasEnded = true
        // A program that can say nothing any more is of no use to a connection, though it may finish what it does.
        if life == .running, !framing.isPerRequest { endInput(at: now) }
        conclude(at: now)
    }

    mutating func receivedStderr(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        for line in stderr.append(bytes, at: now) { steps.append(.log(.line(line))) }
    }

    mutating func stderrEnded(at now: Instant) {
        stderrHasEnded = true
        if let line = stderr.end(at: now) { steps.append(.log(.line(line))) }
        conclude(at: now)
    }

    // MARK: Its life

    mutating func started(at now: Instant) {
        life = .running
        termination = ProgramTermination(grace: grace)
        stderr.restart()
        outputHasEnded = false
        stderrHasEnded = false
        isCollected = false
        input.started()
        lost = 0
        // Its request may have been cancelled while the client had no room for the answer before it.
        if exchange.request != nil, exchange.unanswered == nil { terminate(at: now) }
    }

    mutating func startFailed(_ text: String, at now: Instant) {
        absence = Failure(.handlerFailed, "the program cannot be started: \(text)")
        input.drop()
        failed(absence)
        if !framing.isPerRequest { leave(absence.text, isBroken: true, at: now) }
    }

    /// The program is gone, and its group with it; `collected` follows when no process that it started is left.
    ///
    /// `unread` bytes of its input were never read.
    mutating func exited(_ exit: ProgramExit, unread: Int = 0, at now: Instant) {
        life = .exited(exit)
        left = unread + unwritten.count + lost
        termination.exited(at: now)
        input.broke()
    }

    mutating func collected(at now: Instant) {
        isCollected = true
        termination.collected()
        conclude(at: now)
    }

    mutating func resumed(at now: Instant) {
        if let timeout = exchange.overrun(at: now) {
            // A program whose output waits for a slow client is not to blame.
            if steps.isEmpty { isLate("no answer within \(timeout / .seconds(1)) seconds", at: now) }
            exchange.restartClock(at: now)
        }
        if let departure, departure.at <= now {
            self.departure = nil
            close(departure.reason)
        }
        switch termination.resumed(at: now) {
        case nil, .endInput?: break
        case .terminate?: terminated()
        case .kill?: steps.append(.end(.kill))
        case .giveUp?:
            steps.append(.end(.giveUp))
            if life == .running { exited(.hung, at: now) }
            collected(at: now)
        }
    }

    private mutating func isLate(_ text: String, at now: Instant) {
        guard framing.isPerRequest, let id = exchange.request else { return breakOff(text, at: now) }
        steps.append(.fail(id, Failure(.handlerFailed, text)))
        cancel(id, at: now)
    }

    private mutating func endInput(at now: Instant) {
        if termination.endInput(at: now) != nil { input.end() }
    }

    private mutating func terminate(at now: Instant) {
        if life == .running, termination.terminate(at: now) != nil { terminated() }
    }

    private mutating func terminated() {
        input.end()
        input.drop()
        steps.append(.end(.terminate))
    }

    /// Ends the program and the connection, which are out of step.
    private mutating func breakOff(_ text: String, at now: Instant) {
        if exchange.request != nil { failed(Failure(.handlerFailed, text)) }
        terminate(at: now)
        close(text)
    }

    /// The request has an ending without a response, and the next may come.
    mutating func failed(_ failure: Failure) {
        if let id = exchange.unanswered { steps.append(.fail(id, failure)) }
        if !exchange.isNone { finish() }
    }

    private mutating func discard(_ what: Discard) {
        if !isClosed { steps.append(.log(.discarded(what))) }
    }
}
