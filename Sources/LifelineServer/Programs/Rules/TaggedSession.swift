import Basics
import Framing

/// The dialogue with a program that says of each line, or of each message with a length, what it is (`TaggedRecord`).
///
/// Requests do not wait for each other: the program gets each at once, as long as its input takes them, and answers in any
/// order. What it says unasked is a message because it says so.
struct TaggedSession: ProgramDialogue {
    let framing: ProgramFraming
    /// The longest message that the client accepts.
    let mostAccepted: UInt32
    private let timeout: Duration?
    var course: ProgramCourse
    var output: ProgramOutput
    var requests = TaggedRequests()
    var asks = TaggedAsks()
    /// Whether the last request or message fills the input, so that no other is taken.
    private(set) var awaitsRoom = false
    /// Whether the program was seen to wait for more input, and has said nothing since.
    private var seemsToWait = false
    /// The request because of which the program was looked at last, and whether it was ever seen to wait then.
    private var doubtedRequest: UInt32 = 0
    private var hasDoubted = false
    /// Whether what the program says is not believed any more.
    private(set) var isOutOfStep = false

    /// A session whose program is not started yet.
    ///
    /// - Parameters:
    ///   - framing: One that `isTagged`.
    ///   - grace: How long the program may take to leave by itself, at each step of its end.
    ///   - timeout: How long it may take for an answer; nil for any time.
    ///   - mostAccepted: The client's max_message.
    init(_ framing: ProgramFraming, grace: Duration, timeout: Duration? = nil, mostAccepted: UInt32) {
        self.framing = framing
        self.mostAccepted = mostAccepted
        self.timeout = timeout
        course = ProgramCourse(grace: grace)
        output = ProgramOutput(framing, most: mostAccepted)
        course.steps.append(.start(request: nil))
        course.steps.append(.finished)
    }

    var isWorking: Bool { !requests.isEmpty }
    var deadline: Instant? {
        guard let oldest = requests.oldest, course.life == .running else { return course.deadline }
        let own = earlier(course.deadline, timeout.map { oldest.since + $0 })
        return course.steps.isEmpty ? earlier(own, doubt) : own
    }

    // MARK: Its standard input

    mutating func wrote(_ count: Int) {
        course.input.wrote(count)
        finishIfThereIsRoom()
    }

    private mutating func finishIfThereIsRoom() {
        guard awaitsRoom, course.input.hasRoom else { return }
        finish()
    }

    /// The next request or message can be taken.
    mutating func finish() {
        awaitsRoom = false
        course.steps.append(.finished)
    }

    mutating func inputBroke(at now: Instant) {
        course.input.broke()
        finishIfThereIsRoom()
        if !requests.isEmpty { course.endInput(at: now) }
    }

    // MARK: What the client says

    mutating func submit(_ id: UInt32, _ bytes: ArraySlice<UInt8>, at now: Instant) {
        awaitsRoom = true
        guard course.life != .over else {
            course.departure?.at = now + ProgramCourse.departureTime
            course.steps.append(.fail(id, course.absence))
            return finish()
        }
        guard let framed = framing.frame(bytes, behind: "request \(id) ") else {
            course.steps.append(.fail(id, framing.newlineFailure))
            return finish()
        }
        let start = course.input.end
        guard !course.input.isBroken else {
            // It is refused when the program is gone, and so are those that wait behind it.
            requests.add(id, from: start, to: start, at: now)
            return course.endInput(at: now)
        }
        course.input.append(framed)
        requests.add(id, from: start, to: course.input.end, at: now)
        finishIfThereIsRoom()
    }

    @discardableResult
    mutating func submit(message: ArraySlice<UInt8>, at now: Instant) -> Bool {
        awaitsRoom = true
        defer { finishIfThereIsRoom() }
        return course.give(message, framing.frame(message, behind: "message "), at: now)
    }

    mutating func cancel(_ id: UInt32, at now: Instant) {
        if requests.remove(id, isProgress: false, at: now) != nil { tellCancelled(id) }
    }

    private mutating func tellCancelled(_ id: UInt32) {
        guard course.life == .running, !course.input.isBroken, let line = framing.frame([], behind: "cancel \(id)")
        else { return }
        course.input.append(line)
    }

    mutating func closed(at now: Instant, patience: Duration) {
        _ = requests.removeAll()
        course.close(at: now, patience: patience)
    }

    // MARK: A request without an answer

    /// When to look why there is no answer to the oldest request; nil where that is not due.
    private var doubt: Instant? {
        guard let oldest = requests.oldest, oldest.id != doubtedRequest else { return nil }
        return oldest.since + ProgramHandOver.doubtTime(timeout)
    }

    func isInDoubt(at now: Instant) -> Bool {
        course.life == .running && course.steps.isEmpty && (isLate(at: now) || doubt.map { $0 <= now } ?? false)
    }

    mutating func doubted(_ seen: ProgramHandOver.Sight) {
        doubtedRequest = requests.oldest?.id ?? 0
        // One that waits for the client's answer has a reason to wait.
        seemsToWait = seen == .waits && asks.isEmpty
        guard seemsToWait else { return }
        if !hasDoubted { course.steps.append(.log(.waits(request: doubtedRequest, hint: framing.flushHint))) }
        hasDoubted = true
    }

    func isLookDue(at now: Instant) -> Bool { course.isLookDue(at: now) || isLate(at: now) }

    private func isLate(at now: Instant) -> Bool {
        guard let timeout, let oldest = requests.oldest, course.life == .running else { return false }
        return oldest.since + timeout <= now
    }

    mutating func endLateRequests(at now: Instant) {
        guard let timeout, isLate(at: now) else { return }
        // A program whose output waits for a slow client is not to blame.
        guard course.steps.isEmpty else { return requests.restartClocks(at: now) }
        while isLate(at: now), let oldest = requests.oldest {
            let text = framing.lateText(timeout, seemsToWait: seemsToWait)
            guard oldest.end <= course.input.readTo else { return breakOff("\(text): it does not read", at: now) }
            _ = requests.remove(oldest.id, isProgress: false, at: now)
            course.steps.append(.fail(oldest.id, Failure(.handlerFailed, text)))
            tellCancelled(oldest.id)
        }
    }

    // MARK: What the program says

    mutating func received(_ bytes: ArraySlice<UInt8>, unread: Int = 0, at now: Instant) {
        guard !course.isClosed, !isOutOfStep else { return }
        seemsToWait = false
        output.append(bytes)
        while !isOutOfStep, let item = output.next() {
            switch item {
            case .message(let message): take(message[...], at: now)
            case .tooLong(let beginning): takeTooLong(beginning[...], at: now)
            case .broken(let length):
                breakOff("the program announced a message of \(length) bytes, which must be something else", at: now)
            }
        }
    }

    mutating func take(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        switch TaggedRecord(bytes) {
        case .message(let text):
            if text.count > mostAccepted {
                course.discard(.tooLong)
            } else {
                course.steps.append(.message(Array(text)))
            }
        case .answer(let id, let text):
            guard let request = takeOut(id, at: now) else { return }
            guard request.parts == nil else {
                return fail(id, Failure(.handlerFailed, "the program wrote 'part' and then 'answer' for one request"))
            }
            guard text.count <= mostAccepted else { return fail(id, .tooLarge(mostAccepted)) }
            course.steps.append(.answer(id, Array(text)))
        case .part(let id, let text):
            guard owes(id, at: now) else { return }
            let separator: [UInt8] = framing.isLines ? [0x0A] : []
            guard !requests.add(part: text, separator: separator, to: id, most: Int(mostAccepted)) else { return }
            if takeOut(id, at: now) != nil { fail(id, .tooLarge(mostAccepted)) }
            tellCancelled(id)
        case .end(let id):
            if let request = takeOut(id, at: now) { course.steps.append(.answer(id, request.parts ?? [])) }
        case .fail(let id, let text):
            if takeOut(id, at: now) != nil { fail(id, text) }
        case .ask(let name, let text): ask(name, text, at: now)
        case .wrong(let why): breakOff("the program wrote \(TaggedRecord.quote(bytes)), \(why)", at: now)
        }
    }

    /// Takes the beginning of what is longer than the client accepts.
    private mutating func takeTooLong(_ beginning: ArraySlice<UInt8>, at now: Instant) {
        switch TaggedRecord(beginning) {
        case .message: course.discard(.tooLong)
        case .answer(let id, _): if takeOut(id, at: now) != nil { fail(id, .tooLarge(mostAccepted)) }
        case .part(let id, _):
            if takeOut(id, at: now) != nil {
                fail(id, .tooLarge(mostAccepted))
                tellCancelled(id)
            }
        case .fail(let id, let text): if takeOut(id, at: now) != nil { fail(id, text) }
        case .ask(let name, let text): ask(name, text, at: now)
        case .end: breakOff("the program wrote a long text behind 'end' and a number", at: now)
        case .wrong(let why): breakOff("the program wrote \(TaggedRecord.quote(beginning)), \(why)", at: now)
        }
    }

    /// Whether the program owes an answer to the request `id`. An answer that comes too late is no fault; one to what was
    /// never asked is.
    private mutating func owes(_ id: UInt32, at now: Instant) -> Bool {
        if requests.contains(id) { return true }
        if id > requests.highest {
            breakOff("the program answered the request \(id), which it was not given", at: now)
        } else {
            course.discard(.answerUnwanted)
        }
        return false
    }

    /// Takes out the request `id`, whose ending the program has said.
    private mutating func takeOut(_ id: UInt32, at now: Instant) -> TaggedRequests.Given? {
        guard owes(id, at: now) else { return nil }
        course.hasAnswered = true
        return requests.remove(id, isProgress: true, at: now)
    }

    private mutating func fail(_ id: UInt32, _ text: ArraySlice<UInt8>) {
        let words = String(decoding: text, as: UTF8.self)
        fail(id, Failure(.handlerFailed, words.isEmpty ? "the program has failed the request" : words))
    }

    mutating func fail(_ id: UInt32, _ failure: Failure) { course.steps.append(.fail(id, failure)) }

    mutating func outputEnded(at now: Instant) {
        course.outputHasEnded = true
        // A program that can say nothing any more is of no use to a connection, though it may finish what it does.
        if course.life == .running { course.endInput(at: now) }
        conclude(at: now)
    }

    // MARK: Its life

    mutating func started(at now: Instant) { course.started() }

    mutating func startFailed(_ text: String, at now: Instant) {
        course.absence = Failure(.handlerFailed, "the program cannot be started: \(text)")
        course.leave(course.absence.text, isBroken: true, at: now)
    }

    /// Ends the program and the connection, which are out of step. What was not written yet reaches no program.
    mutating func breakOff(_ text: String, at now: Instant) {
        isOutOfStep = true
        let written = course.input.end - course.input.unwritten.count
        for request in requests.removeAll() {
            let isUntouched = request.start >= written
            fail(request.id, isUntouched ? Failure(.refused, "the program has ended") : Failure(.handlerFailed, text))
        }
        course.terminate(at: now)
        course.close(text)
        finishIfThereIsRoom()
    }
}

// It needs no hand-over: an answer says what it answers.
extension TaggedSession {
    var mayHandOver: Bool { false }
    var isHandOverFresh: Bool { false }
    mutating func allowsHandOver(_ seen: ProgramHandOver.Sight, at now: Instant) -> Bool { false }
    mutating func handOverRequest(at now: Instant) {}
}
