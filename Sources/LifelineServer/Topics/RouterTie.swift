import Basics
import Framing
import Posix

/// A process's tie to the router: which of its connections others can reach, what they say, and what comes for them.
///
/// The process is tied while it has a connection that has opened. Any thread says something. The
/// loop alone opens and closes the tie, reads, and hands out what has come. When the router has died, the tie introduces the
/// process to the next one, and says again what the process has.
final class RouterTie: Sendable {
    /// How long a call waits for the router.
    private static let patience = Duration.seconds(5)
    /// How often a call looks whether it was cancelled.
    private static let looks = Duration.milliseconds(100)

    private let state: ConditionLock<TieState>
    private let mostBytes: Int
    private let loopThread = currentThread
    private let wakeLoop: @Sendable () -> Void

    /// A tie of the process whose loop the calling thread runs; it is not tied yet.
    ///
    /// - Parameters:
    ///   - entrance: Where the process introduces itself.
    ///   - terms: What connections go by.
    ///   - wakeLoop: Has the loop look at the tie. Any thread calls it.
    init(_ entrance: RouterLobby.Entrance, _ terms: RouterTerms, wakeLoop: @escaping @Sendable () -> Void) {
        mostBytes = terms.mostBytes
        self.wakeLoop = wakeLoop
        state = ConditionLock(TieState(entrance, terms))
    }

    // MARK: The loop's side

    /// A connection of the process needs the router.
    func attach(at now: Instant) { state.withLock { $0.attach(at: now) } }

    /// That connection needs it no more: with the last one the tie ends.
    func detach() {
        state.withLock { $0.detach() }
        // Calls that waited have their answer.
        state.notify()
    }

    /// Others can reach this connection, which is attached, from now on; the loop finds it at `place`.
    func register(_ member: Member, place: Int) { state.withLock { $0.register(member, place: place) } }

    /// Nobody can reach the connection any more. One that nobody could reach is none.
    func unregister(_ connection: UInt64) { state.withLock { $0.unregister(connection) } }

    /// What the loop waits for; nil where the process is not tied.
    var interest: TieInterest? { state.withLock { $0.interest } }

    /// When `resumed` is to be called at the latest; at once where something waits to be delivered.
    var deadline: Instant? { state.withLock { $0.deadline } }

    /// The loop runs: reads what has come, writes what waits, and comes back to a new router.
    func resumed(isReadable: Bool, isWritable: Bool, at now: Instant) {
        let hasReplies = state.withLock { $0.resumed(isReadable: isReadable, isWritable: isWritable, at: now) }
        if hasReplies { state.notify() }
    }

    /// Takes out what is delivered next, up to `most` to connections of which several get the same.
    func takeDeliveries(_ most: Int) -> [PlacedDelivery] { state.withLock { $0.takeDeliveries(most) } }

    /// The client of a connection of this process has answered, or not, what the router has asked.
    func answered(_ ask: UInt64, _ outcome: RelayedOutcome) {
        state.withLock { $0.mustSay(.answered(ask: ask, outcome)) }
    }

    // MARK: Any thread's side

    /// Throws where a message of `length` bytes is too long.
    func check(_ length: Int) throws(TopicError) {
        guard length <= mostBytes else { throw .tooLarge(most: mostBytes) }
    }

    /// Subscribes a connection of this process, and waits for the router; on the loop's thread it does not wait. A router that
    /// is being started anew will know.
    func subscribe(_ connection: UInt64, to topic: TopicName) throws(TopicError) {
        let result = state.withLock { state -> Result<UInt64?, TopicError> in
            switch state.subscribe(connection, to: topic) {
            case .success(true): .success(begin(in: &state) { .subscribe(call: $0, connection: connection, topic) })
            case .success(false): .success(nil)
            case .failure(let error): .failure(error)
            }
        }
        if let call = try result.get() { _ = try? wait(for: call) }
    }

    /// Ends a subscription, as `subscribe` begins it.
    func unsubscribe(_ connection: UInt64, from topic: TopicName) {
        let call = state.withLock { state -> UInt64? in
            guard state.unsubscribe(connection, from: topic) else { return nil }
            return begin(in: &state) { .unsubscribe(call: $0, connection: connection, topic) }
        }
        if let call { _ = try? wait(for: call) }
    }

    /// Says something that has to be said, and returns the call to wait for; nil on the loop's thread.
    private func begin(in state: inout TieState, _ make: (UInt64) -> RouterCommand) -> UInt64? {
        defer { wake(for: state) }
        // A tie that is not there yet says all that the process has when it is.
        guard !isLoopThread, state.isTied else {
            state.mustSay(make(0))
            return nil
        }
        let call = state.beginCall()
        state.mustSay(make(call))
        return call
    }

    /// Says something that has no answer. Throws where the router takes nothing now.
    func post(_ command: RouterCommand) throws(TopicError) {
        let obstacle = state.withLock { state in
            defer { wake(for: state) }
            return state.say(command)
        }
        if let obstacle { throw obstacle }
    }

    /// Asks, and waits for the answer. `make` makes the command of the number of the call.
    func call(_ make: (UInt64) -> RouterCommand) throws(TopicError) -> RouterReply {
        try wait(for: try beginCall(make), until: .now + RouterTie.patience)
    }

    private func beginCall(_ make: (UInt64) -> RouterCommand) throws(TopicError) -> UInt64 {
        guard !isLoopThread else { throw .handlerAnswersAtOnce }
        let begun = state.withLock { state -> Result<UInt64, TopicError> in
            defer { wake(for: state) }
            let call = state.beginCall()
            guard let obstacle = state.say(make(call)) else { return .success(call) }
            state.forget(call)
            return .failure(obstacle)
        }
        return try begun.get()
    }

    /// A call that nobody waits for, of the loop's thread.
    func beginWarmCall() -> UInt64 { state.withLock { $0.beginCall() } }

    private func wait(for call: UInt64, until deadline: Instant? = nil) throws(TopicError) -> RouterReply {
        let deadline = deadline ?? .now + RouterTie.patience
        guard let reply = state.wait(until: deadline, { $0.takeReply(to: call) }) else {
            state.withLock { $0.forget(call) }
            throw .unavailable("the router has not answered in time")
        }
        if case .unavailable(let text) = reply { throw .unavailable(text) }
        return reply
    }

    /// Asks for something that is done for a number of connections, and waits for that number.
    func count(_ make: (UInt64) -> RouterCommand) throws(TopicError) -> Int {
        guard case .done(let count) = try call(make) else { throw RouterTie.wrongAnswer }
        return Int(clamping: count)
    }

    /// The connections that have subscribed to a topic, by number; without a topic all.
    func members(of topic: TopicName?) throws(TopicError) -> [Member] {
        guard case .members(let members) = try call({ .members(call: $0, topic) }) else { throw RouterTie.wrongAnswer }
        return members
    }

    /// The topics that have subscribers, by name.
    func topics() throws(TopicError) -> [TopicCount] {
        guard case .topics(let topics) = try call({ .topics(call: $0) }) else { throw RouterTie.wrongAnswer }
        return topics
    }

    /// Asks the client of another connection, and waits for what becomes of it. The request is given up when `isCancelled` is
    /// true.
    func request(
        _ bytes: ArraySlice<UInt8>, of recipient: Recipient, timeout: Duration, unless isCancelled: () -> Bool
    ) throws(TopicError) -> RelayedOutcome {
        let milliseconds = UInt32(clamping: Int(timeout / .milliseconds(1)))
        let call = try beginCall { .request(call: $0, recipient, timeout: milliseconds, bytes) }
        let deadline = Instant.now + timeout + RouterTie.patience + RouterTie.patience
        while true {
            let look = Instant.now + RouterTie.looks
            switch state.wait(until: min(look, deadline), { $0.takeReply(to: call) }) {
            case .outcome(let outcome)?: return outcome
            case .unavailable(let text)?: return .unknown(text)
            case _?: throw RouterTie.wrongAnswer
            case nil:
                guard isCancelled() || deadline <= .now else { continue }
                state.withLock { state in
                    state.forget(call)
                    _ = state.say(.giveUp(call: call))
                    wake(for: state)
                }
                return .unknown(isCancelled() ? "the request was cancelled" : "the router has not answered in time")
            }
        }
    }

    private static let wrongAnswer = TopicError.unavailable("the router has answered what was not asked")
    private var isLoopThread: Bool { currentThread == loopThread }

    /// Has the loop look at what waits to be written: it alone waits for room.
    private func wake(for state: borrowing TieState) {
        if state.needsLoop, !isLoopThread { wakeLoop() }
    }
}
