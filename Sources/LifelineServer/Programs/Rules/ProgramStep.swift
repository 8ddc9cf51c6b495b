import Framing

/// What the loop has to carry out for a program, in this order.
enum ProgramStep: Equatable {
    /// Start the program; for this request, where each has one of its own.
    case start(request: UInt32?)
    case end(ProgramTermination.Step)
    case answer(UInt32, [UInt8])
    case part(UInt32, [UInt8], isLast: Bool)
    case fail(UInt32, Failure)
    case message([UInt8])
    /// A request to the client, with the token by which its outcome comes.
    case ask(UInt64, [UInt8])
    /// The program can have the next request or message.
    case finished
    /// There is no program any more: what is unanswered stays so, and the connection is closed.
    case close(CloseCause)
    case log(Note)

    /// What the log says about a program.
    enum Note: Equatable {
        /// A line of its standard error.
        case line(ProgramStderr.StderrLine)
        /// It ended; `skipped` lines of its standard error were not logged.
        case ended(ProgramExit, request: UInt32?, isExpected: Bool, skipped: UInt64)
        case discarded(Discard)
        /// It waits for more input, and has not answered this request.
        case waits(request: UInt32?, hint: String)
    }

    /// What is thrown away, and why.
    enum Discard: String, Equatable, Sendable {
        case messageForRequests = "a one-way message: a program for each request takes none"
        case messageUnread = "a one-way message that the program does not read"
        case messageWithNewline =
            "a one-way message with a newline: a line cannot carry it, --exec-framing length and tagged-length can"
        case tooLong = "output that is longer than the client accepts"
        case outputUnwanted = "output that answers nothing: the client does not take it"
        case answerUnwanted = "an answer to a request that has its ending: it was cancelled, late or answered before"
    }
}
