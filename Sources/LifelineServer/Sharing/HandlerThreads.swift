/// The threads of a shared process on which handlers run that do not answer at once.
final class HandlerThreads: Sendable {
    /// How many there are at most.
    let most: Int

    init(most: Int) { self.most = most }
}
