/// What waits to be written to the standard input of a program.
struct ProgramInput {
    /// While this many bytes wait, no message is accepted.
    private static let most = 65536

    private var bytes: [UInt8] = []
    /// How many of `bytes` are written.
    private var written = 0
    /// Whether the input ends behind what waits.
    private var ends = false
    /// Whether the program reads no more.
    private(set) var isBroken = false

    /// What is to be written next.
    var unwritten: ArraySlice<UInt8> { bytes[written...] }
    /// Whether the program's standard input is to be closed now.
    var isOver: Bool { isBroken || ends && unwritten.isEmpty }
    var hasRoom: Bool { unwritten.count < ProgramInput.most }

    /// Adds a request or a message in its framing.
    mutating func append(_ framed: [UInt8]) {
        // A long one is not copied where none waits before it.
        if bytes.isEmpty, framed.count > bytes.capacity { bytes = framed } else { bytes += framed }
    }

    /// Begins the input of a program for one request, which ends behind that.
    mutating func begin(_ request: [UInt8]) {
        bytes = request
        ends = true
    }

    /// Ends the input behind what waits.
    mutating func end() { ends = true }

    mutating func wrote(_ count: Int) {
        written += count
        if written == bytes.count {
            drop()
        } else if written >= ProgramInput.most {
            bytes.removeFirst(written)
            written = 0
        }
    }

    /// Lets go of what waits.
    mutating func drop() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= ProgramInput.most)
        written = 0
    }

    /// The program has closed its standard input, or is gone.
    mutating func broke() {
        isBroken = true
        drop()
    }

    /// The next program reads.
    mutating func started() { isBroken = false }
}
