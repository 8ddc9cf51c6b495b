/// The readiness that the next read and the next write of a socket wait for, as the last ones asked.
///
/// A plain socket reads when it is readable and writes when it is writable. TLS may need the other readiness for either,
/// while the two sides change keys.
struct SocketInterest: Sendable {
    private var readNeeds = SocketReadiness.read
    private var writeNeeds = SocketReadiness.write

    mutating func noteRead(_ result: TransportResult) {
        readNeeds = if case .wouldBlock(let readiness) = result { readiness } else { .read }
    }

    mutating func noteWrite(_ result: TransportResult) {
        writeNeeds = if case .wouldBlock(let readiness) = result { readiness } else { .write }
    }

    /// Whether a read can make progress.
    func canRead(isReadable: Bool, isWritable: Bool) -> Bool { readNeeds == .read ? isReadable : isWritable }

    /// Whether the loop has to watch for room to write. Waiting for it without need would wake the loop at once, for ever.
    func needsWriting(hasUnsent: Bool) -> Bool { readNeeds == .write || (hasUnsent && writeNeeds == .write) }
}
