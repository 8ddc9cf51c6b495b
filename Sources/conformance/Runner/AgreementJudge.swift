import RawWire

/// Judges an implementation by what HELLO and WELCOME have agreed on: requests from the server, and credit for messages
/// (Protocol.md, sections 3.7 and 3.8).
struct AgreementJudge {
    private let side: SenderJudge.JudgedSide
    private var hello: HelloFields?
    /// Whether CREDIT is in force.
    private(set) var hasCredit = false
    /// What the client answers, where requests of the server are allowed.
    private var answers: AnswerFields?
    /// What the messages of the implementation cost, and how far it may go.
    private var spent: UInt64 = 0
    private var limit: UInt64 = 0
    /// Messages that the case has sent to their ends.
    private var sent: UInt64 = 0
    /// What the implementation has said of them.
    private var handled: UInt64 = 0
    /// Requests of the implementation that the case has not ended, and their bytes.
    private var unanswered: [UInt32: Int] = [:]
    private var ended: Set<UInt32> = []

    /// A judge of a connection on which nothing was sent, by an implementation of this side.
    init(_ side: SenderJudge.JudgedSide) { self.side = side }

    /// Whether both sides may send requests.
    var hasAnswers: Bool { answers != nil }

    /// Takes note of what the case sends.
    mutating func note(_ frame: RawFrame) {
        greet(frame)
        switch frame.type {
        case .credit: limit = max(limit, frame.credit?.limit ?? 0)
        case .message where !frame.hasMore: sent += 1
        case .response where frame.hasMore: break
        case .failure, .response:
            unanswered[frame.id] = nil
            ended.insert(frame.id)
        default: break
        }
    }

    /// What a frame of the implementation breaks. It `isFirst` where no message is open.
    mutating func breach(by frame: RawFrame, isFirst: Bool) -> String? {
        defer { greet(frame) }
        switch frame.type {
        case .hello: return breach(by: frame.hello?.options ?? [])
        case .welcome:
            if frame.welcome?.options.isEmpty ?? true { return nil }
            if hasOption(4, frame.welcome?.options ?? []), !canHaveCredit(frame.welcome?.minor ?? 0) {
                return "no CREDIT where it cannot be in force (3.8-3)"
            }
            return breach(by: frame.welcome?.options ?? [])
        case .credit: return breach(by: frame.credit)
        case .message:
            defer { spent += UInt64(frame.payload.count) + (isFirst ? UInt64(RawFrame.headerLength) : 0) }
            return hasCredit && isFirst && spent >= limit ? "no message at the limit \(limit) (3.8-1)" : nil
        case .request where side == .server: return breach(byRequest: frame)
        default: return nil
        }
    }

    /// Takes note of HELLO and WELCOME, whoever sends them.
    private mutating func greet(_ frame: RawFrame) {
        if let hello = frame.hello { self.hello = hello }
        guard let welcome = frame.welcome, welcome.minor >= 1, let hello, !hello.isShort else { return }
        answers = hello.answers
        guard let ofServer = welcome.credit, let ofClient = hello.credit else { return }
        hasCredit = true
        limit = side == .server ? ofClient : ofServer
    }

    private func canHaveCredit(_ minor: UInt8) -> Bool { minor >= 1 && hello?.credit != nil && hello?.isShort == false }

    private func hasOption(_ tag: UInt16, _ options: [UInt8]) -> Bool { AgreementJudge.options(options)[tag] != nil }

    private func breach(by options: [UInt8]) -> String? {
        let options = AgreementJudge.options(options)
        for (tag, name) in [(4, "CREDIT"), (5, "ANSWERS")] as [(UInt16, String)] {
            guard let value = options[tag], side == .client || tag == 4 else { continue }
            if value.count != 8 { return "8 bytes of \(name) (4.12-9)" }
            if tag == 5, value.prefix(4).allSatisfy({ $0 == 0 }) { return "a max_in_flight of at least 1 (4.12-10)" }
        }
        return nil
    }

    private static func options(_ bytes: [UInt8]) -> [UInt16: ArraySlice<UInt8>] {
        var options: [UInt16: ArraySlice<UInt8>] = [:]
        var rest = bytes[...]
        while rest.count >= 4 {
            let length = Int(UInt16(bigEndian: rest.dropFirst(2)))
            options[UInt16(bigEndian: rest)] = rest.dropFirst(4).prefix(length)
            rest = rest.dropFirst(4 + length)
        }
        return options
    }

    private mutating func breach(by credit: CreditFields?) -> String? {
        guard let credit else { return nil }
        if credit.handled > sent { return "at most \(sent) handled, as many as were sent (3.8-6)" }
        if credit.handled < handled { return "at least \(handled) handled, as before (3.8-6)" }
        handled = credit.handled
        return nil
    }

    private mutating func breach(byRequest frame: RawFrame) -> String? {
        guard let answers, !ended.contains(frame.id) else { return nil }
        unanswered[frame.id, default: 0] += frame.payload.count
        if unanswered.count > Int(answers.maxInFlight) {
            return "at most \(answers.maxInFlight) requests of the server at once (3.7-4)"
        }
        let queued = unanswered.values.reduce(0, +)
        return queued > Int(answers.maxQueued) ? "at most \(answers.maxQueued) bytes of them (3.7-4)" : nil
    }
}
