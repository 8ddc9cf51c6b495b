/// What a process takes of the machine, as Prometheus's client libraries show it.
struct ProcessFigures: Equatable {
    /// Processor time in user space and in the kernel.
    var processorTime = Duration.zero
    /// When the process began to serve, since 1970.
    var startedAt = Duration.zero
    /// Bytes in RAM; nil where /proc does not tell.
    var residentBytes: UInt64?
    /// Bytes of address space; nil where /proc does not tell.
    var virtualBytes: UInt64?
    /// Open descriptors; nil where the system does not tell.
    var openDescriptors: Int?
    /// The most that may be open; nil for any number.
    var mostDescriptors: UInt64?
}
