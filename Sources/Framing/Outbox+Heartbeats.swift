import Basics

// PINGs, PONGs, and the send window that PONGs open.
extension Outbox {
    /// Bounds the messages that no PONG has proved: both sides speak 1.1 (section 5.12). The caller sends a PING whenever
    /// this outbox `wantsPing`, and reports each PONG (`proved`).
    /// dead_after is in milliseconds; `roundTrip` is one that waited for nothing, where it is known.
    public mutating func startWindow(deadAfter milliseconds: UInt32, roundTrip: Duration? = nil) {
        window.start(deadAfter: milliseconds, roundTrip: roundTrip)
        updateMaxChunk()
    }

    /// Bounds them no more: no PONG will come.
    public mutating func stopWindow() {
        window.stop()
        updateMaxChunk()
        stage()
    }

    /// Whether a PING has to follow the messages that are staged: others wait, or the window is closed. Until it does, no
    /// more of them are staged.
    @inlinable public var wantsPing: Bool {
        window.staged >= window.probesAt && (!nothingWaits || window.staged >= window.closesAt) && !endsWithClose
    }

    /// Sends a PING ahead of the messages that wait. While CLOSE waits behind a long message, hearts go on beating.
    public mutating func ping(_ nonce: UInt64) {
        guard !endsWithClose else { return }
        staged.bytes.append(header: .ping, length: 8)
        staged.bytes.append(words: [nonce.high, nonce.low])
        pings.append(StagedPing(nonce: nonce, end: staged.end))
        window.probe(nonce)
        stage()
    }

    /// The nonce of the last PING of which the kernel has accepted the last byte since the last call; nil for none.
    @inline(__always) public mutating func takeLeftPing() -> UInt64? {
        guard leftPing != 0 else { return nil }
        defer { leftPing = 0 }
        return leftPing
    }

    /// Records the PONG with a nonce, and the round trip where it is known. Returns whether it proves bytes of messages.
    @discardableResult
    public mutating func proved(_ nonce: UInt64, roundTrip: Duration?, at now: Instant) -> Bool {
        let isNews = window.prove(nonce, roundTrip: roundTrip, at: now)
        updateMaxChunk()
        stage()
        return isNews
    }

    /// How far what is staged has come, in bytes since the start: `staged` of them, of which `gone` are proved. Without a
    /// send window, `gone` are with the kernel.
    public var distance: (staged: UInt64, gone: UInt64) {
        window.isOn ? (window.staged, window.proved) : (staged.end, sent)
    }

    /// Whether nothing will show that more has arrived: the kernel has all, and no PING is unanswered.
    public var isUnasked: Bool { isEmpty && !(window.isOn && window.isAsking) }

    /// Answers a PING. At most one PONG is owed: while one is on its way out, the latest takes the next place.
    public mutating func answer(with pong: Pong) {
        guard !endsWithClose else { return }
        if staged.hasPong { owedPong = pong } else { staged.append(pong) }
    }
}
