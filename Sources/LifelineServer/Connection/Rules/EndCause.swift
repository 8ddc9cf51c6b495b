/// What ends a connection of the server. `step(in:)` is the table of what each cause does in each phase.
enum EndCause {
    /// The request of a SHORT connection has its ending (section 7.3).
    case shortAnswered
    /// The client's CLOSE (section 7.1).
    case clientClose
    /// The client's GOAWAY (7.4-4).
    case clientGoAway
    /// The client's stream has ended between two messages, or before its first byte (section 7.2).
    case streamEnd
    /// The client's stream has ended in the middle of a frame or a message (7.2-2, 7.2-4).
    case streamCutOff
    /// The client has broken a rule of the protocol (section 9).
    case violation
    /// The client has missed a deadline: no HELLO, silence, a frame without an end, a reader that does not read.
    case deadline
    /// The socket has failed.
    case broken
    /// The server drains: its GOAWAY asks the client to leave (7.4-1).
    case sendAway
    /// The server ends, and answers what it has (section 7.4).
    case terminate
    /// The server ends at once.
    case quit
    /// An operator ends this connection (section 8, KICKED).
    case kick
    /// The handler has ended, or does not return.
    case handlerStop

    /// What a cause brings about.
    enum Step {
        case nothing
        /// GOAWAY goes out, behind WELCOME where that is not sent yet, and the client is served on.
        case goAway
        /// CLOSE follows when each request has its ending. A first cause stays the reason.
        case finish
        /// The same, and the cause becomes the reason: it is graver than what came before.
        case finishInstead
        /// No request is answered any more: CLOSE follows at once.
        case close
        /// CLOSE follows the frame that is begun; what else is unsent is cut off (section 7.5).
        case drop
        /// The client has said all. Once CLOSE is written the connection is over.
        case clientIsDone
        /// Nothing that still comes is decoded.
        case ignoreInput
        /// A client that does not read the end of an orderly connection is a slow reader, and the connection over.
        case overIfUnread
        /// The connection is over: nothing can be read or written.
        case over
    }

    // An over connection is through with all of them. A client can say neither CLOSE nor GOAWAY before HELLO: that is a
    // violation. The handler begins with HELLO. A SHORT connection with a request is ended by its answer alone, and
    // `terminate` does nothing to it.
    // swift-format-ignore
    @inline(__always)
    func step(in phase: ServerConnection.Phase) -> Step {
        switch self {
        //                             greeting   open      finishing       closing
        case .shortAnswered: phase.of(.nothing,  .finish,  .finish,        .nothing)
        case .clientClose:   phase.of(.nothing,  .close,   .close,         .clientIsDone)
        case .clientGoAway:  phase.of(.nothing,  .finish,  .finish,        .nothing)
        case .streamEnd:     phase.of(.finish,   .finish,  .finish,        .clientIsDone)
        case .streamCutOff:  phase.of(.finish,   .finish,  .finishInstead, .clientIsDone)
        case .violation:     phase.of(.drop,     .drop,    .drop,          .ignoreInput)
        case .deadline:      phase.of(.drop,     .drop,    .drop,          .overIfUnread)
        case .broken:        phase.of(.over,     .over,    .over,          .over)
        case .sendAway:      phase.of(.goAway,   .goAway,  .goAway,        .nothing)
        case .terminate:     phase.of(.drop,     .finish,  .finish,        .nothing)
        case .quit:          phase.of(.drop,     .drop,    .drop,          .nothing)
        case .kick:          phase.of(.drop,     .drop,    .drop,          .over)
        case .handlerStop:   phase.of(.nothing,  .finish,  .finish,        .nothing)
        }
    }
}

extension ServerConnection.Phase {
    /// The step in this phase's column of a row of the table.
    @inline(__always)
    fileprivate func of(
        _ greeting: EndCause.Step, _ open: EndCause.Step, _ finishing: EndCause.Step, _ closing: EndCause.Step
    ) -> EndCause.Step {
        switch self {
        case .greeting: greeting
        case .open: open
        case .finishing: finishing
        case .closing: closing
        case .over: .nothing
        }
    }
}
