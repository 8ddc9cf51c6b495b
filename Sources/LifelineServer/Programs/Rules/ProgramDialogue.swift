import Basics
import Framing

/// The state machine between a connection and its program: requests, output, ends and instants in; bytes for standard
/// input, and steps that the loop carries out one by one, out.
protocol ProgramDialogue {
    var course: ProgramCourse { get set }
    /// Whether the program has requests, although it can be given more.
    var isWorking: Bool { get }
    /// When it has to be resumed at the latest; nil for never.
    var deadline: Instant? { get }

    // MARK: What the client says

    mutating func submit(_ id: UInt32, _ bytes: ArraySlice<UInt8>, at now: Instant)
    /// Returns whether the program gets it.
    mutating func submit(message: ArraySlice<UInt8>, at now: Instant) -> Bool
    /// No answer to the request `id` is awaited any more.
    mutating func cancel(_ id: UInt32, at now: Instant)
    /// The connection is over: what the program says reaches no client any more. It may work on what came, for up to
    /// `patience`.
    mutating func closed(at now: Instant, patience: Duration)

    /// What the program has asked has its outcome.
    mutating func asked(_ token: UInt64, _ outcome: ServerRequests.AskOutcome, at now: Instant)

    // MARK: Its standard input

    mutating func wrote(_ count: Int)
    /// It has closed its standard input. A program that does not read can answer no more, but may finish what it has
    /// read.
    mutating func inputBroke(at now: Instant)

    // MARK: The hand-over of a request

    /// Whether a request waits for the program, and all that it said before has been carried out.
    var mayHandOver: Bool { get }
    var isHandOverFresh: Bool { get }
    /// Whether the program may have the request, by what was `seen` of it now. The caller reads all that it has written
    /// by then, and calls `handOverRequest`.
    mutating func allowsHandOver(_ seen: ProgramHandOver.Sight, at now: Instant) -> Bool
    /// Gives the program the request. What it wrote until now, such as a prompt without a newline, answers nothing.
    mutating func handOverRequest(at now: Instant)
    /// Whether the program has had its request for a while without an answer, so that a look at it may tell why.
    func isInDoubt(at now: Instant) -> Bool
    mutating func doubted(_ seen: ProgramHandOver.Sight)

    // MARK: What is seen of the program

    /// Whether it is time to look how much the program has read.
    func isLookDue(at now: Instant) -> Bool

    // MARK: What the program says

    /// Takes what the program wrote, while `unread` bytes of its input were still in the pipe.
    mutating func received(_ bytes: ArraySlice<UInt8>, unread: Int, at now: Instant)
    mutating func outputEnded(at now: Instant)

    // MARK: Its life

    mutating func started(at now: Instant)
    mutating func startFailed(_ text: String, at now: Instant)
    /// Ends requests that have had their time.
    mutating func endLateRequests(at now: Instant)
    /// Gives the program's requests their endings, once all that the program left has been read.
    mutating func conclude(at now: Instant)
}

// What all dialogues have in common.
extension ProgramDialogue {
    mutating func asked(_ token: UInt64, _ outcome: ServerRequests.AskOutcome, at now: Instant) {}

    /// Whether no program runs and none will be started.
    var isOver: Bool { course.life == .over && course.steps.isEmpty }
    var isCollected: Bool { course.isCollected }
    var wantsOutput: Bool { course.wantsOutput }
    var stderrHasEnded: Bool { course.stderrHasEnded }
    /// What is to be written to the program next.
    var unwritten: ArraySlice<UInt8> { course.input.unwritten }
    /// Whether its standard input ends here.
    var inputIsOver: Bool { course.input.isOver }
    /// Whether the input ends when the program has come back to it, and all of it is written.
    var mayComeBack: Bool { (course.input.isHeld || course.input.awaitsProgram) && course.input.unwritten.isEmpty }
    var hasUnreadMessages: Bool { course.input.hasUnreadMessages }
    var firstStep: ProgramStep? { course.steps.first }

    mutating func removeFirstStep() -> ProgramStep? {
        guard let first = course.steps.first else { return nil }
        course.steps.removeFirst()
        return first
    }

    func isLookDue(at now: Instant) -> Bool { course.isLookDue(at: now) }

    /// Records that `unread` bytes are in the pipe; nil where that is not known any more.
    mutating func looked(unread: Int?) { if let unread { course.input.look(unread: unread) } }

    /// Takes what was seen of the program: `unread` bytes are in the pipe, and `sight` is what it does.
    mutating func looked(unread: Int?, _ sight: ProgramHandOver.Sight, at now: Instant) {
        course.looked(unread: unread, sight, at: now)
    }

    mutating func receivedStderr(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        course.receivedStderr(bytes, at: now)
    }

    mutating func stderrEnded(at now: Instant) {
        course.stderrHasEnded = true
        if let line = course.stderr.end(at: now) { course.steps.append(.log(.line(line))) }
        conclude(at: now)
    }

    /// A message of the program found no room with the client, and will find none.
    mutating func messageWasRefused() { course.discard(.outputUnwanted) }

    /// The program is gone, and its group with it; `collected` follows when no process that it started is left.
    ///
    /// `unread` bytes of its input were never read; nil where that is not known.
    mutating func exited(_ exit: ProgramExit, unread: Int? = 0, at now: Instant) {
        course.exited(exit, unread: unread, at: now)
    }

    mutating func collected(at now: Instant) {
        course.collected()
        conclude(at: now)
    }

    mutating func resumed(at now: Instant) {
        endLateRequests(at: now)
        course.resumed(at: now)
        conclude(at: now)
    }
}
