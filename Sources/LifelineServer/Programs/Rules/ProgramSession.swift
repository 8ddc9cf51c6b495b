import Basics
import Framing

/// The dialogue with a program whose answers say nothing of their requests: `line`, `length` and `raw`.
///
/// It has one request or message at a time, and gets the next when it has finished. A program for a connection gets a
/// request when it waits for its input (`ProgramHandOver`). So it is always known which request an answer is for, and
/// which of them a program died of.
struct ProgramSession: ProgramDialogue {
    let framing: ProgramFraming
    /// The longest message that the client accepts.
    private let mostAccepted: UInt32
    var course: ProgramCourse
    var output: ProgramOutput
    var exchange: ProgramExchange
    var handOver: ProgramHandOver
    /// Whether the program began its next message before it got its request.
    private var hasBegunUnasked = false
    /// Whether the program was seen to wait for more input while its answer is awaited.
    private var seemsToWait = false

    /// A session whose program is not started yet.
    ///
    /// - Parameters:
    ///   - framing: How requests and answers are told apart.
    ///   - grace: How long the program may take to leave by itself, at each step of its end.
    ///   - timeout: How long it may take for an answer; nil for any time.
    ///   - mostAccepted: The client's max_message.
    init(_ framing: ProgramFraming, grace: Duration, timeout: Duration? = nil, mostAccepted: UInt32) {
        self.framing = framing
        self.mostAccepted = mostAccepted
        course = ProgramCourse(grace: grace)
        exchange = ProgramExchange(timeout: timeout)
        handOver = ProgramHandOver(timeout: timeout)
        output = ProgramOutput(framing, most: mostAccepted)
        if !framing.isPerRequest { course.steps.append(.start(request: nil)) }
        course.steps.append(.finished)
    }

    var isWorking: Bool { false }
    var deadline: Instant? {
        let own = earlier(course.deadline, exchange.deadline)
        if mayHandOver { return earlier(own, handOver.nextLook) }
        let mayDoubt = exchange.unanswered != nil && course.life == .running && course.steps.isEmpty
        return mayDoubt ? earlier(own, handOver.doubt) : own
    }

    // MARK: Its standard input

    mutating func wrote(_ count: Int) {
        course.input.wrote(count)
        if exchange.isMessage, course.input.hasRoom { finish() }
    }

    mutating func inputBroke(at now: Instant) {
        course.input.broke()
        if exchange.isMessage { finish() }
        if exchange.request != nil, !framing.isPerRequest { course.endInput(at: now) }
    }

    mutating func finish() {
        handOver.drop()
        seemsToWait = false
        exchange.finish()
        course.steps.append(.finished)
    }

    // MARK: What the client says

    mutating func submit(_ id: UInt32, _ bytes: ArraySlice<UInt8>, at now: Instant) {
        exchange.begin(id, at: now)
        guard course.life != .over else {
            course.departure?.at = now + ProgramCourse.departureTime
            return failed(course.absence)
        }
        guard let framed = framing.frame(bytes) else { return failed(framing.newlineFailure) }
        if framing.isPerRequest {
            course.input.begin(framed)
            course.steps.append(.start(request: id))
        } else if course.input.isBroken {
            course.endInput(at: now)
        } else {
            handOver.hold(framed, at: now)
        }
    }

    // MARK: The hand-over of a request

    var mayHandOver: Bool {
        handOver.request != nil && course.life == .running && course.wantsOutput && !course.input.isBroken
    }
    var isHandOverFresh: Bool { handOver.isFresh }

    mutating func allowsHandOver(_ seen: ProgramHandOver.Sight, at now: Instant) -> Bool {
        guard mayHandOver else { return false }
        if seen == .waits { course.hasComeBack() }
        return handOver.allows(seen, at: now)
    }

    mutating func handOverRequest(at now: Instant) {
        if let rest = output.takeUnfinishedLine() { course.steps.append(.message(rest)) }
        hasBegunUnasked = output.hasBegun
        if let request = handOver.take(at: now) { course.input.append(request) }
    }

    func isInDoubt(at now: Instant) -> Bool {
        exchange.unanswered != nil && course.steps.isEmpty && !framing.isPerRequest
            && (exchange.overrun(at: now) != nil || handOver.doubt.map { $0 <= now } ?? false)
    }

    /// A program that waits for more, and has not answered, may keep its answer in a buffer: the log says so once, and
    /// the failure of each request that gets no answer.
    mutating func doubted(_ seen: ProgramHandOver.Sight) {
        let isNews = handOver.endDoubt(seen)
        seemsToWait = seen == .waits
        guard seemsToWait else { return }
        if isNews { course.steps.append(.log(.waits(request: exchange.unanswered, hint: framing.flushHint))) }
    }

    @discardableResult
    mutating func submit(message: ArraySlice<UInt8>, at now: Instant) -> Bool {
        exchange.beginMessage()
        let isGiven = framing.isPerRequest ? false : course.give(message, framing.frame(message), at: now)
        if framing.isPerRequest { course.discard(.messageForRequests) }
        if course.input.hasRoom { finish() }
        return isGiven
    }

    mutating func cancel(_ id: UInt32, at now: Instant) {
        guard exchange.unanswered == id else { return }
        exchange.cancel()
        guard handOver.request == nil else { return finish() }
        guard framing.isPerRequest else { return }
        exchange.stopClock()
        course.terminate(at: now)
    }

    mutating func closed(at now: Instant, patience: Duration) {
        handOver.drop()
        exchange.stopClock()
        exchange.cancel()
        if framing.isPerRequest { course.terminate(at: now) }
        course.close(at: now, patience: patience)
    }

    // MARK: What the program says

    mutating func received(_ bytes: ArraySlice<UInt8>, unread: Int = 0, at now: Instant) {
        guard !course.isClosed else { return }
        guard !framing.isPerRequest else { return pass(bytes, at: now) }
        output.append(bytes)
        while let item = output.next() {
            let answersNothing =
                exchange.request == nil || hasBegunUnasked
                || handOver.isUntaken(unread: unread + course.input.unwritten.count)
            hasBegunUnasked = false
            switch item {
            case .message(let message):
                if answersNothing { course.steps.append(.message(message)) } else { answer(message) }
            case .tooLong(_):
                if answersNothing { course.discard(.tooLong) } else { failed(tooLarge) }
            case .broken(let length):
                breakOff("the program announced a message of \(length) bytes, which must be something else", at: now)
            }
        }
    }

    private var tooLarge: Failure { .tooLarge(mostAccepted) }

    mutating func answer(_ message: [UInt8]) {
        course.hasAnswered = true
        if let id = exchange.unanswered { course.steps.append(.answer(id, message)) }
        finish()
    }

    /// Passes on what a program for one request writes: that is its answer, piece by piece.
    private mutating func pass(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        guard let id = exchange.unanswered else { return }
        guard exchange.sent + bytes.count <= Int(mostAccepted) else {
            course.steps.append(.fail(id, tooLarge))
            return cancel(id, at: now)
        }
        exchange.passed(bytes.count)
        course.steps.append(.part(id, Array(bytes), isLast: false))
    }

    mutating func outputEnded(at now: Instant) {
        course.outputHasEnded = true
        // A program that can say nothing any more is of no use to a connection, though it may finish what it does.
        if course.life == .running, !framing.isPerRequest { course.endInput(at: now) }
        conclude(at: now)
    }

    // MARK: Its life

    mutating func started(at now: Instant) {
        course.started()
        // Its request may have been cancelled while the client had no room for the answer before it.
        if exchange.request != nil, exchange.unanswered == nil { course.terminate(at: now) }
    }

    mutating func startFailed(_ text: String, at now: Instant) {
        course.absence = Failure(.handlerFailed, "the program cannot be started: \(text)")
        course.input.drop()
        failed(course.absence)
        if !framing.isPerRequest { course.leave(course.absence.text, isBroken: true, at: now) }
    }

    mutating func endLateRequests(at now: Instant) {
        guard let timeout = exchange.overrun(at: now) else { return }
        // A program whose output waits for a slow client is not to blame.
        if course.steps.isEmpty { isLate(framing.lateText(timeout, seemsToWait: seemsToWait), at: now) }
        exchange.restartClock(at: now)
    }

    private mutating func isLate(_ text: String, at now: Instant) {
        guard framing.isPerRequest, let id = exchange.request else { return breakOff(text, at: now) }
        course.steps.append(.fail(id, Failure(.handlerFailed, text)))
        cancel(id, at: now)
    }

    /// Ends the program and the connection, which are out of step.
    private mutating func breakOff(_ text: String, at now: Instant) {
        if exchange.request != nil { failed(Failure(.handlerFailed, text)) }
        course.terminate(at: now)
        course.close(text)
    }

    /// The request has an ending without a response, and the next may come.
    mutating func failed(_ failure: Failure) {
        if let id = exchange.unanswered { course.steps.append(.fail(id, failure)) }
        if !exchange.isNone { finish() }
    }
}
