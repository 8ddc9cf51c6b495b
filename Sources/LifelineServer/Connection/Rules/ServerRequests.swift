import Basics
import Framing
import Liveness

/// The requests that the server sends on one connection, and what becomes of each (Protocol.md, section 3.7).
///
/// A request waits until the client's ANSWERS has room for it, in the order of the calls. It then has an id, and waits for
/// its ending. Whoever asked names the request by a token, and is told of its outcome once (`takeOutcomes`). A request that
/// was given up after it was sent takes room until its ending comes (3.6-6).
final class ServerRequests {
    /// What whoever asked calls the request.
    typealias AskToken = UInt64
    /// The client's answer, or why there is none.
    typealias AskOutcome = Result<[UInt8], ClientRequestError>

    /// A request whose outcome is not known.
    private struct PendingAsk: Sendable {
        let deadline: Instant
        /// Empty once it was handed to the outbox.
        var bytes: ArraySlice<UInt8>
        /// Nil while it waits for room.
        var id: UInt32?
    }

    /// A request that was handed to the outbox, and has no ending.
    private struct UnansweredAsk: Sendable {
        let length: Int
        /// Nil once it was given up.
        var token: AskToken?
    }

    private struct AskTimeout: Comparable, Sendable {
        let at: Instant
        let token: AskToken
        static func < (left: AskTimeout, right: AskTimeout) -> Bool {
            left.at == right.at ? left.token < right.token : left.at < right.at
        }
    }

    /// How many CANCELs are sent at once: a sender's bucket is smaller than the receiver's (5.10-2).
    private static let cancelsAtOnce = 12

    private let terms: AnswerTerms
    /// The longest request that there can ever be room for.
    private let longest: Int
    @exclusivity(unchecked) private var calls: [AskToken: PendingAsk] = [:]
    /// Those that wait for room; a token without a call was given up.
    @exclusivity(unchecked) private var waiting = Queue<AskToken>()
    @exclusivity(unchecked) private var unanswered: [UInt32: UnansweredAsk] = [:]
    /// The bytes of the unanswered ones.
    @exclusivity(unchecked) private var bytes = 0
    @exclusivity(unchecked) private var lastID: UInt32
    /// The highest id that has had its ending.
    @exclusivity(unchecked) private var lastEnded: UInt32 = 0
    @exclusivity(unchecked) private var timeouts = Heap<AskTimeout>()
    @exclusivity(unchecked) private var cancels: TokenBucket
    @exclusivity(unchecked) private var heldCancels = Queue<UInt32>()
    @exclusivity(unchecked) private var assembler = MessageAssembler()
    /// The response of which not all chunks have come.
    @exclusivity(unchecked) private var openResponse: UInt32?
    @exclusivity(unchecked) private var outcomes: [(token: AskToken, outcome: AskOutcome)] = []
    /// Why no request may begin; nil where one may.
    @exclusivity(unchecked) private var obstacle: CloseReason?
    /// Whether CLOSE waits for those that are unanswered: the client has sent GOAWAY (7.4-5).
    @exclusivity(unchecked) private var holdsClose = false
    @exclusivity(unchecked) private(set) var counts = ServerRequestCounts()

    /// No request yet.
    ///
    /// - Parameters:
    ///   - terms: What the client says in ANSWERS.
    ///   - maxMessage: The longest message that the client accepts.
    ///   - heartbeat: The times in force, which fill the bucket for CANCELs.
    ///   - lastID: The id before the first.
    init(_ terms: AnswerTerms, maxMessage: Int, _ heartbeat: Heartbeat, lastID: UInt32 = 0) {
        self.terms = terms
        self.lastID = lastID
        longest = min(maxMessage, Int(terms.maxQueued))
        cancels = TokenBucket(heartbeat, capacity: ServerRequests.cancelsAtOnce)
    }

    /// Whether whoever asked waits for an outcome.
    var isBusy: Bool { !calls.isEmpty }
    /// Whether CLOSE waits.
    var delaysClose: Bool { holdsClose && isBusy }
    /// How many requests take room at the client.
    var inFlight: Int { unanswered.count }

    /// The outcomes that became known since the last call.
    func takeOutcomes() -> [(token: AskToken, outcome: AskOutcome)] {
        defer { outcomes = [] }
        return outcomes
    }

    // MARK: Asking

    /// Asks. The outcome is known at `deadline` at the latest. A token may be used again once its outcome is.
    func ask(
        _ token: AskToken, _ bytes: ArraySlice<UInt8>, until deadline: Instant, _ outbox: inout Outbox, at now: Instant
    ) {
        if let obstacle { return finish(token, .failure(.notSent(.connection(obstacle)))) }
        guard bytes.count <= longest else { return finish(token, .failure(.notSent(.tooLarge(most: longest)))) }
        guard now < deadline else { return finish(token, .failure(.notSent(.timedOut))) }
        calls[token] = PendingAsk(deadline: deadline, bytes: bytes)
        timeouts.prune(live: calls.count) { calls[$0.token] != nil }
        timeouts.insert(AskTimeout(at: deadline, token: token))
        waiting.append(token)
        sendWaiting(&outbox)
    }

    /// Hands to the outbox what there is room for.
    private func sendWaiting(_ outbox: inout Outbox) {
        while let token = waiting.first {
            guard let call = calls[token], call.id == nil else {
                waiting.removeFirst()
                continue
            }
            guard unanswered.count < Int(terms.maxInFlight), bytes + call.bytes.count <= Int(terms.maxQueued) else {
                return
            }
            waiting.removeFirst()
            guard lastID < .max else {
                finish(token, .failure(.notSent(.idsUsedUp)))
                continue
            }
            lastID += 1
            calls[token] = PendingAsk(deadline: call.deadline, bytes: [], id: lastID)
            unanswered[lastID] = UnansweredAsk(length: call.bytes.count, token: token)
            bytes += call.bytes.count
            outbox.send(.request, id: lastID, call.bytes, cost: 0)
        }
    }

    /// Gives a request up: it is taken back where no byte of it has left, else cancelled.
    func giveUp(
        _ token: AskToken, _ reason: ClientRequestError.Reason, _ outbox: inout Outbox, at now: Instant
    ) {
        guard let call = calls[token] else { return }
        if let id = call.id, !outbox.withdraw(id) {
            unanswered[id]?.token = nil
            if openResponse == id { assembler.abandon() }
            finish(token, .failure(.unknown(reason)))
            heldCancels.append(id)
            sendCancels(&outbox, at: now)
        } else {
            if let id = call.id { forget(id) }
            finish(token, .failure(.notSent(reason)))
        }
        sendWaiting(&outbox)
    }

    private func sendCancels(_ outbox: inout Outbox, at now: Instant) {
        while let id = heldCancels.first {
            guard unanswered[id] == nil || cancels.spend(at: now) else { return }
            heldCancels.removeFirst()
            if unanswered[id] != nil { outbox.cancel(id) }
        }
    }

    // MARK: Endings

    /// A part of a response, which stands in `buffer`.
    func received(_ part: MessagePart, of buffer: [UInt8], _ outbox: inout Outbox) throws(Violation) {
        if part.isFirst {
            guard unanswered[part.id] != nil, !outbox.isComing(part.id) else { throw ServerRequests.unasked(part.id) }
        }
        openResponse = part.isLast ? nil : part.id
        if let token = unanswered[part.id]?.token {
            guard let answer = assembler.add(part, of: buffer) else { return }
            finish(token, .success(Array(answer)))
        }
        if part.isLast { ended(part.id, &outbox) }
    }

    /// The client's FAILURE.
    func failed(
        _ id: UInt32, _ failure: Failure, _ outbox: inout Outbox, at now: Instant
    ) throws(Violation) {
        guard let request = unanswered[id], outbox.isDone || !outbox.isUntouched(id) else {
            throw ServerRequests.unasked(id)
        }
        if openResponse == id {
            openResponse = nil
            assembler.abandon()
        }
        // The rest of the request would be useless (3.6-12).
        if outbox.isUnfinished(id), cancels.spend(at: now) { outbox.cancel(id) }
        if let token = request.token {
            finish(token, .failure(failure.code == .refused ? .refused(.refused(failure)) : .failed(failure)))
        }
        ended(id, &outbox)
    }

    private static func unasked(_ id: UInt32) -> Violation {
        Violation(.protocolError, "an answer to request \(id) of the server, which waits for none")
    }

    private func ended(_ id: UInt32, _ outbox: inout Outbox) {
        lastEnded = max(lastEnded, id)
        forget(id)
        sendWaiting(&outbox)
    }

    private func forget(_ id: UInt32) {
        if let request = unanswered.removeValue(forKey: id) { bytes -= request.length }
    }

    private func finish(_ token: AskToken, _ outcome: AskOutcome) {
        calls[token] = nil
        counts.add(outcome)
        outcomes.append((token, outcome))
    }

    // MARK: Time

    /// When `enforceDeadlines` has something to do.
    var deadline: Instant? {
        earlier(timeouts.first?.at, heldCancels.isEmpty ? nil : cancels.nextToken(at: Instant(sinceStart: .zero)))
    }

    /// Gives up what is due, and sends the CANCELs that have waited for the bucket.
    func enforceDeadlines(_ outbox: inout Outbox, at now: Instant) {
        while let timeout = timeouts.first, timeout.at <= now || !isLive(timeout) {
            timeouts.removeFirst()
            if isLive(timeout) { giveUp(timeout.token, .timedOut, &outbox, at: now) }
        }
        sendCancels(&outbox, at: now)
    }

    // A token that is used again may have two timeouts.
    private func isLive(_ timeout: AskTimeout) -> Bool { calls[timeout.token]?.deadline == timeout.at }

    // MARK: The end

    /// The client has sent GOAWAY: no request begins (3.7-6), and CLOSE waits for those that have.
    func clientLeaves(_ reason: CloseReason, _ outbox: inout Outbox) {
        holdsClose = true
        takeBack(reason, &outbox)
    }

    /// CLOSE waits for nothing any more.
    func letGo() { holdsClose = false }

    /// Nothing is answered any more: the connection ends, or the client's stream has.
    ///
    /// `closeLastID` is the last_id of the client's CLOSE; nil where there is none. False where it is above every id that
    /// was sent (4.11-3).
    func end(_ reason: CloseReason, closeLastID: UInt32?, _ outbox: inout Outbox) -> Bool {
        takeBack(reason, &outbox)
        let lastSent = max(lastEnded, unanswered.keys.max() ?? 0)
        let isTrue = (closeLastID ?? 0) <= lastSent
        for (id, request) in unanswered.sorted(by: { $0.key < $1.key }) {
            guard let token = request.token else { continue }
            let isRefused = isTrue && closeLastID.map { id > $0 } ?? false
            finish(token, .failure(isRefused ? .refused(.connection(reason)) : .unknown(.connection(reason))))
        }
        (unanswered, bytes) = ([:], 0)
        heldCancels = Queue()
        assembler.abandon()
        return isTrue
    }

    /// Ends the requests of which no byte has left.
    private func takeBack(_ reason: CloseReason, _ outbox: inout Outbox) {
        obstacle = obstacle ?? reason
        for (id, request) in unanswered.sorted(by: { $0.key < $1.key }) where outbox.withdraw(id) {
            forget(id)
            if let token = request.token { finish(token, .failure(.notSent(.connection(reason)))) }
        }
        while let token = waiting.first {
            waiting.removeFirst()
            if calls[token]?.id == nil, calls[token] != nil { finish(token, .failure(.notSent(.connection(reason)))) }
        }
    }
}

/// How many requests of the server had which outcome. It is the sum over many connections, too.
struct ServerRequestCounts: Equatable, Sendable {
    var answered: UInt64 = 0
    var failed: UInt64 = 0
    var notSent: UInt64 = 0
    var refused: UInt64 = 0
    var unknown: UInt64 = 0

    /// Each with its name in the metrics.
    var byOutcome: [(outcome: String, count: UInt64)] {
        [
            ("answered", answered), ("failed", failed), ("not_sent", notSent), ("refused", refused),
            ("unknown", unknown),
        ]
    }

    fileprivate mutating func add(_ outcome: ServerRequests.AskOutcome) {
        switch outcome {
        case .success: answered += 1
        case .failure(.failed): failed += 1
        case .failure(.notSent): notSent += 1
        case .failure(.refused): refused += 1
        case .failure(.unknown): unknown += 1
        }
    }

    /// Adds counts that are not trusted.
    mutating func add(_ other: ServerRequestCounts) {
        answered.add(other.answered)
        failed.add(other.failed)
        notSent.add(other.notSent)
        refused.add(other.refused)
        unknown.add(other.unknown)
    }
}
