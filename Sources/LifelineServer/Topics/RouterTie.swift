import Basics
import Framing
import Posix

/// A process's tie to the router.
final class RouterTie: Sendable {
    /// Throws where a message of `length` bytes is too long.
    func check(_ length: Int) throws(TopicError) {}

    /// Subscribes a connection of this process, and waits for the router; on the loop's thread it does not wait.
    func subscribe(_ connection: UInt64, to topic: TopicName) throws(TopicError) {}
    func unsubscribe(_ connection: UInt64, from topic: TopicName) throws(TopicError) {}

    /// Says something that has no answer.
    func post(_ command: RouterCommand) throws(TopicError) {}

    /// Asks, and waits for the answer. `make` makes the command of the number of the call.
    func call(_ make: (UInt64) -> RouterCommand) throws(TopicError) -> RouterReply { .done(0) }

    /// Asks for something that is done for a number of connections, and waits for that number.
    func count(_ make: (UInt64) -> RouterCommand) throws(TopicError) -> Int { 0 }

    func members(of topic: TopicName?) throws(TopicError) -> [Member] { [] }

    /// Asks the client of another connection, and waits for what becomes of it. The request is given up as soon as `isCancelled`
    /// is true: it is looked at ten times a second.
    func request(
        _ bytes: ArraySlice<UInt8>, of recipient: Recipient, timeout: Duration, unless isCancelled: () -> Bool
    ) throws(TopicError) -> RelayedOutcome { .notSent("") }
}
