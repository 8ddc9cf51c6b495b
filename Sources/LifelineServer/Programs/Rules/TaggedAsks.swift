import Basics
import Framing

/// The requests to the client that a program has asked and that have no outcome yet, by the program's names for them.
struct TaggedAsks {
    /// How many there may be at once, and how many bytes they may have together.
    static let most = 256
    static let mostBytes = 4 << 20

    private var names: [UInt64: (name: [UInt8], size: Int)] = [:]
    private var taken: Set<[UInt8]> = []
    private var bytes = 0
    private var lastToken: UInt64 = 0

    var isEmpty: Bool { names.isEmpty }

    /// Whether the name has no outcome yet.
    func contains(_ name: [UInt8]) -> Bool { taken.contains(name) }

    /// Adds a request, and returns its token; nil where there are too many.
    mutating func add(_ name: [UInt8], size: Int) -> UInt64? {
        guard taken.count < TaggedAsks.most, bytes == 0 || bytes + size <= TaggedAsks.mostBytes else { return nil }
        lastToken += 1
        names[lastToken] = (name, size)
        taken.insert(name)
        bytes += size
        return lastToken
    }

    /// Takes out a request, which has its outcome.
    mutating func remove(_ token: UInt64) -> [UInt8]? {
        guard let (name, size) = names.removeValue(forKey: token) else { return nil }
        taken.remove(name)
        bytes -= size
        return name
    }
}

extension ClientRequestError {
    /// The outcome, the code where there is one, and the text, as a program is told them.
    var words: (outcome: String, code: String, text: String) {
        switch self {
        case .failed(let failure): ("FAILED", "\(failure.code)", failure.text)
        case .notSent(let reason): ("NOT_SENT", reason.code, "\(reason)")
        case .refused(let reason): ("REFUSED", reason.code, "\(reason)")
        case .unknown(let reason): ("UNKNOWN", reason.code, "\(reason)")
        }
    }
}

extension ClientRequestError.Reason {
    /// The name of the code that says why; a hyphen where none does.
    fileprivate var code: String {
        switch self {
        case .refused(let failure): "\(failure.code)"
        case .connection(.closed(let code, _, _)): "\(code)"
        case .tooLarge: "\(Code.messageTooLarge)"
        case .cancelled: "\(Code.cancelled)"
        default: "-"
        }
    }
}
