/// What a read or write that does not block came to.
public enum Transfer: Equatable, Sendable {
    /// So many bytes, at least one.
    case bytes(Int)
    /// Nothing can be moved now.
    case wouldBlock
    /// End of stream; of a write only where it goes to a pipe that nobody reads.
    case end
}
