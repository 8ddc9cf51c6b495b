/// A message of standard input or of an argument.
struct InputMessage: Equatable, Sendable {
    /// Its bytes; the first ones of a line that is too long.
    var bytes: [UInt8]
    /// The number of its bytes, with those that were not kept.
    var length: Int

    init(_ bytes: [UInt8], length: Int? = nil) {
        self.bytes = bytes
        self.length = length ?? bytes.count
    }

    /// Whether all of its bytes are there.
    var isWhole: Bool { bytes.count == length }
}

/// Cuts a stream of bytes into lines. A line beyond a limit costs no more memory than one at the limit.
struct LineCutter {
    private static let newline = UInt8(ascii: "\n")
    /// What the last line of which no end has come consists of so far.
    private var begun: [UInt8] = []
    private var begunLength = 0
    private var unread: ArraySlice<UInt8> = []

    /// Adds bytes that come after all others. Those before were looked at.
    mutating func add(_ bytes: ArraySlice<UInt8>) { unread = unread.isEmpty ? bytes : unread + bytes }

    /// The next whole line without its end; nil where more bytes are needed. Of a line over `most` bytes the first `most`
    /// are kept.
    mutating func next(most: Int) -> InputMessage? {
        guard let end = unread.firstIndex(of: LineCutter.newline) else {
            keep(unread, most: most)
            unread = []
            return nil
        }
        if begunLength == 0, end - unread.startIndex <= most {
            defer { unread = unread[(end + 1)...] }
            return InputMessage(Array(unread[..<end]))
        }
        keep(unread[..<end], most: most)
        unread = unread[(end + 1)...]
        return takeBegun()
    }

    /// The line at the end of the stream that lacks its line end; nil where there is none.
    mutating func last() -> InputMessage? { begunLength == 0 ? nil : takeBegun() }

    private mutating func keep(_ bytes: ArraySlice<UInt8>, most: Int) {
        begun += bytes.prefix(max(most - begun.count, 0))
        begunLength += bytes.count
    }

    private mutating func takeBegun() -> InputMessage {
        defer { (begun, begunLength) = ([], 0) }
        return InputMessage(begun, length: begunLength)
    }
}
