/// What a process of a load generator tells the one that started it.
enum WorkerMessage: Sendable {
    /// All connections have been tried once; how many were open, and why the last one failed.
    case ready(everConnected: UInt64, lastFailure: LoadConnectionEnd?)
    /// A second is over. `failed` counts the requests that have failed since the beginning.
    case second(LoadInterval, isMeasured: Bool, stage: String, failed: UInt64)
    case result(WorkerResult)
    /// It ends without a result.
    case failed(LoadError)
}

/// The result of one process.
struct WorkerResult: Sendable {
    var counters: LoadCounters
    var processorTime: Nanoseconds
    var waitingTime: Nanoseconds
    var leftOver: UInt64
    var serversWindow: UInt32?

    /// The measured time of this process.
    var measured: Nanoseconds { max(Nanoseconds(1), counters.measuredUntil - counters.measuredFrom) }
}

/// What the first process tells the others.
enum WorkerCommand: Equatable, Sendable {
    /// Begin the warm-up at the instant.
    case start(at: Nanoseconds)
    /// End the measurement; a second one ends the run.
    case interrupt
}

/// The records of a stream, each behind its length.
struct WorkerFrames {
    private var bytes: [UInt8] = []

    /// A record with its length.
    static func frame(_ record: [UInt8]) -> [UInt8] {
        var writer = LoadRecordWriter()
        writer.add(record.count)
        return writer.bytes + record
    }

    mutating func add(_ new: some Sequence<UInt8>) { bytes.append(contentsOf: new) }

    /// Removes and returns the first record; nil where it is not whole.
    mutating func next() -> LoadRecordReader? {
        guard bytes.count >= 8 else { return nil }
        var length = LoadRecordReader(Array(bytes.prefix(8)))
        let end = 8 + length.integer()
        guard bytes.count >= end else { return nil }
        defer { bytes.removeFirst(end) }
        return LoadRecordReader(Array(bytes[8..<end]))
    }
}

extension WorkerMessage {
    var frame: [UInt8] {
        var writer = LoadRecordWriter()
        switch self {
        case .ready(let everConnected, let lastFailure):
            writer.add(0)
            writer.add(everConnected)
            if let lastFailure { writer.add(lastFailure) }
        case .second(let interval, let isMeasured, let stage, let failed):
            writer.add(1)
            writer.add(interval)
            writer.add(isMeasured ? 1 : 0)
            writer.add(stage)
            writer.add(failed)
        case .result(let result):
            writer.add(2)
            writer.add(result.counters)
            writer.add(result.processorTime)
            writer.add(result.waitingTime)
            writer.add(result.leftOver)
            writer.add(result.serversWindow.map { Int($0) } ?? -1)
        case .failed(let error):
            writer.add(3)
            writer.add(Int(error.kind.rawValue))
            writer.add(error.text)
        }
        return WorkerFrames.frame(writer.bytes)
    }

    init(reading record: LoadRecordReader) {
        var record = record
        switch record.integer() {
        case 0:
            let everConnected = record.number()
            self = .ready(
                everConnected: everConnected, lastFailure: record.isAtEnd ? nil : record.connectionEnd())
        case 1:
            self = .second(
                record.interval(), isMeasured: record.integer() == 1, stage: record.text(), failed: record.number())
        case 2:
            var result = WorkerResult(
                counters: record.counters(), processorTime: record.time(), waitingTime: record.time(),
                leftOver: record.number())
            let window = record.integer()
            if window >= 0 { result.serversWindow = UInt32(window) }
            self = .result(result)
        case 3:
            let kind = LoadError.Kind(rawValue: UInt8(truncatingIfNeeded: record.integer())) ?? .system
            self = .failed(LoadError(kind: kind, text: record.text()))
        case let kind: preconditionFailure("no message of a process: \(kind)")
        }
    }
}

extension WorkerCommand {
    var frame: [UInt8] {
        var writer = LoadRecordWriter()
        switch self {
        case .start(let instant):
            writer.add(0)
            writer.add(instant)
        case .interrupt: writer.add(1)
        }
        return WorkerFrames.frame(writer.bytes)
    }

    init(reading record: LoadRecordReader) {
        var record = record
        self = record.integer() == 0 ? .start(at: record.time()) : .interrupt
    }
}
