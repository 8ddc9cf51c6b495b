import RawWire

/// Whether a case proves a MUST or a SHOULD.
enum Level: String, Sendable {
    case must = "MUST"
    case should = "SHOULD"
}

/// A test case: one requirement, and the code that checks it.
struct Case<TestBench>: Sendable {
    /// By section of Protocol.md: `5.5/2`.
    let id: String
    /// The number of the requirement that it proves, such as `5.5-1`.
    let requirement: String
    let level: Level
    /// What is proved, in a sentence; it is the message of a failure too.
    let sentence: String
    /// Runs the case. A thrown error is a failure of the behaviour.
    let run: @Sendable (TestBench) throws -> Void

    init(
        _ id: String, _ requirement: String, _ sentence: String, level: Level = .must,
        run: @escaping @Sendable (TestBench) throws -> Void
    ) {
        self.id = id
        self.requirement = requirement
        self.level = level
        self.sentence = sentence
        self.run = run
    }

    var section: String { String(id.prefix { $0 != "/" }) }
}

/// The verdict on one case: what the implementation did, and, judged apart from that, how it closed the connection.
struct CaseVerdict: Sendable {
    enum Behaviour: Sendable, Equatable {
        case right
        /// What was expected, and what came.
        case wrong(String)
        /// Why it could not be tried here.
        case skipped(String)
    }

    enum CloseVerdict: Sendable, Equatable {
        /// The case does not end with a CLOSE that is judged.
        case notJudged
        case right
        /// CLOSE came with another code.
        case wrongCode(String)
        /// The connection ended without CLOSE, or with something behind it.
        case unclean(String)
    }

    /// The samples of a time that the protocol bounds.
    struct Measurement: Sendable {
        let what: String
        let earliest: Duration
        let latest: Duration
        let samples: [Duration]
    }

    var behaviour = Behaviour.right
    var closing = CloseVerdict.notJudged
    var measurements: [Measurement] = []
    var traces: [[Trace.Piece]] = []
    var took = Duration.zero

    var isSkipped: Bool { if case .skipped = behaviour { true } else { false } }

    /// Whether the case counts as passed: the behaviour is right, and so is the way it closed.
    var isPassed: Bool {
        guard behaviour == .right else { return false }
        return closing == .right || closing == .notJudged
    }

    /// What was wrong, in a sentence; empty where the case passed.
    var complaint: String {
        var parts: [String] = []
        if case .wrong(let text) = behaviour { parts.append(text) }
        switch closing {
        case .wrongCode(let text), .unclean(let text): parts.append(text)
        case .right, .notJudged: break
        }
        return parts.joined(separator: "; ")
    }
}

/// Thrown by a case that this run cannot test, with the reason.
struct Skip: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}
