/// Measures for how long the machine was suspended, with two clocks: one stands still in suspend, the other goes on.
///
/// The clocks cannot be read in one instant. What passes between the reads makes the result smaller, never larger, so
/// nothing but a suspend is taken for one.
public struct SuspendMeter: Sendable {
    /// One look at both clocks.
    public struct Reading: Sendable {
        let before: Duration
        let sleepless: Duration
        let after: Duration

        /// - Parameters:
        ///   - before: The clock that stands still, read first.
        ///   - sleepless: The clock that goes on.
        ///   - after: The clock that stands still, read last.
        public init(before: Duration, sleepless: Duration, after: Duration) {
            (self.before, self.sleepless, self.after) = (before, sleepless, after)
        }
    }

    /// No suspend is as short, and no rounding of the clocks is as long.
    private static let least = Duration.milliseconds(1)

    /// The most by which the second clock was ahead of the first.
    private var lead: Duration

    /// Begins to measure.
    public init(_ reading: Reading) { lead = reading.sleepless - reading.before }

    /// Returns how long the machine was suspended since the reading before; nil where it was not.
    public mutating func suspended(_ reading: Reading) -> Duration? {
        let suspended = reading.sleepless - reading.after - lead
        guard suspended >= SuspendMeter.least else { return nil }
        lead = reading.sleepless - reading.before
        return suspended
    }
}
