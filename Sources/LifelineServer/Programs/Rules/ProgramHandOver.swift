import Basics

/// The request that waits until the program takes it.
///
/// A program gets a request when it waits for its input, and not before. So what it has written by then answers nothing:
/// a greeting, a prompt, a second line of the answer before.
struct ProgramHandOver {
    /// What was seen of the program, with all that it has started, and its standard input.
    enum Sight: Equatable, Sendable {
        /// It has read all that was written, and is blocked until more comes.
        case waits
        /// It does something else.
        case busy
        /// The kernel does not tell.
        case unknown
    }

    /// A program that is not seen to wait for this long gets the request all the same: nothing hangs.
    static let patience = Duration.seconds(10)
    /// The pauses between two looks: each twice as long as the last.
    private static let shortestPause = Duration.milliseconds(1)
    private static let longestPause = Duration.milliseconds(32)

    /// The request in its framing; nil where none waits.
    private(set) var request: [UInt8]?
    /// How many bytes the request has that the program was given last.
    private var size = 0
    private var since = Instant(sinceStart: .zero)
    private var pause = shortestPause
    /// When to look next, unless something happens before.
    private(set) var nextLook: Instant?
    /// A program that has not answered by then is looked at.
    private let doubtTime: Duration
    /// When to look why there is no answer; nil where that is not due.
    private(set) var doubt: Instant?
    /// Whether a program was seen to wait although it owed an answer.
    private var hasDoubted = false
    /// Whether the program was ever seen to wait.
    private var hasWaited = false
    /// Whether a request was handed over although the program was never seen to wait: then it never is.
    private var isBlind = false

    /// A hand-over to a program that may take `timeout` for an answer; nil for any time.
    init(timeout: Duration?) { doubtTime = ProgramHandOver.doubtTime(timeout) }

    /// How long a program may be silent before it is looked at.
    static func doubtTime(_ timeout: Duration?) -> Duration { min(.seconds(1), timeout.map { $0 / 2 } ?? .seconds(1)) }

    mutating func hold(_ framed: [UInt8], at now: Instant) {
        request = framed
        since = now
        pause = ProgramHandOver.shortestPause
        nextLook = now
    }

    /// Whether nobody has looked since the request came.
    var isFresh: Bool { nextLook == since }

    /// Takes the request out, for the program.
    mutating func take(at now: Instant) -> [UInt8]? {
        let taken = request
        drop()
        size = taken?.count ?? size
        doubt = now + doubtTime
        return taken
    }

    /// The program was looked at, because of its silence. Returns whether what was seen is news.
    mutating func endDoubt(_ seen: Sight) -> Bool {
        doubt = nil
        defer { if seen == .waits { hasDoubted = true } }
        return !hasDoubted
    }

    /// Whether the program cannot have read any of its request, where it has one: `unread` bytes of its input are left.
    func isUntaken(unread: Int) -> Bool { request != nil || size > 0 && unread >= size }

    /// Lets go of the request.
    mutating func drop() {
        request = nil
        nextLook = nil
        doubt = nil
    }

    /// Whether the program may have the request now, by what was `seen` of it.
    mutating func allows(_ seen: Sight, at now: Instant) -> Bool {
        switch seen {
        case .waits:
            hasWaited = true
            return true
        case .unknown: return true
        case .busy:
            if isBlind { return true }
            if now - since >= ProgramHandOver.patience {
                isBlind = !hasWaited
                return true
            }
            nextLook = now + pause
            pause = min(pause * 2, ProgramHandOver.longestPause)
            return false
        }
    }
}
