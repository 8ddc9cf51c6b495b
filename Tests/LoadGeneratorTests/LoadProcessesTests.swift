import Framing
import Testing

@testable import LoadGenerator

/// A load that several processes share, and their results as one.
@Suite("Processes of the load generator") struct LoadProcessesTests {
    @Test("Each has its share, and nothing is lost or made twice", arguments: [1, 2, 3, 7, 50])
    func shares(_ count: Int) {
        var options = LoadOptions()
        (options.connections, options.requests, options.rate, options.connectRate) = (50, 1001, 700, 100)
        let shares = (0..<count).map { options.share(of: $0, in: count) }
        #expect(shares.reduce(0) { $0 + $1.connections } == 50)
        #expect(shares.allSatisfy { 50 / count...(50 + count - 1) / count ~= $0.connections })
        #expect(shares.reduce(0) { $0 + ($1.requests ?? 0) } == 1001)
        #expect(abs(shares.reduce(0) { $0 + ($1.rate ?? 0) } - 700) < 0.001)
        #expect(abs(shares.reduce(0) { $0 + ($1.connectRate ?? 0) } - 100) < 0.001)
        #expect(Set(shares.map(\.seed)).count == count)
    }

    @Test("Requests of an open loop are due at even intervals, over all processes")
    func rate() {
        var options = LoadOptions()
        options.rate = 1000
        let loads = (0..<4).map { index in
            var load = Load(options: options.share(of: index, in: 4))
            load.phase = .seconds(Double(index) / 1000)
            return load
        }
        let instants = loads.flatMap { load in (0..<10).map { load.instant(of: UInt64($0)).count } }.sorted()
        #expect(instants == (0..<40).map { Int64($0) * 1_000_000 })
    }

    private func times(_ seed: UInt64) -> [Nanoseconds] {
        var random = SeededRandom(seed: seed)
        return (0..<1000).map { _ in Nanoseconds(Int64(random.next() >> 30)) }
    }

    @Test("A histogram that was sent and added up is the histogram of all times")
    func histograms() {
        var whole = LatencyHistogram()
        var sum = LatencyHistogram()
        for seed: UInt64 in 1...3 {
            var part = LatencyHistogram()
            for time in times(seed) {
                part.add(time)
                whole.add(time)
            }
            var writer = LoadRecordWriter()
            writer.add(part)
            var reader = LoadRecordReader(writer.bytes)
            sum.merge(reader.histogram())
            #expect(reader.isAtEnd)
        }
        sum.merge(LatencyHistogram())
        #expect(sum.count == 3000 && sum.least == whole.least && sum.most == whole.most)
        #expect(abs(sum.mean.count - whole.mean.count) <= 1)
        for share in stride(from: 0, through: 1, by: 0.01) { #expect(sum.quantile(share) == whole.quantile(share)) }
    }

    private let ends: [LoadConnectionEnd] = [
        .closed(.busy), .sentAway(.shuttingDown), .refused(Code(rawValue: 999)), .unreachable(error: "ECONNREFUSED"),
        .endOfStream, .reset, .broken(error: "E"), .tls(error: "ü"), .dropped(.silent), .wrongAnswer, .timeout, .cut,
        .finished,
    ]

    @Test("Every message of a process is read as it was written, in whatever pieces it comes")
    func messages() throws {
        var counters = LoadCounters()
        counters.requestAnswered(due: .zero, at: Nanoseconds(5))
        counters.latencies.add(Nanoseconds(7))
        (counters.measuredFrom, counters.measuredUntil) = (Nanoseconds(3), Nanoseconds(10))
        (counters.pongs, counters.pings, counters.early, counters.answered) = (1, 2, 3, 4)
        (counters.cutByReset, counters.cutByClose, counters.everConnected, counters.isConnected) = (5, 6, 7, -1)
        for (index, end) in ends.enumerated() {
            for _ in 0...index { counters.connectionEnded(end) }
            counters.requestEnded(.lost(end), count: index + 1)
            counters.requestEnded(.refused(end), count: index + 2)
            counters.requestEnded(.notSent(end), count: index + 3)
        }
        counters.requestEnded(.refused(nil))
        counters.requestEnded(.failed(.handlerFailed))
        let result = WorkerResult(
            counters: counters, processorTime: Nanoseconds(8), waitingTime: Nanoseconds(9), leftOver: 10,
            serversWindow: 11)
        let interval = LoadInterval(answered: 1, connected: 2, failed: 3, latencies: counters.latencies)
        let sent: [WorkerMessage] = [
            .ready(everConnected: 3, lastFailure: nil), .ready(everConnected: 0, lastFailure: .refused(.busy)),
            .second(interval, isMeasured: true, stage: "measuring", failed: 4), .result(result),
            .failed(LoadError(kind: .busy, text: "nobody")),
        ]
        var frames = WorkerFrames()
        var got: [WorkerMessage] = []
        for byte in sent.flatMap(\.frame) {
            frames.add([byte])
            while let record = frames.next() { got.append(WorkerMessage(reading: record)) }
        }
        try #require(got.count == sent.count)
        guard case .ready(3, nil) = got[0], case .ready(0, .refused(.busy)?) = got[1],
            case .second(let second, true, "measuring", 4) = got[2], case .result(let back) = got[3],
            case .failed(let error) = got[4]
        else { throw LoadError(kind: .protocolError, text: "\(got)") }
        #expect(second.answered == 1 && second.connected == 2 && second.failed == 3 && second.latencies.count == 1)
        #expect(error.kind == .busy && error.text == "nobody")
        #expect(back.counters.requestEnds == counters.requestEnds)
        #expect(back.counters.connectionEnds == counters.connectionEnds)
        #expect(back.counters.latencies.most == Nanoseconds(7) && back.measured == Nanoseconds(7))
        #expect(back.counters.pongs == 1 && back.counters.pings == 2 && back.counters.early == 3)
        #expect(back.counters.answered == 4 && back.counters.cutByReset == 5 && back.counters.cutByClose == 6)
        #expect(back.counters.everConnected == 7 && back.counters.isConnected == -1)
        #expect(back.processorTime == Nanoseconds(8) && back.waitingTime == Nanoseconds(9))
        #expect(back.leftOver == 10 && back.serversWindow == 11)
        for command: WorkerCommand in [.start(at: Nanoseconds(77)), .interrupt] {
            frames.add(command.frame)
            #expect(frames.next().map { WorkerCommand(reading: $0) } == command)
        }
    }

    @Test("Counters are added up, over the time from the first beginning to the last end")
    func counters() {
        var sum = LoadCounters()
        for index: UInt64 in 1...3 {
            var part = LoadCounters()
            (part.measuredFrom, part.measuredUntil) = (Nanoseconds(Int64(index)), Nanoseconds(Int64(100 * index)))
            part.answered = index
            part.requestEnded(.refused(nil), count: Int(index))
            part.connectionEnded(.reset)
            part.everConnected = 1
            sum.merge(part)
        }
        #expect(sum.answered == 6 && sum.everConnected == 3)
        #expect(sum.requestEnds == [.refused(nil): 6] && sum.connectionEnds == [.reset: 3])
        #expect(sum.measuredFrom == Nanoseconds(1) && sum.measuredUntil == Nanoseconds(300))
    }

    @Test("A second is one of all processes once each has told about it, or is over")
    func seconds() {
        var seconds = MergedSeconds(count: 2)
        func second(_ answered: UInt64) -> LoadInterval {
            var latencies = LatencyHistogram()
            latencies.add(Nanoseconds(Int64(answered)))
            return LoadInterval(answered: answered, connected: 5, failed: 1, latencies: latencies)
        }
        seconds.add(second(1), of: 0, isMeasured: false, stage: "warming up", failed: 1)
        seconds.add(second(10), of: 0, isMeasured: true, stage: "measuring", failed: 2)
        seconds.add(second(20), of: 0, isMeasured: true, stage: "measuring", failed: 3)
        #expect(seconds.measured.isEmpty)
        seconds.add(second(100), of: 1, isMeasured: true, stage: "measuring", failed: 1)
        #expect(seconds.measured.map(\.answered) == [110])
        #expect(seconds.measured[0].connected == 10 && seconds.measured[0].failed == 2)
        #expect(seconds.measured[0].most == Nanoseconds(100))
        let progress = seconds.progress(elapsed: .zero)
        #expect(progress.second.answered == 131 && progress.second.connected == 10 && progress.failed == 4)
        #expect(seconds.progress(elapsed: .zero).second.answered == 0)
        seconds.end(of: 1)
        #expect(seconds.measured.map(\.answered) == [110, 20])
    }

    @Test("A generator had no time left where one of its processes ran, or waited for a core, all the time")
    func cost() {
        func cost(_ shares: (took: Double, waited: Double)...) -> GeneratorCost {
            var cost = GeneratorCost()
            for share in shares {
                var counters = LoadCounters()
                (counters.measuredFrom, counters.measuredUntil) = (.zero, .seconds(2))
                cost.add(
                    WorkerResult(
                        counters: counters, processorTime: .seconds(2 * share.took),
                        waitingTime: .seconds(2 * share.waited), leftOver: 0))
            }
            return cost
        }
        #expect(cost((0.5, 0.1), (0.9, 0)).hadTimeLeft)
        #expect(!cost((0.5, 0.1), (0.97, 0)).hadTimeLeft)
        #expect(!cost((0.6, 0.38)).hadTimeLeft)
        let both = cost((0.5, 0.1), (0.9, 0))
        #expect(both.processorTime == .seconds(2.8) && both.processes == 2)
        #expect(abs(both.busiest - 0.9) < 1e-9 && abs(both.waited - 0.1) < 1e-9)
    }
}
