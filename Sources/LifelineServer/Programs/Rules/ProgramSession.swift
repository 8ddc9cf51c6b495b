import Basics
import Framing

/// What a connection and its program say to each other, and how the program ends: requests, bytes, ends and instants
/// in; bytes for its standard input, and the steps that the loop takes one by one, out.
///
/// It is given one request or message at a time, the next when it has finished the one before, so that it is always
/// known which request an answer is for, and which of them a program died of.
struct ProgramSession {
    /// What the loop has to carry out, in this order.
    enum Step: Equatable {
        /// Start the program; for this request, where each has one of its own.
        case start(request: UInt32?)
        case end(ProgramTermination.Step)
        case answer(UInt32, [UInt8])
        case part(UInt32, [UInt8], isLast: Bool)
        case fail(UInt32, Failure)
        case message([UInt8])
        /// The next request or message can be taken.
        case finished
        /// There is no program any more: what is unanswered stays so, and the connection is closed.
        case close(CloseCause)
        case log(Note)
    }

    enum Note: Equatable {
        /// A line of its standard error.
        case line(ProgramStderr.Line)
        /// `skipped` lines of its standard error were not logged.
        case ended(ProgramExit, request: UInt32?, wasAsked: Bool, skipped: UInt64)
        /// Something that nobody gets.
        case discarded(Discard)
    }

    /// What nobody gets, and why.
    enum Discard: String, Equatable, Sendable {
        case messageForRequests = "a one-way message: a program for each request takes none"
        case messageUnread = "a one-way message that the program does not read"
        case messageWithNewline = "a one-way message with a newline: a line cannot carry it"
        case tooLong = "output that is longer than the client accepts"
        case outputUnwanted = "output that answers nothing: the client does not take it"
    }

    /// What the program has been given, or is being given.
    private enum Current: Equatable {
        case none
        /// A message, until it waits no more to be written.
        case message
        /// `hasEnding` once nobody waits for the answer; `sent` bytes of it have been passed on.
        case request(UInt32, hasEnding: Bool, sent: Int)
    }

    private enum Life: Equatable {
        case none, running
        /// What it has written, and what it has left behind, is yet to be seen to.
        case exited(ProgramExit)
        /// There is no program, and none will be started.
        case over
    }

    /// While more than this waits to be written, no message is taken.
    private static let mostUnwritten = 65536

    private let framing: ProgramFraming
    private let grace: Duration
    private let timeout: Duration?
    /// The longest message that the client accepts.
    private let mostAccepted: UInt32
    private var life = Life.none
    private var ending: ProgramTermination
    private var output: ProgramOutput
    private var errors = ProgramStderr()
    private var current = Current.none
    /// When the answer is late.
    private var late: Instant?
    private var input: [UInt8] = []
    private var written = 0
    private var inputEnds = false
    private var inputIsBroken = false
    private var isClosed = false
    /// Whether nothing of what the program started is left, or that is given up: nobody writes to its output any more.
    private(set) var isCollected = false
    /// Why there is no program, for the requests that still come.
    private var absence = Failure(.refused, "the program has ended")

    /// What the loop has to carry out next. It may leave a step where it is until the connection has room for it;
    /// meanwhile the program's output is not read.
    private(set) var steps: [Step] = []
    private(set) var outputHasEnded = false
    private(set) var errorsHaveEnded = false

    /// `grace` is how long a program may take to leave by itself, at each step of its end; `timeout` how long it may
    /// take for an answer; `mostAccepted` the client's max_message.
    init(_ framing: ProgramFraming, grace: Duration, timeout: Duration? = nil, mostAccepted: UInt32) {
        self.framing = framing
        self.grace = grace
        self.timeout = timeout
        self.mostAccepted = mostAccepted
        ending = ProgramTermination(grace: grace)
        output = ProgramOutput(framing, most: mostAccepted)
        if !framing.isPerRequest { steps.append(.start(request: nil)) }
        steps.append(.finished)
    }

    /// Whether no program runs and none will be started.
    var isOver: Bool { life == .over && steps.isEmpty }
    var deadline: Instant? { earlier(ending.deadline, late) }

    mutating func takeStep() -> Step? { steps.isEmpty ? nil : steps.removeFirst() }

    /// Whether the program's output may be read: all that it said before has been carried out.
    var wantsOutput: Bool { !outputHasEnded && steps.isEmpty }

    // MARK: Its standard input

    /// What is to be written to it next.
    var unwritten: ArraySlice<UInt8> { input[written...] }
    /// Whether it ends here.
    var inputIsOver: Bool { inputIsBroken || inputEnds && unwritten.isEmpty }

    mutating func wrote(_ count: Int) {
        written += count
        if written == input.count {
            dropInput()
        } else if written >= ProgramSession.mostUnwritten {
            input.removeFirst(written)
            written = 0
        }
        if current == .message, unwritten.count < ProgramSession.mostUnwritten { finish() }
    }

    /// It has closed its standard input. Whoever does not read can answer no more, but may finish what it has read.
    mutating func inputBroke(at now: Instant) {
        inputIsBroken = true
        dropInput()
        if current == .message { finish() }
        if case .request = current, !framing.isPerRequest { endInput(at: now) }
    }

    private mutating func dropInput() {
        input.removeAll(keepingCapacity: input.capacity <= ProgramSession.mostUnwritten)
        written = 0
    }

    private mutating func finish() {
        current = .none
        late = nil
        steps.append(.finished)
    }

    // MARK: What the client says

    mutating func take(_ id: UInt32, _ bytes: ArraySlice<UInt8>, at now: Instant) {
        current = .request(id, hasEnding: false, sent: 0)
        late = timeout.map { now + $0 }
        guard life != .over else { return failed(absence) }
        guard let framed = framing.frame(bytes) else {
            let text = "a line carries no newline: this request needs a server with --exec-framing length"
            return failed(Failure(.handlerFailed, text))
        }
        if framing.isPerRequest {
            input = framed
            inputEnds = true
            steps.append(.start(request: id))
        } else if inputIsBroken {
            endInput(at: now)
        } else {
            input += framed
        }
    }

    mutating func take(message: ArraySlice<UInt8>, at now: Instant) {
        current = .message
        if framing.isPerRequest {
            discard(.messageForRequests)
        } else if life == .over || inputIsBroken {
            discard(.messageUnread)
        } else if let framed = framing.frame(message) {
            input += framed
        } else {
            discard(.messageWithNewline)
        }
        if unwritten.count < ProgramSession.mostUnwritten { finish() }
    }

    /// Nobody waits for the answer to the request `id` any more.
    mutating func cancel(_ id: UInt32, at now: Instant) {
        guard case .request(id, false, let sent) = current else { return }
        current = .request(id, hasEnding: true, sent: sent)
        guard framing.isPerRequest else { return }
        late = nil
        terminate(at: now)
    }

    /// The connection is over: nobody hears anything any more.
    mutating func closed(at now: Instant) {
        isClosed = true
        late = nil
        if case .request(let id, _, let sent) = current { current = .request(id, hasEnding: true, sent: sent) }
        steps.removeAll { step in
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

    mutating func received(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        guard !isClosed else { return }
        guard !framing.isPerRequest else { return pass(bytes, at: now) }
        output.append(bytes)
        while let item = output.next() {
            switch item {
            case .message(let message): answer(message, at: now)
            case .tooLong:
                if case .request = current {
                    failed(tooLarge)
                } else {
                    discard(.tooLong)
                }
            case .broken(let length):
                giveUp("the program announced a message of \(length) bytes, which must be something else", at: now)
            }
        }
    }

    private var tooLarge: Failure {
        Failure(.messageTooLarge, "the response has more than the \(mostAccepted) bytes that are accepted")
    }

    private mutating func answer(_ message: [UInt8], at now: Instant) {
        guard case .request(let id, let hasEnding, _) = current else { return steps.append(.message(message)) }
        if !hasEnding { steps.append(.answer(id, message)) }
        finish()
    }

    /// What a program of a request's own writes is its answer, piece by piece.
    private mutating func pass(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        guard case .request(let id, false, let sent) = current else { return }
        guard sent + bytes.count <= Int(mostAccepted) else {
            steps.append(.fail(id, tooLarge))
            return cancel(id, at: now)
        }
        current = .request(id, hasEnding: false, sent: sent + bytes.count)
        steps.append(.part(id, Array(bytes), isLast: false))
    }

    /// What the program said unasked found no room with the client, and will find none.
    mutating func messageWasRefused() {
        discard(.outputUnwanted)
    }

    mutating func outputEnded(at now: Instant) {
        outputHasEnded = true
        // A program that can say nothing any more is of no use to a connection, though it may finish what it does.
        if life == .running, !framing.isPerRequest { endInput(at: now) }
        conclude(at: now)
    }

    mutating func complained(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        steps += errors.append(bytes, at: now).map { .log(.line($0)) }
    }

    mutating func complaintsEnded(at now: Instant) {
        errorsHaveEnded = true
        if let line = errors.end(at: now) { steps.append(.log(.line(line))) }
        conclude(at: now)
    }

    // MARK: Its life

    mutating func started(at now: Instant) {
        life = .running
        ending = ProgramTermination(grace: grace)
        errors.restart()
        outputHasEnded = false
        errorsHaveEnded = false
        isCollected = false
        inputIsBroken = false
        // Its request may have been cancelled while the client had no room for the answer before it.
        if case .request(_, true, _) = current { terminate(at: now) }
    }

    mutating func startFailed(_ text: String) {
        absence = Failure(.handlerFailed, "the program cannot be started: \(text)")
        dropInput()
        if case .request = current { failed(absence) }
        if !framing.isPerRequest { leave(absence.text) }
    }

    /// It is gone, and its group with it; `collected` follows when nothing of what it started is left either.
    mutating func exited(_ exit: ProgramExit, at now: Instant) {
        life = .exited(exit)
        ending.exited(at: now)
        inputIsBroken = true
        dropInput()
    }

    mutating func collected(at now: Instant) {
        isCollected = true
        ending.collected()
        conclude(at: now)
    }

    mutating func woke(at now: Instant) {
        if let timeout, let late, late <= now {
            // A program whose words wait for a slow client is not to blame.
            if steps.isEmpty { isLate("no answer within \(timeout / .seconds(1)) seconds", at: now) }
            if self.late != nil { self.late = now + timeout }
        }
        switch ending.woke(at: now) {
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
        guard framing.isPerRequest, case .request(let id, _, _) = current else { return giveUp(text, at: now) }
        steps.append(.fail(id, Failure(.handlerFailed, text)))
        cancel(id, at: now)
    }

    private mutating func endInput(at now: Instant) {
        if ending.endInput(at: now) != nil { inputEnds = true }
    }

    private mutating func terminate(at now: Instant) {
        if life == .running, ending.terminate(at: now) != nil { terminated() }
    }

    private mutating func terminated() {
        inputEnds = true
        dropInput()
        steps.append(.end(.terminate))
    }

    /// What is between a connection and its program is out of step: both end.
    private mutating func giveUp(_ text: String, at now: Instant) {
        if case .request = current { failed(Failure(.handlerFailed, text)) }
        terminate(at: now)
        close(text)
    }

    /// Everything of the program has been seen: its request gets its ending.
    private mutating func conclude(at now: Instant) {
        guard case .exited(let exit) = life, outputHasEnded, errorsHaveEnded, isCollected else { return }
        var id: UInt32?
        if case .request(let request, false, _) = current { id = request }
        let wasAsked = isClosed || ending.wasTerminated
        steps.append(.log(.ended(exit, request: id, wasAsked: wasAsked, skipped: errors.skipped)))
        ending = ProgramTermination(grace: grace)
        let isHalf = !framing.isPerRequest && output.isInside
        let account = "the program \(exit)" + (isHalf ? " in the middle of a \(framing.unit)" : "")
        let isClean = exit == .status(0) && !isHalf && (id == nil || framing.isPerRequest)
        if let id, isClean {
            steps.append(.part(id, [], isLast: true))
        } else if id != nil {
            let silence = exit == .status(0) && !isHalf ? " and did not answer" : ""
            let tail = errors.tail.isEmpty ? "" : ": \(errors.tail)"
            failed(Failure(.handlerFailed, account + silence + tail))
        }
        if current != .none { finish() }
        if isClosed {
            life = .over
        } else if framing.isPerRequest, exit != .hung {
            life = .none
        } else {
            leave(isClean ? nil : account)
        }
    }

    /// The request has an ending without a response, and the next may come.
    private mutating func failed(_ failure: Failure) {
        if case .request(let id, false, _) = current { steps.append(.fail(id, failure)) }
        finish()
    }

    private mutating func leave(_ reason: String?) {
        life = .over
        close(reason)
    }

    /// With a reason where something is wrong.
    private mutating func close(_ reason: String?) {
        steps.append(
            .close(reason.map { CloseCause(.handlerFailed, $0) } ?? CloseCause(.normal, "the program has ended")))
    }

    private mutating func discard(_ what: Discard) {
        if !isClosed { steps.append(.log(.discarded(what))) }
    }
}
