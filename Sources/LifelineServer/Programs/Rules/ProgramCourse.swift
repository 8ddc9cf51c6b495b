import Basics
import Framing

/// What every dialogue with a program has: its process and how that ends, its standard input and error, and the steps
/// that the loop carries out.
struct ProgramCourse {
    enum Life: Equatable {
        case none, running
        /// What it has written is yet to be read, and what it has left behind to be killed.
        case exited(ProgramExit)
        /// There is no program, and none will be started.
        case over
    }

    let grace: Duration
    var life = Life.none
    var termination: ProgramTermination
    var input = ProgramInput()
    var stderr = ProgramStderr()
    /// What the loop has to carry out next. A step stays until the connection has room for it, and meanwhile the
    /// program's output is not read.
    var steps = Queue<ProgramStep>()
    var hasAnswered = false
    var isClosed = false
    var outputHasEnded = false
    var stderrHasEnded = false
    /// Whether no process that the program started is left, or none is waited for: its output gets no more bytes.
    var isCollected = false
    /// How many bytes of its input a program that has exited had not read.
    var left = 0
    /// The close that follows a program that has read no request, once none has come for a while.
    var departure: (at: Instant, reason: String?)?
    /// How long requests are failed where the program has read none. If the connection were closed at once, the client
    /// would bring them again, for ever.
    static let departureTime = Duration.seconds(2)
    /// Why there is no program, for the requests that still come.
    var absence = Failure(.refused, "the program has ended")

    /// Whether somebody waits to hear how many messages the program has read.
    var tellsMessagesRead = false
    /// Whether the program may still work on a message: it had one, and was not seen to wait for its input since.
    private var mayWork = false
    private var looks: ReadingLooks?
    /// While the program comes to the end of its input: when it has to have done so.
    private var patienceEnds: Instant?

    init(grace: Duration) {
        self.grace = grace
        termination = ProgramTermination(grace: grace)
    }

    var deadline: Instant? {
        let own = earlier(termination.deadline, departure?.at)
        return isWatching ? earlier(own, looks?.next) : own
    }

    /// Whether the program's output may be read: all that it said before has been carried out.
    var wantsOutput: Bool { !outputHasEnded && steps.isEmpty }

    // MARK: What it reads

    /// Gives the program a one-way message, as its framing has it; nil where that cannot carry it. Returns whether the
    /// program gets it.
    mutating func give(_ message: ArraySlice<UInt8>, _ framed: [UInt8]?, at now: Instant) -> Bool {
        guard life != .over, !input.isBroken, let framed else {
            discard(framed == nil ? .messageWithNewline : .messageUnread)
            return false
        }
        input.append(message: framed, cost: Credit.cost(of: message.count))
        mayWork = true
        if looks == nil { looks = ReadingLooks(at: now) }
        return true
    }

    private var isWatching: Bool {
        life == .running && (patienceEnds != nil || tellsMessagesRead && input.awaitsProgram)
    }

    /// The connection ends as soon as the program has read its messages.
    mutating func hastenLooks(at now: Instant) { looks?.hasten(at: now) }

    /// Whether it is time to look how much the program has read.
    func isLookDue(at now: Instant) -> Bool { isWatching && looks.map { $0.next <= now } ?? false }

    /// Takes what was seen of the program: `unread` bytes are in the pipe, and `sight` is what it does.
    mutating func looked(unread: Int?, _ sight: ProgramHandOver.Sight, at now: Instant) {
        let before = input.readTo
        if let unread { input.look(unread: unread) }
        let hasRead = input.readTo > before
        looks?.looked(hasRead: hasRead, at: now)
        if sight != .busy, !input.hasUnread { hasComeBack() }
        guard let patienceEnds else {
            if !input.awaitsProgram { looks = nil }
            return
        }
        if !input.hasUnread, sight != .busy {
            // It reads the end of its input next.
            (self.patienceEnds, input.isHeld) = (nil, false)
            termination.extend(until: now + grace)
        } else if hasRead || !input.hasUnread {
            termination.extend(until: min(now + grace, patienceEnds))
        }
    }

    /// The program was seen to wait for its input, of which it has read all, or the kernel does not tell.
    mutating func hasComeBack() {
        mayWork = false
        input.cameBack()
    }

    // MARK: What it says

    mutating func receivedStderr(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        for line in stderr.append(bytes, at: now) { steps.append(.log(.line(line))) }
    }

    mutating func discard(_ what: ProgramStep.Discard) {
        if !isClosed { steps.append(.log(.discarded(what))) }
    }

    // MARK: Its life

    mutating func started() {
        life = .running
        termination = ProgramTermination(grace: grace)
        stderr.restart()
        outputHasEnded = false
        stderrHasEnded = false
        isCollected = false
        input.started()
    }

    /// The program is gone; `unread` bytes of its input were never read, or nobody knows how many.
    mutating func exited(_ exit: ProgramExit, unread: Int?, at now: Instant) {
        life = .exited(exit)
        if let unread { input.look(unread: unread) }
        left = input.left(unread: unread ?? 0)
        termination.exited(at: now)
        if exit == .status(0) { input.cameBack() }
        input.broke(isGone: true)
        (looks, patienceEnds) = (nil, nil)
    }

    mutating func collected() {
        isCollected = true
        termination.collected()
    }

    mutating func resumed(at now: Instant) {
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
            if life == .running { exited(.hung, unread: nil, at: now) }
            collected()
        }
    }

    // MARK: Its end

    /// The connection is over: the input of the program ends behind what came, and what it says is said to nobody.
    ///
    /// It may finish: while it reads, or works on a message, its grace does not run, for up to `patience` and no less than
    /// the grace.
    mutating func close(at now: Instant, patience: Duration) {
        isClosed = true
        departure = nil
        _ = steps.remove { step in
            switch step {
            case .end, .log, .finished: false
            default: true
            }
        }
        if life == .none { life = .over }
        guard life == .running else { return }
        if mayWork, termination.deadline == nil {
            input.isHeld = true
            patienceEnds = now + max(patience - grace, grace)
            looks = ReadingLooks(at: now)
            hastenLooks(at: now)
        }
        endInput(at: now)
    }

    mutating func endInput(at now: Instant) {
        if termination.endInput(at: now) != nil { input.finish() }
    }

    mutating func terminate(at now: Instant) {
        if life == .running, termination.terminate(at: now) != nil { terminated() }
    }

    private mutating func terminated() {
        input.finish()
        input.drop()
        (input.isHeld, patienceEnds) = (false, nil)
        steps.append(.end(.terminate))
    }

    /// How it ended, once all that it left has been read, and nothing is concluded from that yet.
    var exit: ProgramExit? {
        guard case .exited(let exit) = life, outputHasEnded, stderrHasEnded, isCollected else { return nil }
        return exit
    }

    /// Logs its end. It is no news where this side wanted it, or where it `isExpected`.
    mutating func logEnd(_ exit: ProgramExit, request: UInt32?, isExpected: Bool) {
        let wasAsked = isClosed || termination.wasTerminated
        steps.append(
            .log(.ended(exit, request: request, isExpected: wasAsked || isExpected, skipped: stderr.skipped)))
        termination = ProgramTermination(grace: grace)
    }

    /// The failure of a request that died with the program, with the end of its standard error.
    func failure(_ account: String) -> Failure {
        Failure(.handlerFailed, account + (stderr.tail.isEmpty ? "" : ": \(stderr.tail)"))
    }

    /// There is no program any more, and the connection ends: at once, so that the client comes back to another, unless
    /// the next would be as broken.
    mutating func leave(_ reason: String?, isBroken: Bool, at now: Instant) {
        life = .over
        if isBroken { departure = (now + ProgramCourse.departureTime, reason) } else { close(reason) }
    }

    /// Closes the connection, with a reason where something is wrong.
    mutating func close(_ reason: String?) {
        steps.append(
            .close(reason.map { CloseCause(.handlerFailed, $0) } ?? CloseCause(.normal, "the program has ended")))
    }
}
