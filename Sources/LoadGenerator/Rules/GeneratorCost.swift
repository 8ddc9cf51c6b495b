/// What the load generator itself took: a measurement in which it had no time left is one of the generator.
struct GeneratorCost: Sendable {
    /// Processor time of all processes, within their measured times.
    private(set) var processorTime = Nanoseconds.zero
    /// The number of processes.
    private(set) var processes = 0
    /// The greatest share of a core that one of them took.
    private(set) var busiest = 0.0
    /// The greatest share of the time for which one of them was ready to run, and another program had the core.
    private(set) var waited = 0.0
    /// The greatest sum of both shares in one process.
    private(set) var most = 0.0

    /// Whether every process had some time left.
    var hadTimeLeft: Bool { most <= 0.95 }

    /// Adds a process.
    mutating func add(_ result: WorkerResult) {
        let measured = result.measured.seconds
        let (took, waited) = (result.processorTime.seconds / measured, result.waitingTime.seconds / measured)
        processorTime = processorTime + result.processorTime
        processes += 1
        busiest = max(busiest, took)
        self.waited = max(self.waited, waited)
        most = max(most, took + waited)
    }
}
