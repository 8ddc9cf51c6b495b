import Posix

/// A generator that is one process of several: it reports to the first one, and begins when that says so.
extension Generator {
    static let workerKey = UInt64.max - 1

    /// Tells the first process that all connections have been tried once, and waits for its start.
    mutating func becomeReady() {
        stage = .ready
        worker?.send(WorkerMessage.ready(everConnected: counters.everConnected, lastFailure: lastFailure).frame)
    }

    /// Reads what the first process says. It ends with that one: without it nobody wants the result.
    mutating func receiveCommands() {
        var commands: [WorkerCommand] = []
        let isOpen = worker?.receive { commands.append(WorkerCommand(reading: $0)) } ?? true
        guard isOpen else { exitProcess(1) }
        for command in commands {
            switch command {
            case .start(let instant): startAt = instant
            case .interrupt: interrupt()
            }
        }
    }

    /// Tells the first process about a second.
    func tell(_ interval: LoadInterval) {
        guard let worker else { return }
        let isMeasured = if case .measuring = stage { true } else { false }
        worker.send(
            WorkerMessage.second(interval, isMeasured: isMeasured, stage: stageName, failed: counters.failed).frame)
    }

    /// Makes the load of process `index` of `options.processes`, sends the result to `channel`, and ends the process.
    static func work(_ options: LoadOptions, to address: SocketAddress, _ index: Int, _ channel: WorkerChannel) -> Never
    {
        do throws(LoadError) {
            var generator = try Generator.prepared(
                options.share(of: index, in: options.processes), to: address, worker: channel)
            generator.load.phase = options.rate.map { .seconds(Double(index) / $0) } ?? .zero
            if !generator.sources.isEmpty { generator.nextSource = index % generator.sources.count }
            try generator.runToEnd { _ in }
            channel.send(WorkerMessage.result(generator.result()).frame)
        } catch {
            channel.send(WorkerMessage.failed(error).frame)
        }
        exitProcess(0)
    }
}
