import Basics

/// The standard error of a program: lines for the log, and its end for the client.
struct ProgramStderr {
    struct StderrLine: Equatable {
        let text: String
        /// How many lines before it were not logged, because they were too many.
        let skipped: UInt64
    }

    /// A line is cut off here.
    static let longestLine = 2048
    /// The longest end, in bytes, that the client of a failed request gets.
    static let longestTail = 400
    /// Up to 100 lines are logged at once, and 20 in each second after that.
    private static let burst = 100
    private static let perSecond = 20

    private var line: [UInt8] = []
    private var lastBytes: [UInt8] = []
    private var allowance = TokenBucket(capacity: burst, refill: .seconds(1) / perSecond)
    /// How many lines were not logged since the last one that was.
    private(set) var skipped: UInt64 = 0

    /// The end of what the program wrote, repaired to be UTF-8, without white space at its ends.
    var tail: String {
        let text = String(decoding: lastBytes.suffix(ProgramStderr.longestTail), as: UTF8.self)
        guard let first = text.firstIndex(where: { !$0.isWhitespace }) else { return "" }
        let last = text.lastIndex { !$0.isWhitespace }!
        return String(text[first...last])
    }

    /// Adds what the program wrote, and returns the lines to be logged.
    mutating func append(_ bytes: ArraySlice<UInt8>, at now: Instant) -> [StderrLine] {
        lastBytes = (lastBytes + bytes.suffix(ProgramStderr.longestTail)).suffix(ProgramStderr.longestTail)
        var lines: [StderrLine] = []
        var rest = bytes
        while let end = rest.firstIndex(of: 0x0A), allowance.spend(at: now) {
            keep(rest[..<end])
            lines.append(endLine())
            rest = rest[(end + 1)...]
        }
        // The lines of a flood are only counted.
        if let end = rest.lastIndex(of: 0x0A) {
            skipped += rest[...end].reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) }
            line.removeAll(keepingCapacity: true)
            rest = rest[(end + 1)...]
        }
        keep(rest)
        return lines
    }

    /// Returns the line that the program had begun when it closed its standard error.
    mutating func end(at now: Instant) -> StderrLine? {
        return line.isEmpty || !allowance.spend(at: now) ? nil : endLine()
    }

    /// Begins anew for the next program.
    mutating func restart() {
        line = []
        lastBytes = []
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        line.append(contentsOf: bytes.prefix(max(0, ProgramStderr.longestLine - line.count)))
    }

    private mutating func endLine() -> StderrLine {
        defer {
            line.removeAll(keepingCapacity: true)
            skipped = 0
        }
        return StderrLine(text: String(decoding: line, as: UTF8.self), skipped: skipped)
    }
}
