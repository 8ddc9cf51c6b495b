/// How a child divides the time that a shutdown gives it (`ServerOptions.grace`).
///
/// The parent kills what is left when that time is over. So the child gives up what waits before that, and keeps the rest
/// for the end of its handler, for CLOSE and for the log.
struct ShutdownGrace {
    /// How long requests are answered and messages handled.
    let handling: Duration
    /// How long the handler may take after that to return, and to hear that the connection has ended.
    let lastCall: Duration

    init(_ grace: Duration) {
        // After CLOSE the client has a second to end its side.
        let rest = min(grace / 2, .milliseconds(1500))
        handling = grace - rest
        lastCall = min(rest * 2 / 3, RequestQueue.handlerGrace)
    }
}
