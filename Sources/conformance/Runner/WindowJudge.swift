import RawWire

/// Judges the first send window of an implementation (Protocol.md, section 5.12).
///
/// The first window has a bound, which every sender keeps to. What it becomes once a PONG has shown the path is the
/// sender's own affair.
struct WindowJudge {
    /// The most that the first window may hold, in bytes.
    let first: Int
    /// Bytes of frames of messages that came, and those that a PONG has proved.
    private var came = 0
    private var proved = 0
    /// Where the newest PING lies among them.
    private var newestPing = 0
    /// The PINGs that the case has not answered.
    private var pings: [(nonce: UInt64, position: Int)] = []
    /// Whether a PONG has shown the path.
    private var hasProof = false

    init(deadAfter: UInt32) { first = min(max(Int(deadAfter), 2048), 16384) }

    private var unproved: Int { came - proved }
    /// Bytes behind the newest PING.
    var behindPing: Int { came - newestPing }

    /// Takes note of a PING of the implementation.
    mutating func note(ping nonce: UInt64) {
        pings.append((nonce, came))
        newestPing = came
    }

    /// Takes note of a PONG of the case.
    mutating func note(pong nonce: UInt64) {
        guard let index = pings.firstIndex(where: { $0.nonce == nonce }) else { return }
        proved = pings[index].position
        pings.removeFirst(index + 1)
        hasProof = true
    }

    /// Takes note of a frame of a message, and returns what it breaks.
    mutating func breach(byFrameOf length: Int) -> String? {
        defer { came += length }
        guard !hasProof else { return nil }
        if unproved >= first { return "no message behind \(first) unproved bytes (5.12-1)" }
        if behindPing >= first / 2 { return "a PING behind each \(first / 2) bytes (5.12-2)" }
        return nil
    }
}
