import Basics
import LifelineClient

/// The messages that wait for their answers, in the order in which the answers are printed.
struct AnswerWindow {
    /// A message whose turn to be printed has not come.
    struct WaitingMessage {
        /// Its place among all messages, from 1.
        let number: Int
        let message: InputMessage
        let sentAt: Instant
        /// What the connection knows it by.
        let call: LongConnection.CallID
        /// Whether the command has given it up, because its time is over.
        var isGivenUp = false
        fileprivate(set) var result: Result<[UInt8], RequestError>?
        fileprivate(set) var endedAt: Instant?

        /// The time from the message to its answer.
        var elapsed: Duration { (endedAt ?? sentAt) - sentAt }
    }

    /// What waits in memory costs no more than this, beyond one message.
    static let mostBytes = 8 << 20

    private var entries: [WaitingMessage?] = []
    private var head = 0
    private var bytes = 0
    /// How many are on their way: those without a result.
    private var unfinished = 0
    private let most: Int
    private let mostWaiting: Int
    /// The instant from which the first message has been the first.
    private(set) var firstSince = Instant(sinceStart: .zero)

    /// A window of up to `most` messages on their way, and of up to `waiting` whose answers are not printed.
    init(most: Int, waiting: Int? = nil) {
        self.most = most
        mostWaiting = waiting ?? most
    }

    var count: Int { entries.count - head }
    var isEmpty: Bool { count == 0 }
    /// Whether another message may be sent.
    var hasRoom: Bool { hasRoom(besides: 0, 0) }

    /// Whether another message may be sent besides so many that are about to be, of so many bytes together.
    func hasRoom(besides messages: Int, _ theirBytes: Int) -> Bool {
        unfinished + messages < most && count + messages < mostWaiting
            && (count + messages == 0 || bytes + theirBytes < AnswerWindow.mostBytes)
    }

    /// The message whose answer is printed next.
    var first: WaitingMessage? { isEmpty ? nil : entries[head] }

    /// Adds a message that was sent; its number is one above that of the last.
    mutating func begin(_ number: Int, _ message: InputMessage, call: LongConnection.CallID, at now: Instant) {
        if isEmpty { firstSince = now }
        entries.append(WaitingMessage(number: number, message: message, sentAt: now, call: call))
        bytes += message.bytes.count
        unfinished += 1
    }

    /// Records how a message has ended. A number that does not wait changes nothing.
    mutating func end(_ result: CallResult, at now: Instant) {
        guard let first = first?.number, result.number >= first, result.number < first + count else { return }
        let index = head + result.number - first
        guard entries[index]?.result == nil else { return }
        entries[index]?.result = result.result
        entries[index]?.endedAt = now
        unfinished -= 1
        if case .success(let answer) = result.result { bytes += answer.count }
    }

    /// Takes out the first message, where it has ended.
    mutating func takeFirst(at now: Instant) -> (entry: WaitingMessage, result: Result<[UInt8], RequestError>)? {
        guard let entry = first, let result = entry.result else { return nil }
        entries[head] = nil
        head += 1
        bytes -= entry.message.bytes.count
        if case .success(let answer) = result { bytes -= answer.count }
        firstSince = now
        if head > 64, head > entries.count / 2 {
            entries.removeFirst(head)
            head = 0
        }
        return (entry, result)
    }

    /// The time of the first message begins anew: it was without a connection.
    mutating func restartFirst(at now: Instant) { firstSince = now }

    /// Notes that the first message was given up.
    mutating func giveUpFirst() {
        if !isEmpty { entries[head]?.isGivenUp = true }
    }
}
