import Glibc
import RawWire
import SystemTLS

/// The server's side of TLS on a socket of the judge.
final class JudgesTLS: RawStream {
    private let descriptor: Int32
    private let engine: TLSEngine
    /// Records that the kernel has not taken.
    private var unsent: ArraySlice<UInt8> = []
    /// Whether the second half of what is sent is kept for ever.
    var holdsBackHalf = false
    /// Whether the client has resumed an earlier session.
    var isResumed: Bool { engine.isResumed }
    /// As many bytes become records at once, so that the case sees when the kernel is full.
    private static let batch = 16384

    /// Borrows the socket `descriptor`, and makes the handshake. Throws where it fails, or takes longer than `limit`.
    init(_ descriptor: Int32, _ context: TLSContext, within limit: Duration) throws {
        self.descriptor = descriptor
        engine = try TLSEngine(context)
        let deadline = SuspendingClock.now + limit
        while !engine.isEstablished {
            guard waitUntilReady(descriptor, POLLIN, until: deadline) else {
                throw Unexpected("expected the end of the handshake of TLS within \(limit)")
            }
            // What follows the handshake stays in the socket, where poll(2) sees it.
            let got = receiveRecords(1)
            guard got > 0 else {
                throw got == 0 ? Unexpected("the stream ended in the handshake of TLS") : systemError("recv")
            }
            _ = try engine.write(UnsafeRawBufferPointer(start: nil, count: 0))
            flush()
        }
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let got = receiveRecords(16384)
        var filled = 0
        do {
            reading: while filled < buffer.count {
                switch try engine.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])) {
                case .bytes(let count): filled += count
                case .needsMore: break reading
                case .end: return filled
                }
            }
        } catch {
            errno = EPROTO
            return -1
        }
        flush()
        if filled > 0 || got == 0 { return filled }
        if got > 0 { errno = EAGAIN }
        return -1
    }

    /// Reads up to `most` bytes of the network, as recv(2) does.
    private func receiveRecords(_ most: Int) -> Int {
        withUnsafeTemporaryAllocation(byteCount: most, alignment: 1) { buffer in
            let got = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            if got > 0 { engine.receive(UnsafeRawBufferPointer(rebasing: buffer.prefix(got))) }
            return got
        }
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard flush() else { return -1 }
        let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(JudgesTLS.batch))
        guard (try? engine.write(part)) == true else {
            errno = EPROTO
            return -1
        }
        // What the kernel has no room for is kept: it counts as sent.
        return flush() || errno == EAGAIN ? part.count : -1
    }

    /// Sends records that wait; false where some are left, with errno.
    @discardableResult
    private func flush() -> Bool {
        while true {
            if unsent.isEmpty {
                unsent = withUnsafeTemporaryAllocation(byteCount: 32768, alignment: 1) { buffer in
                    Array(buffer.prefix(engine.takeOutgoing(buffer)))[...]
                }
            }
            if holdsBackHalf { unsent = unsent.prefix(unsent.count / 2) }
            guard !unsent.isEmpty else { return true }
            let sent = unsent.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            guard sent >= 0 else { return false }
            unsent = unsent.dropFirst(sent)
        }
    }

    func shutdownWriting() {
        engine.close()
        let deadline = SuspendingClock.now + RawPeer.patience
        while !flush(), errno == EAGAIN, waitUntilReady(descriptor, POLLOUT, until: deadline) {}
        shutdown(descriptor, Int32(SHUT_WR))
    }
}
