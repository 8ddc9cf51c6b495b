import Framing
import Testing

@testable import LifelineServer

@Suite("What is counted, and how Prometheus reads it")
struct MetricsTests {
    private func samples(
        _ totals: ServerStatistics, living: [ConnectionStatistics] = [], refused: [Admission.Reason: UInt64] = [:]
    ) -> [String: String] {
        var all: [String: String] = [:]
        let text = totals.metrics(living: living, refused: refused, uptime: .seconds(3), version: "1")
        for line in text.split(separator: "\n")
        where !line.hasPrefix("#") {
            let space = line.lastIndex(of: " ")!
            all[String(line[..<space].replacing("lifeline_", with: ""))] = String(line[line.index(after: space)...])
        }
        return all
    }

    private func figures(_ requests: UInt64, cause: CloseReasonLabel? = nil, lateness: Duration? = nil)
        -> ConnectionStatistics
    {
        var figures = ConnectionStatistics()
        (figures.answered, figures.bytesIn, figures.bytesOut, figures.inFlight) = (requests, 10, 20, 2)
        figures.roundTrips = Histogram()
        figures.roundTrips?.add(.milliseconds(3))
        figures.cause = cause
        figures.lateness = lateness
        return figures
    }

    @Test("What a child showed counts as long as it lives and stays when it is reaped, once")
    func balance() {
        var totals = ServerStatistics()
        for _ in 0..<3 { totals.accept() }
        let living = [figures(1), figures(2), figures(3)]
        let before = samples(totals, living: living)
        #expect(before["requests_total{outcome=\"answered\"}"] == "6" && before["received_bytes_total"] == "30")
        #expect(before["requests_in_flight"] == "6" && before["connections_live"] == "3")
        totals.reap(figures(3, cause: CloseReasonLabel(reason: 0, by: 0)))
        let after = samples(totals, living: Array(living.prefix(2)))
        #expect(after["requests_total{outcome=\"answered\"}"] == "6" && after["sent_bytes_total"] == "60")
        #expect(after["round_trip_seconds_count"] == "3" && after["round_trip_seconds_sum"] == "0.009000000")
        #expect(after["requests_in_flight"] == "4", "who is dead has nothing in flight")
        #expect(after["connections_closed_total{reason=\"NORMAL\",by=\"client\"}"] == "1")
        #expect(after["connections_accepted_total"] == "3" && after["connections_live"] == "2")
    }

    @Test("Messages are unhandled once their connection is over: a child that died cannot say that they were handled")
    func unhandled() {
        var totals = ServerStatistics()
        var waiting = figures(1)
        waiting.counts.unhandled = 3
        #expect(samples(totals, living: [waiting])["messages_unhandled_total"] == "0")
        totals.reap(waiting)
        #expect(samples(totals)["messages_unhandled_total"] == "3")
        waiting.cause = CloseReasonLabel(reason: 0, by: 0)
        #expect(samples(totals, living: [waiting])["messages_unhandled_total"] == "6")
    }

    @Test("A child that says nothing of its end has DIED, and no child can make up a reason of its own")
    func causes() {
        var totals = ServerStatistics()
        totals.reap(ConnectionStatistics())
        for (reason, by): (UInt32, UInt32) in [(7, 1), (20, 1), (21, 0), (65535, 7), (0x10000, 1), (.max, .max)] {
            totals.reap(figures(0, cause: CloseReasonLabel(reason: reason, by: by)))
        }
        #expect(totals.closed.count == CloseReasonLabel.all.count && totals.closed.values.reduce(0, +) == 7)
        let all = samples(totals)
        for (reason, by, count) in [
            ("DIED", "none", 1), ("SILENT", "server", 1), ("INTERNAL", "server", 1), ("OTHER", "client", 1),
            ("OTHER", "server", 2), ("LOST", "none", 1),
        ] {
            #expect(all["connections_closed_total{reason=\"\(reason)\",by=\"\(by)\"}"] == "\(count)")
        }
    }

    @Test("The numbers of an ending give back its cause")
    func endings() {
        func cause(_ ending: CloseReason) -> CloseReasonLabel {
            let numbers = CloseReasonLabel.numbers(of: ending)
            return CloseReasonLabel(reason: numbers.reason, by: numbers.by)
        }
        for code in 0...20 as ClosedRange<UInt16> {
            let cause = cause(.closed(Code(rawValue: code), "", by: .client))
            #expect(cause.reason == Code(rawValue: code).description && cause.by == "client")
        }
        #expect(cause(.closed(.kicked, "", by: .server)).by == "server")
        #expect(cause(.lost("")).reason == "LOST")
    }

    @Test("Numbers that a child made up cannot stop the parent: the most that there is stays that")
    func overflow() {
        var wild = ConnectionStatistics()
        (wild.answered, wild.bytesIn, wild.bytesOut, wild.inFlight) = (.max, .max, .max, .max)
        wild.roundTrips = Histogram(
            .roundTrips, counts: [UInt32](repeating: .max, count: 40),
            sum: Duration(attoseconds: Int128(UInt64.max) << 30))
        wild.lateness = Duration(attoseconds: Int128(UInt64.max - 1) << 30)
        wild.cause = CloseReasonLabel(reason: 7, by: 1)
        var totals = ServerStatistics()
        for _ in 0..<1000 { totals.reap(wild) }
        let all = samples(totals, living: [wild, wild])
        #expect(all["requests_total{outcome=\"answered\"}"] == "\(UInt64.max)")
        #expect(all["round_trip_seconds_bucket{le=\"+Inf\"}"] == "\(UInt64(UInt32.max) * 16 * 1002)")
        #expect(all["silent_drop_lateness_seconds_count"] == "1000")
    }

    @Test("Only who was dropped for silence was dropped late")
    func lateness() {
        var totals = ServerStatistics()
        totals.reap(figures(0, cause: CloseReasonLabel(reason: 7, by: 1), lateness: .milliseconds(3)))
        totals.reap(figures(0, cause: CloseReasonLabel(reason: 7, by: 1)))
        totals.reap(figures(0, cause: CloseReasonLabel(reason: 0, by: 1), lateness: .milliseconds(3)))
        let all = samples(totals)
        #expect(all["silent_drop_lateness_seconds_count"] == "1")
        #expect(all["silent_drop_lateness_seconds_sum"] == "0.003000000")
        #expect(all["silent_drop_lateness_seconds_bucket{le=\"0.0025\"}"] == "0")
        #expect(all["silent_drop_lateness_seconds_bucket{le=\"0.005\"}"] == "1")
    }

    @Test("Refusals, and what the system refused, are counted by reason")
    func refusals() {
        var totals = ServerStatistics()
        totals.forkFailed("EAGAIN")
        totals.acceptFailed("EMFILE")
        let all = samples(totals, refused: [.rate: 2, .address: 1])
        #expect(all["connections_refused_total{reason=\"BUSY\",limit=\"max-rate\"}"] == "2")
        #expect(all["connections_refused_total{reason=\"UNAUTHORIZED\",limit=\"address\"}"] == "1")
        #expect(
            all["forks_failed_total{errno=\"EAGAIN\"}"] == "1" && all["accepts_failed_total{errno=\"EMFILE\"}"] == "1")
    }

    @Test("A bound belongs to its bucket; buckets rise, and the last has all")
    func buckets() {
        let scale = Histogram.Scale.roundTrips
        #expect(scale.bucket(of: .zero) == 0 && scale.bucket(of: .microseconds(500)) == 0)
        #expect(scale.bucket(of: .nanoseconds(500_001)) == 1 && scale.bucket(of: .seconds(30)) == 14)
        #expect(scale.bucket(of: .seconds(31)) == 15 && scale.bucket(of: .seconds(-1)) == 0)
        #expect(scale.bounds.map(\.duration) == scale.bounds.map(\.duration).sorted())
        for bound in scale.bounds { #expect(Double(bound.text) == bound.duration / .seconds(1)) }
        #expect(Histogram(.roundTrips, counts: [1], sum: .zero).counts.count == scale.bounds.count + 1)
    }

    @Test("Every family has HELP and TYPE before its samples, and counters end in _total; all are in the table")
    func form() {
        var totals = ServerStatistics()
        totals.reap(ConnectionStatistics())
        totals.forkFailed("EAGAIN")
        var types: [String: String] = [:]
        var helped: Set<String> = []
        for line in totals.metrics(
            living: [ConnectionStatistics()], pool: (1, 2), processes: (3, 4), refused: [.rate: 1], uptime: .zero,
            version: "1",
            memoryBudget: 1, router: (RouterCounts(), 1),
            process: ProcessFigures(residentBytes: 1, virtualBytes: 2, openDescriptors: 3, mostDescriptors: 4)
        ).split(separator: "\n") {
            let words = line.split(separator: " ")
            switch words[0...1] {
            case ["#", "HELP"]: helped.insert(String(words[2]))
            case ["#", "TYPE"]: types[String(words[2])] = String(words[3])
            default:
                var family = String(words[0].prefix { $0 != "{" })
                for suffix in ["_bucket", "_sum", "_count"] where types[family] == nil && family.hasSuffix(suffix) {
                    family = String(family.dropLast(suffix.count))
                }
                #expect(helped.contains(family) && types[family] != nil, "\(line)")
                #expect(types[family] != "counter" || family.hasSuffix("_total"), "\(line)")
                #expect(Double(words.last!) != nil, "\(line)")
                let labels = words[0].split { "{,}".contains($0) }.dropFirst().map { $0.prefix { $0 != "=" } }
                let metric = Metric.allCases.first { $0.name == family }
                #expect(labels.filter { $0 != "le" } == metric?.labels.map { $0[...] } ?? [], "\(line)")
            }
        }
        // The document has what the table has, no more and no less.
        #expect(types == Dictionary(uniqueKeysWithValues: Metric.allCases.map { ($0.name, $0.kind.rawValue) }))
    }

    @Test("Seconds are cut off behind so many decimals")
    func seconds() {
        #expect(Escaping.seconds(.nanoseconds(1_002_999_999)) == "1.002")
        #expect(Escaping.seconds(.nanoseconds(1), decimals: 9) == "0.000000001")
        #expect(Escaping.seconds(.milliseconds(-50)) == "-0.050" && Escaping.seconds(.zero, decimals: 6) == "0.000000")
    }
}

@Suite("The HTTP of the metrics")
struct MetricsRequestTests {
    private func response(_ request: String) -> String? {
        MetricsHTTP.response(to: Array(request.utf8)) { "the metrics\n" }.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(
        "GET and HEAD of /metrics are answered, by either version and however lines end",
        arguments: [
            "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "GET /metrics HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.0\n\n",
            "GET /metrics?name=x HTTP/1.1\r\n\r\n", "HEAD /metrics HTTP/1.1\r\n\r\n",
        ])
    func answered(_ request: String) {
        let response = response(request) ?? ""
        #expect(response.hasPrefix("HTTP/1.1 200 OK\r\n") && response.contains("\r\nContent-Length: 12\r\n"))
        #expect(response.contains("\r\nConnection: close\r\n") && response.contains("text/plain; version=0.0.4"))
        #expect(response.hasSuffix(request.hasPrefix("HEAD") ? "\r\n\r\n" : "\r\n\r\nthe metrics\n"))
        for count in 0..<request.utf8.count - 1 {
            #expect(MetricsHTTP.response(to: Array(request.utf8.prefix(count))) { "" } == nil, "it has not ended")
        }
    }

    @Test(
        "Anything else is refused",
        arguments: [
            ("GET / HTTP/1.1\r\n\r\n", 404), ("GET /metrics/ HTTP/1.1\r\n\r\n", 404),
            ("POST /metrics HTTP/1.1\r\n\r\n", 405), ("DELETE / HTTP/1.1\r\n\r\n", 405),
            ("GET /metrics\r\n\r\n", 400), ("GET /metrics HTTP/2\r\n\r\n", 400), ("\r\n\r\n", 400),
            ("LIFELINE\u{0}\n\n", 400), ("GET metrics HTTP/1.1\r\n\r\n", 400), ("GET  /metrics HTTP/1.1\r\n\r\n", 400),
        ])
    func refused(_ request: String, _ status: Int) {
        let response = response(request) ?? ""
        #expect(response.hasPrefix("HTTP/1.1 \(status) ") && !response.contains("the metrics"), "\(response)")
        #expect(status != 405 || response.contains("\r\nAllow: GET, HEAD\r\n"))
    }

    @Test("A head of 8192 bytes without an end is refused")
    func tooLong() {
        let head = "GET /metrics HTTP/1.1\r\nX: "
        func long(_ length: Int) -> String { head + String(repeating: "x", count: length - head.utf8.count) }
        #expect(response(long(8191)) == nil)
        #expect(response(long(8192))?.hasPrefix("HTTP/1.1 431 ") ?? false)
    }
}
