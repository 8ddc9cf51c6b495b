/// The result of one non-blocking read or write.
public enum Transfer: Equatable, Sendable {
    /// The number of bytes that were moved, at least one.
    case bytes(Int)
    /// No byte can be moved now.
    case wouldBlock
    /// End of stream; of a write, the pipe has no reader.
    case end
}
